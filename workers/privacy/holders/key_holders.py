"""Processes with keys in memory: each notes in the key directory that it lives, and which erased people it dropped.

Every few seconds a process notes that it was seen, reads who is being erased, drops their keys, and notes that. An
erasure goes on when all that were seen lately have; a process that died or hangs is waited for as long as a key may be
in memory, after which it uses none.
"""

import os
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import NamedTuple

from sqlalchemy import delete, insert, select, update

from schemas.errors import UndertoneError
from workers.privacy.key_tables import ERASURES, KEY_HOLDERS, KEYS_DROPPED, PERSONS, KeyDatabase, insert_missing
from workers.privacy.person_keys import PersonState
from workers.privacy.sources.lookup import Holders

BEAT_S = 5.0
"""Seconds between two looks of a process into the key directory."""
SEEN_WITHIN_S = 60.0
"""A process that reads keys was seen at most so many seconds before."""
HOLDER_BYTES = 16


class Standing(NamedTuple):
    """Of one erasure. holders: processes that may have keys; missing: those that have not dropped the person's."""

    holders: int
    missing: int


class HolderTable:
    """The notes in a key directory."""

    def __init__(self, database: KeyDatabase) -> None:
        self._database = database

    def beat(self, holder: bytes, now: float) -> Sequence[bytes]:
        """As `Holders.beat`. Raises Transient, ConfigurationError, as all of them."""
        with self._database.writing() as connection:
            mine = KEY_HOLDERS.c.holder == holder
            if not connection.execute(update(KEY_HOLDERS).where(mine).values(seen_at=int(now))).rowcount:
                connection.execute(insert(KEY_HOLDERS).values(holder=holder, seen_at=int(now)))
            dropped = select(KEYS_DROPPED.c.subject).where(KEYS_DROPPED.c.holder == holder)
            being_erased = (
                select(ERASURES.c.subject)
                .join(PERSONS, PERSONS.c.subject == ERASURES.c.subject)
                .where(ERASURES.c.finished_at.is_(None), PERSONS.c.state != PersonState.ACTIVE)
            )
            return connection.execute(being_erased.where(ERASURES.c.subject.not_in(dropped))).scalars().all()

    def note_dropped(self, holder: bytes, subjects: Collection[bytes]) -> None:
        """As `Holders.note_dropped`. It may be repeated."""
        rows = [{"holder": holder, "subject": subject} for subject in subjects]
        with self._database.writing() as connection:
            insert_missing(connection, KEYS_DROPPED, rows, ["holder", "subject"])

    def remove(self, holder: bytes) -> None:
        """As `Holders.remove`."""
        _remove(self._database, [holder])


class KeyHolder:
    """One process. drop: removes what it holds of a subject; beat_s: as BEAT_S; clock: Unix time.

    A thread looks at the notes until `close`.
    """

    def __init__(
        self,
        holders: Holders,
        drop: Callable[[bytes], None],
        beat_s: float = BEAT_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._holders, self._drop, self._beat_s, self._clock = holders, drop, beat_s, clock
        self._holder = os.urandom(HOLDER_BYTES)
        self._seen_at = float("-inf")
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._turn = threading.Lock()

    def seen(self) -> None:
        """Be known as a holder, before keys are read. Raises Transient, ConfigurationError."""
        if self._clock() - self._seen_at > SEEN_WITHIN_S:
            self.beat()
        if self._thread is None and not self._ended.is_set():
            self._thread = threading.Thread(target=self._beat_on, name="key holder", daemon=True)
            self._thread.start()

    def beat(self) -> None:
        """Note that this process lives, and drop the keys of who is being erased. Raises as `seen`."""
        with self._turn:
            now = self._clock()
            subjects = self._holders.beat(self._holder, now)
            self._seen_at = now
            for subject in subjects:
                self._drop(subject)
            if subjects:
                self._holders.note_dropped(self._holder, subjects)

    def close(self) -> None:
        """This process holds no key any more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._seen_at > float("-inf"):
            with suppress(UndertoneError):
                self._holders.remove(self._holder)

    def _beat_on(self) -> None:
        while not self._ended.wait(self._beat_s):
            with suppress(UndertoneError):  # whoever needs a key says so
                self.beat()


def standing(database: KeyDatabase, subject: bytes, cache_s: float, now: float) -> Standing:
    """Which processes still have to drop a person's keys. Blocks; raises Transient.

    cache_s: how long a process may keep a key; now: Unix time.
    """
    oldest = int(now - cache_s - 2 * SEEN_WITHIN_S)
    with database.reading() as connection:
        holders = set(connection.execute(select(KEY_HOLDERS.c.holder).where(KEY_HOLDERS.c.seen_at >= oldest)).scalars())
        mine = select(KEYS_DROPPED.c.holder).where(KEYS_DROPPED.c.subject == subject)
        dropped = set(connection.execute(mine).scalars())
    return Standing(len(holders), len(holders - dropped))


def tidy(database: KeyDatabase, cache_s: float, now: float) -> None:
    """Remove the rows of processes that died. Blocks; raises Transient."""
    oldest = int(now - cache_s - 2 * SEEN_WITHIN_S)
    with database.reading() as connection:
        dead = connection.execute(select(KEY_HOLDERS.c.holder).where(KEY_HOLDERS.c.seen_at < oldest)).scalars().all()
    _remove(database, list(dead))


def _remove(database: KeyDatabase, holders: list[bytes]) -> None:
    with database.writing() as connection:
        for table in (KEYS_DROPPED, KEY_HOLDERS):
            connection.execute(delete(table).where(table.c.holder.in_(holders)))
