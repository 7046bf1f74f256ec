"""Erasures that go on after a restart: who is erased, sealed, and which process is at it.

A pseudonym is kept from the request to the certificate, sealed with a key of its own, which the store key wraps: it
follows every rotation meanwhile, and is destroyed with the row. One process at a time takes the steps. It renews its
hold while it does, and another one goes on when that has ended.
"""

import os
import time
from collections.abc import Callable, Collection
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, delete, insert, or_, select, update

from schemas.errors import Transient
from schemas.key_purposes import LAST_EPOCH
from streams.privacy.journal import Request
from streams.privacy.places import Person
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.key_tables import DATA_KEYS, ERASURE_RUNS, ERASURES, KeyDatabase, lock
from workers.privacy.person_keys import new_key, opened_name, sealed_name

HELD_S = 60
"""Seconds for which a process holds an erasure; it renews that in a third of the time."""
ID_BYTES = 16


class Resumed(NamedTuple):
    """An erasure to go on with."""

    person: Person
    request: Request


class Resuming:
    """What one process holds, in one key directory. Calls wait for its database; raise Transient, ConfigurationError.

    clock: Unix time.
    """

    def __init__(self, database: KeyDatabase, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock
        self._me = os.urandom(ID_BYTES)

    def keep(self, directory: KeyDirectory, person: Person) -> None:
        """Keep who is to be erased, if that is not kept yet; `hold` it then."""
        mine = ERASURE_RUNS.c.subject == person.subject
        with self._database.writing() as connection:
            lock(connection)
            if connection.execute(select(ERASURE_RUNS.c.subject).where(mine)).first() is not None:
                return
            place = os.urandom(ID_BYTES)
            key, row = new_key(directory.store_keys.live(connection)[0], place, LAST_EPOCH)
            name = sealed_name(key, person.subject, person.user_id)
            connection.execute(insert(DATA_KEYS), row)
            kept = {"subject": person.subject, "key": place, "name": name, "holder": self._me, "held_until": 0}
            connection.execute(insert(ERASURE_RUNS), kept)

    def hold(self, subject: bytes) -> bool:
        """Hold an erasure from now on; False while another process does, and for one that is not kept."""
        now = int(self._clock())
        mine = and_(ERASURE_RUNS.c.subject == subject, or_(ERASURE_RUNS.c.holder == self._me, ~_held(now)))
        with self._database.writing() as connection:
            changed = update(ERASURE_RUNS).where(mine).values(holder=self._me, held_until=now + HELD_S)
            return connection.execute(changed).rowcount == 1

    def release(self, subject: bytes) -> None:
        """Let another process go on with it, or this one at its next start."""
        mine = and_(ERASURE_RUNS.c.subject == subject, ERASURE_RUNS.c.holder == self._me)
        with self._database.writing() as connection:
            connection.execute(update(ERASURE_RUNS).where(mine).values(held_until=0))

    def forget(self, subject: bytes) -> None:
        """It has its certificate: nothing leads to the pseudonym any more."""
        with self._database.writing() as connection:
            place = select(ERASURE_RUNS.c.key).where(ERASURE_RUNS.c.subject == subject)
            connection.execute(delete(DATA_KEYS).where(DATA_KEYS.c.subject.in_(place)))
            connection.execute(delete(ERASURE_RUNS).where(ERASURE_RUNS.c.subject == subject))
        self._database.forget_log()

    def held(self) -> set[bytes]:
        """Subjects of those that a process is at."""
        with self._database.reading() as connection:
            found = connection.execute(select(ERASURE_RUNS.c.subject).where(_held(int(self._clock()))))
            return set(found.scalars())

    def waiting(self, known: Collection[bytes]) -> list[bytes]:
        """Subjects of those that no process is at, but for these. One that a command has finished is forgotten."""
        rest = and_(~_held(int(self._clock())), ERASURE_RUNS.c.subject.not_in(list(known)))
        both = select(ERASURE_RUNS.c.subject, ERASURES.c.finished_at).join(
            ERASURES, ERASURES.c.subject == ERASURE_RUNS.c.subject
        )
        with self._database.reading() as connection:
            rows = connection.execute(both.where(rest).order_by(ERASURES.c.started_at)).all()
        for row in rows:
            if row.finished_at is not None:
                self.forget(row.subject)
        return [row.subject for row in rows if row.finished_at is None]

    def resumed(self, directory: KeyDirectory, subject: bytes) -> Resumed:
        """Who it is, and what was asked for. Raises Transient where that cannot be opened."""
        rows = select(ERASURE_RUNS.c.key, ERASURE_RUNS.c.name, ERASURES.c.reason, ERASURES.c.ticket)
        both = rows.join(ERASURES, ERASURES.c.subject == ERASURE_RUNS.c.subject)
        with self._database.reading() as connection:
            row = connection.execute(both.where(ERASURE_RUNS.c.subject == subject)).one()
        key = directory.keys_of([(row.key, LAST_EPOCH)]).get((row.key, LAST_EPOCH))
        user_id = opened_name(key, subject, row.name) if isinstance(key, bytes) else None
        if user_id is None:
            raise Transient("the key directory does not open who is to be erased: ask for the erasure again")
        return Resumed(Person(user_id, subject), Request(row.reason, row.ticket))


def _held(now: int) -> ColumnElement[bool]:
    """A hold that ends later than any may is of a clock that was ahead."""
    return ERASURE_RUNS.c.held_until.between(now + 1, now + 2 * HELD_S)
