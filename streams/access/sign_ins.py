"""Sign-ins that were started and have not come back from the identity provider, in the history database."""

import hmac
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select

from streams.access.identity_provider import Authorization
from streams.access.sessions import hashed, seal, unseal
from streams.history.tables import SIGN_INS, unix_ms

WITHIN = timedelta(minutes=10)
"""For typing a password and a second factor."""
TARGET_CHARACTERS = 2048


def begin(connection: Connection, cookie: str, started: Authorization, target: str, now: datetime) -> None:
    """Remember a sign-in for the browser with this cookie; those that are too old are forgotten meanwhile."""
    connection.execute(delete(SIGN_INS).where(SIGN_INS.c.expires_ms <= unix_ms(now)))
    row = {
        "cookie_hash": hashed(cookie),
        "state_hash": hashed(started.state),
        "nonce": started.nonce,
        "code_verifier": started.code_verifier,
        # An address may name a person: encrypted under the cookie, which is stored nowhere.
        "target": seal(cookie, target),
        "expires_ms": unix_ms(now + WITHIN),
    }
    connection.execute(insert(SIGN_INS).values(row))


def take(connection: Connection, cookie: str, state: str, now: datetime) -> tuple[Authorization, str] | None:
    """The sign-in that this browser started with this state, and where it goes then; it can be taken once.

    None where there is none: another browser started it, it is too old, or it came back before.
    """
    found = connection.execute(select(SIGN_INS).where(SIGN_INS.c.cookie_hash == hashed(cookie))).one_or_none()
    removed = connection.execute(delete(SIGN_INS).where(SIGN_INS.c.cookie_hash == hashed(cookie))).rowcount
    if found is None or removed != 1 or found.expires_ms <= unix_ms(now):
        return None
    if not hmac.compare_digest(found.state_hash, hashed(state)):
        return None
    return Authorization("", state, found.nonce, found.code_verifier), unseal(cookie, found.target) or "/"


def safe_target(wanted: str) -> str:
    """A path of this dashboard to go to after a sign-in; `/` for anything else, such as another site.

    >>> safe_target("/people/a?days=30"), safe_target("//evil.example"), safe_target("https://evil.example")
    ('/people/a?days=30', '/', '/')
    """
    outside = not wanted.startswith("/") or wanted.startswith(("//", "/signin", "/signout", "/signedout", "/api/"))
    odd = len(wanted) > TARGET_CHARACTERS or "\\" in wanted or not wanted.isprintable() or not wanted.isascii()
    return "/" if outside or odd else wanted
