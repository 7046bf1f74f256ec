"""Security headers."""

from streams.access.headers import Policies, security_headers
from streams.access.origins import Site

LOCAL, PUBLIC = Site.of(None), Site.of("https://undertone.clinic.example")


def rules(policy: str) -> dict[str, str]:
    return dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))


def test_pages_load_from_their_own_origin_and_run_no_script_of_their_text() -> None:
    found = rules(Policies.of(PUBLIC).plain)
    assert found["default-src"] == found["frame-ancestors"] == found["base-uri"] == "'none'"
    assert found["script-src"] == "'self'"
    assert "unsafe" not in str(found)


def test_only_pages_with_charts_have_style_in_their_text() -> None:
    def policy(path: str) -> dict[str, str]:
        return rules(security_headers(PUBLIC, path, Policies.of(PUBLIC))["Content-Security-Policy"])

    for path in ("/", "/signin", "/choices", "/api/v1/people", "/static/x", "/people"):
        assert "unsafe" not in str(policy(path))
    charts = policy("/people/a")
    assert charts.pop("style-src") == "'self' 'unsafe-inline'"
    assert "unsafe" not in str(charts)


def test_a_policy_names_the_service_of_names_and_the_identity_provider() -> None:
    found = rules(Policies.of(PUBLIC, ["https://names.example"], ["https://id.example"]).charts)
    assert found["connect-src"] == "'self' https://names.example"
    assert found["form-action"] == "'self' https://id.example"


def test_only_one_page_may_ask_for_the_microphone() -> None:
    assert "microphone=(self)" in security_headers(LOCAL, "/try", Policies.of(LOCAL))["Permissions-Policy"]
    for path in ("/", "/people/try", "/try/"):
        assert "microphone=()" in security_headers(LOCAL, path, Policies.of(LOCAL))["Permissions-Policy"]


def test_nothing_of_a_person_stays_in_a_cache() -> None:
    assert security_headers(LOCAL, "/people/a", Policies.of(LOCAL))["Cache-Control"] == "no-store"
    assert "Cache-Control" not in security_headers(LOCAL, "/static/1/style.css", Policies.of(LOCAL))


def test_https_stays_https() -> None:
    assert "Strict-Transport-Security" in security_headers(PUBLIC, "/", Policies.of(PUBLIC))
    assert "Strict-Transport-Security" not in security_headers(LOCAL, "/", Policies.of(LOCAL))
    assert "upgrade-insecure-requests" in rules(Policies.of(PUBLIC).plain)
    assert "upgrade-insecure-requests" not in rules(Policies.of(LOCAL).plain)
