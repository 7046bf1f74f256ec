"""What the settings make of a dashboard."""

import pytest

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from streams.access.access import Access, check_settings
from streams.access.viewer import Channel
from tests.unit.streams.access.protected import MemoryTrail, memory_database

OIDC = {
    "oidc_issuer": "https://id.example",
    "oidc_client_id": "undertone",
    "dashboard_url": "https://undertone.example",
    "dashboard_host": "0.0.0.0",
}


def settings(**given: object) -> Settings:
    return Settings(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.53", "::1", "localhost"])
def test_without_sign_in_the_dashboard_is_for_this_machine(host: str) -> None:
    check_settings(settings(dashboard_host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "undertone.example", "", "127.0.0.1.evil.example"])
def test_without_sign_in_no_other_machine_is_served(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"UNDERTONE_DASHBOARD_HOST.*UNDERTONE_OIDC_ISSUER"):
        check_settings(settings(dashboard_host=host))


@pytest.mark.parametrize("missing", ["oidc_client_id", "dashboard_url"])
def test_sign_in_needs_its_client_and_its_address(missing: str) -> None:
    with pytest.raises(ConfigurationError, match=f"UNDERTONE_{missing.upper()}"):
        check_settings(settings(**{name: value for name, value in OIDC.items() if name != missing}))


@pytest.mark.parametrize("name", ["oidc_issuer", "dashboard_url"])
def test_sign_in_goes_by_https_but_on_this_machine(name: str) -> None:
    check_settings(settings(**OIDC))
    check_settings(settings(**{**OIDC, name: "http://127.0.0.1:9000"}))
    with pytest.raises(ConfigurationError, match=f"UNDERTONE_{name.upper()}"):
        check_settings(settings(**{**OIDC, name: "http://id.example"}))


def test_cookies_are_bound_to_the_host_where_there_is_https() -> None:
    secure = Access.of(settings(**OIDC), MemoryTrail(), memory_database())
    plain = Access.of(settings(**{**OIDC, "dashboard_url": "http://127.0.0.1:8090"}), MemoryTrail(), memory_database())
    assert secure.session_cookie == "__Host-undertone-session"
    assert plain.session_cookie == "undertone-session"
    assert "https://id.example" in secure.policies.plain


def test_a_token_without_cohorts_shows_a_clinician_no_one() -> None:
    access = Access.of(settings(**OIDC), MemoryTrail(), memory_database())
    assert access.staff is not None
    asking = access.staff.viewer_from({"sub": "ann", "roles": ["clinician"]}, Channel.BEARER)
    assert asking.cohorts == ()
    assert asking.csrf_token == ""
