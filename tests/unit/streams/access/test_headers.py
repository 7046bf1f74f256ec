"""Security headers."""

from streams.access.headers import content_security_policy, security_headers
from streams.access.origins import Site

LOCAL, PUBLIC = Site.of(None), Site.of("https://undertone.clinic.example")


def rules(policy: str) -> dict[str, str]:
    return dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))


def test_pages_load_from_their_own_origin_and_run_no_script_of_their_text() -> None:
    found = rules(content_security_policy(PUBLIC))
    assert found["default-src"] == found["frame-ancestors"] == found["base-uri"] == "'none'"
    assert found["script-src"] == "'self'"
    assert "unsafe-eval" not in str(found)
    assert [name for name, value in found.items() if "unsafe-inline" in value] == ["style-src"]


def test_a_policy_names_the_service_of_names_and_the_identity_provider() -> None:
    found = rules(content_security_policy(PUBLIC, ["https://names.example"], ["https://id.example"]))
    assert found["connect-src"] == "'self' https://names.example"
    assert found["form-action"] == "'self' https://id.example"


def test_only_one_page_may_ask_for_the_microphone() -> None:
    assert "microphone=(self)" in security_headers(LOCAL, "/try", "")["Permissions-Policy"]
    for path in ("/", "/people/try", "/try/"):
        assert "microphone=()" in security_headers(LOCAL, path, "")["Permissions-Policy"]


def test_nothing_of_a_person_stays_in_a_cache() -> None:
    assert security_headers(LOCAL, "/people/a", "")["Cache-Control"] == "no-store"
    assert "Cache-Control" not in security_headers(LOCAL, "/static/1/style.css", "")


def test_https_stays_https() -> None:
    assert "Strict-Transport-Security" in security_headers(PUBLIC, "/", "")
    assert "Strict-Transport-Security" not in security_headers(LOCAL, "/", "")
    assert "upgrade-insecure-requests" in rules(content_security_policy(PUBLIC))
    assert "upgrade-insecure-requests" not in rules(content_security_policy(LOCAL))
