"""What an operator sees of the key directory: numbers, and no person."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from schemas.key_purposes import LASTING
from workers.privacy.key_tables import DATA_KEYS, PERSONS, STORE_KEYS, chunks
from workers.privacy.person_keys import PersonState
from workers.privacy.store_keys import StoreKey, StoreKeyState


class DirectoryStatus(NamedTuple):
    """Numbers of people by state, and of their keys. oldest: the first epoch with keys; damaged: keys that do not open.

    destroyed_before: the first epoch that retention left.
    """

    store_key: int
    made_at: datetime
    rotating: bool
    people: int
    erasing: int
    erased: int
    keys: int
    damaged: int
    oldest: int | None
    destroyed_before: int


def status_of(connection: Connection, live: list[StoreKey], destroyed_before: int) -> DirectoryStatus:
    """The status of a directory; reads every key."""
    store_keys = connection.execute(select(STORE_KEYS)).all()
    states = dict.fromkeys(PersonState, 0)
    for state, people in connection.execute(select(PERSONS.c.state, func.count()).group_by(PERSONS.c.state)):
        states[PersonState(state)] = people
    return DirectoryStatus(
        live[0].version,
        next(row.created_at for row in store_keys if row.version == live[0].version),
        any(row.state in {StoreKeyState.DRAINING, StoreKeyState.EMPTIED} for row in store_keys),
        states[PersonState.ACTIVE],
        states[PersonState.ERASING],
        states[PersonState.ERASED],
        connection.execute(select(func.count()).select_from(DATA_KEYS)).scalar() or 0,
        _damaged(connection, live),
        connection.execute(select(func.min(DATA_KEYS.c.epoch)).where(DATA_KEYS.c.epoch > LASTING)).scalar(),
        destroyed_before,
    )


def months_of_people(connection: Connection) -> list[tuple[bytes, int]]:
    """Subject and epoch of every month with data, of people who were not erased."""
    rows = connection.execute(
        select(DATA_KEYS.c.subject, DATA_KEYS.c.epoch)
        .join(PERSONS, PERSONS.c.subject == DATA_KEYS.c.subject)
        .where(PERSONS.c.state == PersonState.ACTIVE, DATA_KEYS.c.epoch > LASTING)
        .order_by(DATA_KEYS.c.epoch, DATA_KEYS.c.subject)
    )
    return [(row.subject, row.epoch) for row in rows]


def _damaged(connection: Connection, live: list[StoreKey]) -> int:
    by_version = {key.version: key for key in live}
    return sum(
        row.store_key not in by_version or by_version[row.store_key].unwrap(row.subject, row.epoch, row.wrapped) is None
        for some in chunks(connection.execute(select(DATA_KEYS)))
        for row in some
    )
