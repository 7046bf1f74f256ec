"""Reading rows of people: sealed ones are opened, in one look at the key directory for all of a result."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, Table
from sqlalchemy.engine import IteratorResult, Result
from sqlalchemy.engine.result import SimpleResultMetaData

from schemas.errors import Erased, Transient, UnreadableState
from schemas.sealed_frame import is_sealed
from streams.history.sealing import SUBJECT, RowSealing, sealing_of, shape_of

log = logging.getLogger(__name__)


class Opened(list[Row[Any]]):
    """Rows in clear. left_out: how many were left out, of erased people or moved by somebody."""

    left_out = 0


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the columns of one table are in the rows of a result."""

    table: Table
    user: int
    frame: int
    keys: tuple[int, ...]
    hidden: Mapping[str, int]


def opened(connection: Connection, statement: Select[Any], table: Table, **joined: Table) -> Opened:
    """The rows that a query finds, in clear; those of erased people are left out. Raises Transient.

    table: whose `user_id` and hidden columns are selected by their names; joined: other tables of the same person, by
    the prefix of their labels. Of each the frame and the primary key are selected with anything that is hidden.
    """
    result = connection.execute(statement)
    names = tuple(result.keys())
    rows = result.all()
    places = [_place(names, *each) for each in (("", table), *joined.items())]
    if not any(is_sealed(row[place.frame]) for place in places for row in rows):
        return Opened(rows)
    sealing = sealing_of(connection)
    if sealing is None:
        raise Transient("rows of the history are sealed: open the database with the settings of its keys")
    return _all_opened(sealing, names, rows, places)


def _place(names: Sequence[str], prefix: str, table: Table) -> _Place:
    at = {name: index for index, name in enumerate(names)}
    shape = shape_of(table)
    assert shape.frame is not None, f"rows of {table.name} have no frame"
    return _Place(
        table=table,
        user=at["user_id"],
        frame=at[prefix + shape.frame],
        keys=tuple(at[prefix + name] for name in shape.keys),
        hidden={name: at[prefix + name] for name in shape.hidden if prefix + name in at},
    )


def _all_opened(
    sealing: RowSealing, names: Sequence[str], rows: Sequence[Row[Any]], places: Sequence[_Place]
) -> Opened:
    user = places[0].user
    subjects = {
        bytes.fromhex(row[user])
        for row in rows
        if SUBJECT.fullmatch(row[user]) and any(is_sealed(row[place.frame]) for place in places)
    }
    sealing.warm(subjects)
    found, moved = [], 0
    for row in rows:
        try:
            found.append(_opened_row(sealing, row, places))
        except Erased:
            continue
        except UnreadableState:
            moved += 1
    if moved:
        about = "%d rows of table %s are not shown: changed, or moved from other rows; `undertone history rebuild`"
        log.error(about, moved, places[0].table.name)
    result: Result[Any] = IteratorResult(SimpleResultMetaData(names), iter(found))
    in_clear = Opened(result.all())
    in_clear.left_out = len(rows) - len(found)
    return in_clear


def _opened_row(sealing: RowSealing, row: Row[Any], places: Sequence[_Place]) -> tuple[Any, ...]:
    values = list(row)
    for place in places:
        frame = row[place.frame]
        if not is_sealed(frame):
            continue
        if not SUBJECT.fullmatch(row[place.user]):
            raise UnreadableState("a frame of somebody else")
        subject = bytes.fromhex(row[place.user])
        content = sealing.content(place.table, frame, subject, [row[index] for index in place.keys])
        for name, index in place.hidden.items():
            values[index] = content[name]
        values[place.user] = sealing.keyring.user(subject)
    return tuple(values)


def opened_page(
    connection: Connection, statement: Select[Any], limit: int, table: Table, **joined: Table
) -> list[Row[Any]]:
    """The first `limit` rows of people who are not erased. Raises Transient."""
    return filled(limit, lambda number: opened(connection, statement.limit(number), table, **joined))


def filled(limit: int, read: Callable[[int], Opened]) -> list[Row[Any]]:
    """As many rows as there are, at most `limit`, though some are left out. read: the first ones, so many."""
    more = 0
    while (found := read(limit + more)).left_out > more:
        more = found.left_out
    return found[:limit]
