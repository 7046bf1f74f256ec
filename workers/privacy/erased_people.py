"""When a pseudonym was erased, so that nothing that was written before brings its person back.

A tombstone leads from no pseudonym to its subject. Each erasure is a row with a keyed hash of the pseudonym instead,
under a key that only the key directory has: that of Undertone's own row, whose lasting key follows every rotation.
"""

import hmac
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC
from typing import NamedTuple, Protocol

from sqlalchemy import Connection, select

from schemas.errors import Transient, Unknown
from workers.privacy.clear_records import NEVER
from workers.privacy.key_tables import ERASURES, PERSONS, chunks
from workers.privacy.store_keys import expand

ITSELF = " undertone"
"""The name of Undertone's own row: an id of a user neither begins nor ends with a space."""
LOST = "the key directory does not give Undertone's own key: was it restored from a backup?"
LOOKED_UP = 250_000
"""Most pseudonyms whose erasures are remembered, about 0.2 KB each."""


class LastErasure(NamedTuple):
    """The last erasure of a pseudonym. subject: of the tombstone; at: Unix time at which the keys were destroyed."""

    subject: bytes
    at: float


def person_hash(own_key: bytes, user: str) -> str:
    """A keyed hash of a pseudonym, 64 hexadecimal digits: the same for as long as the directory lives."""
    return hmac.digest(expand(own_key, b"undertone/certificate/person"), user.encode(), "sha256").hex()


def has_erasures(connection: Connection) -> bool:
    """Whether anybody was ever erased."""
    return connection.execute(select(ERASURES.c.subject).limit(1)).first() is not None


def last_erasures(connection: Connection, own_key: bytes | None, users: Iterable[str]) -> dict[str, LastErasure]:
    """Those of these pseudonyms that were erased. Raises Transient where the own key is missing that it takes."""
    if not users or not has_erasures(connection):
        return {}
    if own_key is None:
        raise Transient(LOST)
    by_hash = {person_hash(own_key, user): user for user in users}
    found: dict[str, LastErasure] = {}
    for some in chunks(by_hash):
        rows = connection.execute(
            select(ERASURES.c.person, PERSONS.c.subject, PERSONS.c.erased_at)
            .join(PERSONS, PERSONS.c.subject == ERASURES.c.subject)
            .where(ERASURES.c.person.in_(some), PERSONS.c.erased_at.is_not(None))
            .order_by(PERSONS.c.erased_at)
        )
        # SQLite forgets the time zone, which is UTC.
        found |= {by_hash[who]: LastErasure(subject, at.replace(tzinfo=UTC).timestamp()) for who, subject, at in rows}
    return found


class Directory(Protocol):
    """What knows all erasures."""

    def last_erasures(self, users: Collection[str]) -> Mapping[str, LastErasure]:
        """Those of these pseudonyms that were erased, and when last. Raises Transient."""


class KnownErasures:
    """When pseudonyms were last erased, as far as this process has looked lately. Thread safe.

    fresh_s: for how long an answer holds; clock: monotonic seconds.
    """

    def __init__(self, fresh_s: float, clock: Callable[[], float]) -> None:
        self._fresh_s, self._clock = fresh_s, clock
        self._known: dict[str, tuple[float, float]] = {}
        """By pseudonym: when it was looked up, and the Unix time of its last erasure."""
        self._lock = threading.Lock()

    def at(self, user: str, since: float) -> float:
        """Unix time of the last erasure, NEVER without one. Raises Unknown where that was not looked up lately.

        since: monotonic seconds; what was looked up before does not count.
        """
        looked_at, erased_at = self._known.get(user, (NEVER, NEVER))
        if looked_at < max(since, self._clock() - self._fresh_s):
            raise Unknown("erasures of a person were not looked up yet")
        return erased_at

    def look_up(self, directory: Directory, users: Collection[str]) -> None:
        """Ask the directory for these pseudonyms. Waits for it; raises Transient."""
        looked_at = self._clock()
        erased = directory.last_erasures(users)
        with self._lock:
            if len(self._known) + len(users) > LOOKED_UP:
                self._known.clear()
            for user in users:
                self._known[user] = looked_at, erased[user].at if user in erased else NEVER

    def clear(self) -> None:
        """Forget all pseudonyms."""
        with self._lock:
            self._known.clear()
