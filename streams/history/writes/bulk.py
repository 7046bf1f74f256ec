"""Many rows in one statement: arrays in PostgreSQL, where a statement with thousands of parameters is slow to read."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Double,
    LargeBinary,
    Table,
    TableValuedAlias,
    Text,
    any_,
    bindparam,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

from workers.sql.connections import is_sqlite

TRIGRAMS = "people_trigrams"
"""Index of the parts of pseudonyms, where PostgreSQL has the extension pg_trgm."""
IN_ONE_STATEMENT = 1000
"""Most rows that one statement names in SQLite."""

T = TypeVar("T")
Values = Mapping[str, Any]
"""A row by the names of columns."""


def has_trigrams(connection: Connection) -> bool:
    """Whether PostgreSQL can find any part of a pseudonym by an index; asked once for each connection."""
    known = connection.info.get(TRIGRAMS)
    if known is None:
        known = connection.scalar(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": TRIGRAMS})
        connection.info[TRIGRAMS] = known
    return bool(known)


def upsert(connection: Connection, table: Table) -> Any:
    """An INSERT of this database that knows `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return (sqlite if is_sqlite(connection) else postgresql).insert(table)


def chunks(rows: Sequence[T], size: int = IN_ONE_STATEMENT) -> Iterator[Sequence[T]]:
    """The rows in pieces that one statement can name.

    >>> list(chunks("abc", 2))
    ['ab', 'c']
    """
    return (rows[start : start + size] for start in range(0, len(rows), size))


def among(connection: Connection, column: Column[str], values: Collection[str]) -> ColumnElement[bool]:
    """Whether a column of texts has one of these values, at most IN_ONE_STATEMENT of them."""
    if is_sqlite(connection):
        return column.in_(values)
    return column == any_(literal(list(values), ARRAY(Text)))


def insert_new(connection: Connection, table: Table, rows: Sequence[Values]) -> set[tuple[Any, ...]]:
    """Insert the rows whose primary key is new; these keys. All rows have the same columns."""
    new: set[tuple[Any, ...]] = set()
    keys = list(table.primary_key)
    for some in chunks(rows):
        insert = upsert(connection, table)
        if is_sqlite(connection):
            found = connection.execute(insert.on_conflict_do_nothing().returning(*keys), some)
        else:
            names = list(some[0])
            values = select(_unnested(table, some))
            whole = insert.from_select(names, values).on_conflict_do_nothing().returning(*keys)
            found = connection.execute(whole)
        new.update(tuple(row) for row in found)
    return new


def update_rows(connection: Connection, table: Table, key: str, rows: Sequence[Values]) -> None:
    """Set the other columns of the rows with these keys. All rows have the same columns."""
    if not rows:
        return
    names = [name for name in rows[0] if name != key]
    if is_sqlite(connection):
        changed = update(table).where(table.c[key] == bindparam("b_key")).values({n: bindparam(n) for n in names})
        connection.execute(changed, [{"b_key": row[key], **{name: row[name] for name in names}} for row in rows])
        return
    for some in chunks(rows):
        new = _unnested(table, some)
        changed = update(table).where(table.c[key] == new.c[key]).values({name: new.c[name] for name in names})
        connection.execute(changed)


def _unnested(table: Table, rows: Sequence[Values]) -> TableValuedAlias:
    """The rows as a table, from one array a column."""
    arrays = [literal([row[name] for row in rows], ARRAY(_plain(table.c[name].type))) for name in rows[0]]
    columns: list[Column[Any]] = [Column(name, _plain(table.c[name].type)) for name in rows[0]]
    return func.unnest(*arrays).table_valued(*columns, name="new").render_derived()


def _plain(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """A type of which arrays can be cast: without collation, and the widest of integers."""
    for plain in (LargeBinary, Double, Text):
        if isinstance(kind, plain):
            return plain()
    return BigInteger()
