"""Requests that were meant for another host, or that another site caused."""

import pytest

from streams.access.origins import Site, forwarded_fault, host_fault, path_fault, site_fault

LOCAL = Site.of(None)
PUBLIC = Site.of("https://undertone.clinic.example/")


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "[::1]:8080"])
def test_local_mode_answers_to_this_machine(host: str) -> None:
    assert host_fault(LOCAL, [host], 8080) == ""


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [""],
        ["evil.example"],
        ["evil.example:8080"],
        ["127.0.0.1"],
        ["127.0.0.1:8081"],
        ["127.0.0.1.evil.example:8080"],
        ["localhost:8080@evil.example"],
        ["localhost:8080", "evil.example"],
        ["192.168.0.7:8080"],
    ],
)
def test_local_mode_answers_to_no_other_name(hosts: list[str]) -> None:
    assert "127.0.0.1 or localhost" in host_fault(LOCAL, hosts, 8080)


def test_the_default_port_need_not_be_named() -> None:
    assert host_fault(LOCAL, ["localhost"], 80) == ""
    for host in ("undertone.clinic.example", "undertone.clinic.example:443"):
        assert host_fault(PUBLIC, [host], 9999) == ""
    for host in ("undertone.clinic.example:8080", "127.0.0.1:9999", "clinic.example"):
        assert "UNDERTONE_DASHBOARD_URL" in host_fault(PUBLIC, [host], 9999)


@pytest.mark.parametrize(
    "path", ["/", "/people/anna-1", "/people/anna%20b", "/people/änne", "/static/a/b.js", "/people/a.b"]
)
def test_paths_of_the_dashboard(path: str) -> None:
    assert path_fault(path.encode(), path) == ""


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("/people/..%2fsystem", "/people/../system"),
        ("/people/%2e%2e/system", "/people/../system"),
        ("/people/../system", "/people/../system"),
        ("/people/a%0d%0aSet-Cookie:x", "/people/a\r\nSet-Cookie:x"),
        ("/people/a%00", "/people/a\0"),
        ("/people/a%5cb", "/people/a\\b"),
        ("/people/a%2Fscores.csv", "/people/a/scores.csv"),
        ("//evil.example/", "//evil.example/"),
        ("/people/.", "/people/."),
        ("http://evil.example/", "http://evil.example/"),
    ],
)
def test_paths_that_try_to_leave_theirs(raw: str, path: str) -> None:
    assert path_fault(raw.encode(), path) != ""


@pytest.mark.parametrize("name", ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"])
def test_local_mode_takes_nothing_from_a_proxy(name: str) -> None:
    assert "UNDERTONE_OIDC_ISSUER" in forwarded_fault(LOCAL, {name: "1.2.3.4"})
    assert forwarded_fault(PUBLIC, {name: "1.2.3.4"}) == ""
    assert forwarded_fault(LOCAL, {"accept": "*/*"}) == ""


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("headers", [{}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}])
def test_own_pages_and_programs_may_ask(method: str, headers: dict[str, str]) -> None:
    assert site_fault(LOCAL, method, headers, "localhost:1") == ""


def test_an_old_browser_proves_its_origin() -> None:
    assert site_fault(LOCAL, "POST", {"origin": "http://localhost:1"}, "localhost:1") == ""
    assert site_fault(PUBLIC, "POST", {"origin": "https://undertone.clinic.example"}, "undertone.clinic.example") == ""
    for origin in ("http://evil.example", "null", "http://localhost:2", "https://localhost:1"):
        assert site_fault(LOCAL, "POST", {"origin": origin}, "localhost:1") != ""


@pytest.mark.parametrize("site", ["cross-site", "same-site", "what is this"])
def test_another_site_may_link_here_and_no_more(site: str) -> None:
    link = {"sec-fetch-site": site, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert site_fault(LOCAL, "GET", link, "localhost:1") == ""
    assert site_fault(LOCAL, "POST", link, "localhost:1") != ""
    assert site_fault(LOCAL, "GET", link | {"sec-fetch-dest": "iframe"}, "localhost:1") != ""
    assert site_fault(LOCAL, "GET", link | {"sec-fetch-mode": "no-cors"}, "localhost:1") != ""
