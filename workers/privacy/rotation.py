"""Rotation of the store key: every row of the directory under a new one, and the old one destroyed.

    current ─▶ draining ─▶ emptied ─▶ destroyed

Rows change in batches while processes go on reading and enrolling: both versions are live until the old one wraps
nothing. Each step is stored before the next, so a rotation that was interrupted is finished by the next one. Afterwards
a backup of the directory from before holds wrapped keys that nothing opens.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, select, tuple_, update

from schemas.key_purposes import LASTING
from workers.privacy.key_services.kms import Destroyed, Kms
from workers.privacy.key_tables import (
    DATA_KEYS,
    ROTATED_AFTER,
    STORE_KEYS,
    KeyDatabase,
    destroyed_before,
    lock,
    set_watermark,
    watermark,
)
from workers.privacy.store_keys import LIVE, StoreKey, StoreKeys, StoreKeyState, add_store_key
from workers.sql.connections import is_sqlite

KEY_BYTES = 32
AT_ONCE = 50_000
"""Rows that one transaction wraps, in half a second: each transaction of SQLite writes every page that it touches."""
BEGINNING = (b"", 0)


class Rotation(NamedTuple):
    """What a rotation did.

    version: of the new store key; damaged: rows that the old one did not open, left as they are; receipts: of the key
    service, one per version that it destroyed.
    """

    version: int
    rewrapped: int
    damaged: int
    receipts: tuple[Destroyed, ...]

    @property
    def gone_at(self) -> datetime | None:
        """When the last of the old versions is gone for ever."""
        return max((receipt.at for receipt in self.receipts), default=None)


def rotate(database: KeyDatabase, store_keys: StoreKeys) -> Rotation:
    """Begin a rotation and finish it, with any that was interrupted. Raises Transient; then it may be called again."""
    with database.reading() as connection:
        reached = destroyed_before(connection)
    version = begin(database, store_keys)
    rewrapped, damaged = _drain(database, store_keys)
    receipts = _destroy_emptied(database, store_keys.kms)
    with database.writing() as connection:
        lock(connection, exclusive=True)
        set_watermark(connection, ROTATED_AFTER, max(reached, watermark(connection, ROTATED_AFTER)))
    database.forget_log()
    return Rotation(version, rewrapped, damaged, receipts)


def owes_rotation(database: KeyDatabase) -> bool:
    """Whether no rotation was finished since retention destroyed keys."""
    with database.reading() as connection:
        return watermark(connection, ROTATED_AFTER) < destroyed_before(connection)


def begin(database: KeyDatabase, store_keys: StoreKeys) -> int:
    """Make a new store key, which wraps whatever is new from now on; its version."""
    with database.writing() as connection:
        lock(connection, exclusive=True)
        store_keys.kms.rotate()
        current = STORE_KEYS.c.state == StoreKeyState.CURRENT
        connection.execute(update(STORE_KEYS).where(current).values(state=StoreKeyState.DRAINING))
        return add_store_key(connection, store_keys.kms)


def _drain(database: KeyDatabase, store_keys: StoreKeys) -> tuple[int, int]:
    """Wrap every row with the current version; how many were wrapped, and how many could not be opened."""
    rewrapped = damaged = current = 0
    last: tuple[bytes, int] | None = BEGINNING
    while last is not None:
        with database.writing() as connection:
            lock(connection)
            live = {key.version: key for key in store_keys.live(connection)}
            if max(live) != current:
                # Another rotation began: the rows before are wrapped with a version that is not the current one.
                current, last, damaged = max(live), BEGINNING, 0
            done, failed, last = _drain_some(connection, live, last)
            if last is None:
                _mark_emptied(connection, current)
        rewrapped, damaged = rewrapped + done, damaged + failed
    return rewrapped, damaged


def _drain_some(
    connection: Connection, live: dict[int, StoreKey], after: tuple[bytes, int]
) -> tuple[int, int, tuple[bytes, int] | None]:
    """Wrap the next rows; how many were and were not, and the last of them, None when there are no more."""
    current = live[max(live)]
    key = tuple_(DATA_KEYS.c.subject, DATA_KEYS.c.epoch)
    found = connection.execute(
        select(DATA_KEYS.c.subject, DATA_KEYS.c.epoch, DATA_KEYS.c.store_key, DATA_KEYS.c.wrapped)
        .where(key > tuple_(*after), DATA_KEYS.c.store_key.in_(set(live) - {current.version}))
        .order_by(DATA_KEYS.c.subject, DATA_KEYS.c.epoch)
        .limit(AT_ONCE)
    )
    rows: Sequence[Any] = found.cursor.fetchall()
    wraps: list[tuple[int, bytes, bytes, int, int]] = []
    macs: list[tuple[bytes, bytes]] = []
    for subject, epoch, version, wrapped in rows:
        plain = live[version].unwrap(subject, epoch, wrapped)
        if plain is None:
            continue
        wraps.append((current.version, current.wrap(subject, epoch, plain), subject, epoch, version))
        if epoch == LASTING:
            macs.append((current.mac(plain[KEY_BYTES:]), subject))
    store = _store_in_sqlite if is_sqlite(connection) else _store_in_postgresql
    store(connection, wraps, macs)
    last = rows[-1][:2] if rows else None
    return len(wraps), len(rows) - len(wraps), last


# Rows and statements are the drivers': what SQLAlchemy adds for each row takes longer than wrapping it.


def _store_in_sqlite(
    connection: Connection, wraps: list[tuple[int, bytes, bytes, int, int]], macs: list[tuple[bytes, bytes]]
) -> None:
    if wraps:
        connection.exec_driver_sql(
            "UPDATE data_keys SET store_key = ?, wrapped = ? WHERE subject = ? AND epoch = ? AND store_key = ?", wraps
        )
    if macs:
        connection.exec_driver_sql("UPDATE persons SET mac = ? WHERE subject = ? AND mac IS NOT NULL", macs)


def _store_in_postgresql(
    connection: Connection, wraps: list[tuple[int, bytes, bytes, int, int]], macs: list[tuple[bytes, bytes]]
) -> None:
    if wraps:
        connection.exec_driver_sql(
            "UPDATE data_keys SET store_key = new.current, wrapped = new.wrapped"
            " FROM unnest(%s::int[], %s::bytea[], %s::bytea[], %s::int[], %s::int[])"
            " AS new (current, wrapped, subject, epoch, version)"
            " WHERE data_keys.subject = new.subject AND data_keys.epoch = new.epoch"
            " AND data_keys.store_key = new.version",
            tuple(map(list, zip(*wraps, strict=True))),
        )
    if macs:
        connection.exec_driver_sql(
            "UPDATE persons SET mac = new.mac FROM unnest(%s::bytea[], %s::bytea[]) AS new (mac, subject)"
            " WHERE persons.subject = new.subject AND persons.mac IS NOT NULL",
            tuple(map(list, zip(*macs, strict=True))),
        )


def _mark_emptied(connection: Connection, current: int) -> None:
    """Mark the versions before the current one: every row was seen under it, and nothing is wrapped with them again."""
    connection.execute(
        update(STORE_KEYS)
        .where(STORE_KEYS.c.state.in_(LIVE), STORE_KEYS.c.version < current)
        .values(state=StoreKeyState.EMPTIED)
    )


def _destroy_emptied(database: KeyDatabase, kms: Kms) -> tuple[Destroyed, ...]:
    """Have the key service destroy the versions that wrap nothing; its receipts."""
    with database.reading() as connection:
        rows = connection.execute(select(STORE_KEYS).where(STORE_KEYS.c.state == StoreKeyState.EMPTIED)).all()
        used = set(connection.execute(select(STORE_KEYS.c.kms_version).where(STORE_KEYS.c.state.in_(LIVE))).scalars())
    receipts = []
    for row in rows:
        if row.kms_version in used:
            continue
        receipt = kms.destroy(row.kms_version)
        receipts.append(receipt)
        with database.writing() as connection:
            connection.execute(
                update(STORE_KEYS)
                .where(STORE_KEYS.c.version == row.version)
                .values(state=StoreKeyState.DESTROYED, wrapped=None, destroyed_at=receipt.at)
            )
    return tuple(receipts)
