"""How far each partition is stored: positions, in the same transaction as the rows that they stand for.

A partition that was given to another process is not written by its old owner: whoever stores a batch says from which
position it was read, and the batch is refused when the position has moved on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Update, bindparam, select, tuple_, update

from schemas.errors import UndertoneError
from streams.history.tables import POSITIONS
from streams.history.writes.bulk import upsert
from workers.sql.connections import is_sqlite

Partition = tuple[str, int]
"""Topic and number."""


class Fenced(UndertoneError):
    """Another process has stored records of this partition: read its position again, and continue from there."""


@dataclass(frozen=True, slots=True)
class Stored:
    """How far a partition is stored: `streams/history/tables.py` says what each number is."""

    next_offset: int
    seq: int
    last_ms: int
    current_ms: int


@dataclass(frozen=True, slots=True)
class Step:
    """What a batch adds to a partition. expected: the position from which it was read; counted: records that it stores.

    next_offset and last_ms: offset after its last record, and Kafka's timestamp of that record; current_ms: everything
    that was written before this moment is stored with it.
    """

    at: Partition
    expected: int
    next_offset: int
    counted: int
    last_ms: int
    current_ms: int


def stored(connection: Connection, partitions: Iterable[Partition]) -> dict[Partition, Stored]:
    """The positions of these partitions; one that is new begins at offset 0."""
    wanted = sorted(partitions)
    if not wanted:
        return {}
    new = [
        {"topic": topic, "partition": partition, "next_offset": 0, "seq": 0, "last_ms": -1, "current_ms": 0}
        for topic, partition in wanted
    ]
    connection.execute(upsert(connection, POSITIONS).on_conflict_do_nothing(), new)
    return _read(connection, wanted)


def advance(connection: Connection, steps: Sequence[Step]) -> dict[Partition, int]:
    """Store the new positions; the number of the last record before each step.

    Until the transaction ends no other process can do so. Raises Fenced when a partition is not where it was read from.
    """
    found = _at_these(connection, {step.at: step.expected for step in steps})
    changed = [
        {
            "b_topic": step.at[0],
            "b_partition": step.at[1],
            "next_offset": step.next_offset,
            "seq": found[step.at].seq + step.counted,
            "last_ms": step.last_ms,
            "current_ms": max(step.current_ms, found[step.at].current_ms),
        }
        for step in steps
    ]
    connection.execute(_at(), changed)
    return {step.at: found[step.at].seq for step in steps}


def rewind(connection: Connection, partitions: Mapping[Partition, int]) -> None:
    """Read partitions whose log was created again from its beginning; numbers go on.

    partitions: the position that each has now. Raises Fenced like `advance`.
    """
    _at_these(connection, partitions)
    for topic, partition in partitions:
        connection.execute(_at(), {"b_topic": topic, "b_partition": partition, "next_offset": 0, "last_ms": -1})


def note_current(connection: Connection, partitions: Mapping[Partition, int], now_ms: int) -> None:
    """These partitions are read to their end: nothing waits at `now_ms`. partitions: the position that each has."""
    at_end = update(POSITIONS).where(
        POSITIONS.c.topic == bindparam("b_topic"),
        POSITIONS.c.partition == bindparam("b_partition"),
        POSITIONS.c.next_offset == bindparam("b_offset"),
    )
    rows = [
        {"b_topic": topic, "b_partition": partition, "b_offset": offset, "current_ms": now_ms}
        for (topic, partition), offset in sorted(partitions.items())
    ]
    if rows:
        connection.execute(at_end.values(current_ms=bindparam("current_ms")), rows)


def _at() -> Update:
    return update(POSITIONS).where(
        POSITIONS.c.topic == bindparam("b_topic"), POSITIONS.c.partition == bindparam("b_partition")
    )


def _at_these(connection: Connection, expected: Mapping[Partition, int]) -> dict[Partition, Stored]:
    """These partitions, locked. Raises Fenced when one has another position, or none since a reset."""
    found = _read(connection, sorted(expected))
    if any(at not in found or found[at].next_offset != offset for at, offset in expected.items()):
        raise Fenced("another process stores this partition")
    return found


def _read(connection: Connection, wanted: Sequence[Partition]) -> dict[Partition, Stored]:
    rows = select(POSITIONS).where(tuple_(POSITIONS.c.topic, POSITIONS.c.partition).in_(wanted))
    rows = rows.order_by(POSITIONS.c.topic, POSITIONS.c.partition)
    if not is_sqlite(connection):
        rows = rows.with_for_update()  # SQLite has one writer at a time
    return {
        (row.topic, row.partition): Stored(row.next_offset, row.seq, row.last_ms, row.current_ms)
        for row in connection.execute(rows)
    }
