"""Sessions of signed-in staff, in the history database: every process of the dashboard reads the same ones.

A browser holds a random id of 256 bits; the table holds its SHA-256, so who reads the table cannot take a session over.
Every sign-in makes a new id, whatever the browser brought (session fixation). A session ends when it was not used for
its idle time, at its absolute end, at sign-out, and when the subject signs out everywhere.
"""

import hmac
import json
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from streams.access import csrf
from streams.access.viewer import Channel, StaffRole, Viewer
from streams.history.tables import SESSIONS, unix_ms

SEEN_EVERY = timedelta(minutes=1)
"""The time of the last use is written at most this often."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a session lasts: without use, and at most."""

    idle: timedelta
    absolute: timedelta


@dataclass(frozen=True, slots=True)
class Session:
    """One session as it is stored.

    sealed_id_token: encrypted under the session's id, for the provider at sign-out; unseen: whether the time of its
    last use should be written.
    """

    subject: str
    roles: frozenset[StaffRole]
    cohorts: tuple[str, ...] | None
    sealed_id_token: str = ""
    unseen: bool = False

    def viewer(self, session_id: str) -> Viewer:
        """Who asks in this session."""
        return Viewer(self.subject, self.roles, self.cohorts, Channel.SESSION, csrf.token_of(session_id))


def new_id() -> str:
    """A random id of 256 bits, as a cookie holds it."""
    return secrets.token_urlsafe(32)


def hashed(secret: str) -> str:
    """What the table holds in place of a secret."""
    return sha256(secret.encode()).hexdigest()


def start(connection: Connection, session_id: str, session: Session, now: datetime, lifetimes: Lifetimes) -> None:
    """Store a new session; those that are over are removed meanwhile."""
    connection.execute(delete(SESSIONS).where(_over(now, lifetimes)))
    row = {
        "id_hash": hashed(session_id),
        "subject": session.subject,
        "roles": json.dumps(sorted(session.roles)),
        "cohorts": None if session.cohorts is None else json.dumps(session.cohorts),
        "sealed_id_token": session.sealed_id_token,
        "seen_ms": unix_ms(now),
        "expires_ms": unix_ms(now + lifetimes.absolute),
    }
    connection.execute(insert(SESSIONS).values(row))


def find(connection: Connection, session_id: str, now: datetime, lifetimes: Lifetimes) -> Session | None:
    """The session of an id; None where there is none, or it is over."""
    found = connection.execute(
        select(SESSIONS).where(SESSIONS.c.id_hash == hashed(session_id), ~_over(now, lifetimes))
    ).one_or_none()
    if found is None:
        return None
    known = {role.value: role for role in StaffRole}
    roles = frozenset(known[name] for name in json.loads(found.roles) if name in known)
    cohorts = None if found.cohorts is None else tuple(json.loads(found.cohorts))
    return Session(found.subject, roles, cohorts, found.sealed_id_token, found.seen_ms <= unix_ms(now - SEEN_EVERY))


def touch(connection: Connection, session_id: str, now: datetime) -> None:
    """The session was used now."""
    connection.execute(update(SESSIONS).where(SESSIONS.c.id_hash == hashed(session_id)).values(seen_ms=unix_ms(now)))


def end(connection: Connection, session_id: str) -> None:
    """End one session."""
    connection.execute(delete(SESSIONS).where(SESSIONS.c.id_hash == hashed(session_id)))


def end_all(connection: Connection, subject: str) -> int:
    """End all sessions of a subject, on every device. Returns how many there were."""
    return connection.execute(delete(SESSIONS).where(SESSIONS.c.subject == subject)).rowcount


def seal(cookie: str, text: str) -> str:
    """Encrypted under the value of a cookie, which is stored nowhere: who reads the table cannot read it."""
    return _sealer(cookie).encrypt(text.encode()).decode()


def unseal(cookie: str, sealed: str) -> str:
    """What was sealed; empty if it was sealed under another cookie, or not at all."""
    try:
        return _sealer(cookie).decrypt(sealed).decode()
    except InvalidToken:
        return ""


def _sealer(cookie: str) -> Fernet:
    return Fernet(urlsafe_b64encode(hmac.digest(cookie.encode(), b"undertone id token", sha256)))


def _over(now: datetime, lifetimes: Lifetimes) -> ColumnElement[bool]:
    """The sessions that are over."""
    return (SESSIONS.c.expires_ms <= unix_ms(now)) | (SESSIONS.c.seen_ms <= unix_ms(now - lifetimes.idle))
