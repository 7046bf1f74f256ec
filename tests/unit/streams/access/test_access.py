"""What the settings make of a dashboard, and who asks."""

from datetime import UTC, datetime, timedelta

import pytest
from starlette.requests import Request

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from streams.access import sessions
from streams.access.access import Access, check_settings
from streams.access.sessions import Session
from streams.access.viewer import Channel, StaffRole
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


@pytest.mark.parametrize(
    ("method", "destination", "used"),
    [
        ("GET", "document", True),
        ("GET", None, True),
        ("POST", "empty", True),
        ("GET", "empty", False),
        ("GET", "script", False),
    ],
)
async def test_what_an_open_page_asks_for_by_itself_keeps_no_session_alive(
    method: str, destination: str | None, used: bool
) -> None:
    access = Access.of(settings(**OIDC), MemoryTrail(), memory_database())
    assert access.staff is not None
    session_id, now = sessions.new_id(), datetime.now(UTC)
    stored = Session("ann", frozenset({StaffRole.CLINICIAN}), ())
    before, lifetimes = now - access.staff.lifetimes.idle + timedelta(minutes=1), access.staff.lifetimes
    await access.staff.database.write(sessions.start, session_id, stored, before, lifetimes)
    headers = [(b"cookie", f"{access.session_cookie}={session_id}".encode())]
    headers += [(b"sec-fetch-dest", destination.encode())] if destination else []
    asking = await access.viewer_of(Request({"type": "http", "method": method, "headers": headers}))
    assert asking is not None
    later = await access.staff.database.read(sessions.find, session_id, now + timedelta(minutes=2), lifetimes)
    assert (later is not None) is used
