"""Sign-ins between the way to the provider and the way back."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, select

from streams.access.identity_provider import Authorization
from streams.access.sign_ins import WITHIN, begin, safe_target, take
from streams.history.tables import SIGN_INS
from tests.unit.streams.access.protected import memory_database

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
STARTED = Authorization("https://id.example/auth", "state-1", "nonce-1", "verifier-1")


@pytest.fixture
def connection() -> Connection:
    connection = memory_database().engine.connect()
    begin(connection, "cookie-1", STARTED, "/system", NOW)
    return connection


def test_a_sign_in_comes_back_once(connection: Connection) -> None:
    taken = take(connection, "cookie-1", "state-1", NOW + timedelta(minutes=1))
    assert taken == (Authorization("", "state-1", "nonce-1", "verifier-1"), "/system")
    assert take(connection, "cookie-1", "state-1", NOW) is None


def test_where_it_goes_is_not_readable_in_the_table(connection: Connection) -> None:
    begin(connection, "cookie-2", STARTED, "/people/anna-1", NOW)
    stored = connection.execute(select(SIGN_INS.c.target)).scalars().all()
    assert "anna" not in str(stored)
    assert take(connection, "cookie-2", "state-1", NOW) == (
        Authorization("", "state-1", "nonce-1", "verifier-1"),
        "/people/anna-1",
    )


@pytest.mark.parametrize(
    ("cookie", "state"), [("cookie-2", "state-1"), ("cookie-1", "state-2"), ("", ""), ("cookie-1", "")]
)
def test_another_browser_or_state_takes_nothing(connection: Connection, cookie: str, state: str) -> None:
    assert take(connection, cookie, state, NOW) is None


def test_a_wrong_state_ends_the_sign_in(connection: Connection) -> None:
    assert take(connection, "cookie-1", "guessed", NOW) is None
    assert take(connection, "cookie-1", "state-1", NOW) is None


def test_a_sign_in_that_took_too_long_is_over(connection: Connection) -> None:
    assert take(connection, "cookie-1", "state-1", NOW + WITHIN) is None


@pytest.mark.parametrize("target", ["/", "/people/anna-1?days=30", "/system", "/episodes/a-b"])
def test_a_page_to_come_back_to(target: str) -> None:
    assert safe_target(target) == target


@pytest.mark.parametrize(
    "target",
    [
        "",
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/x\r\nSet-Cookie: a=b",
        "/signin",
        "/signout",
        "/api/v1/people",
        "/" + "a" * 5000,
        "/é",
    ],
)
def test_anything_else_comes_back_to_the_first_page(target: str) -> None:
    assert safe_target(target) == "/"
