"""The history's database: rows of the person are deleted, table by table of those that are marked so."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, column, select, table
from sqlalchemy.sql.expression import ColumnClause, TableClause

from streams.history.database import Database
from streams.history.tables import METADATA
from streams.history.writes.erasure import forget_person
from streams.privacy.places import Person, Trial

AT_ONCE = 1000
"""Rows that are read together."""


class SqlPlace:
    """One database, SQLite or PostgreSQL."""

    name = "SQL"

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget(self, person: Person) -> Counter[str]:
        """As `Place.forget`."""
        return await self._database.write(forget_person, person.subject, person.user_id)

    async def rewrite(self) -> Sequence[str]:
        """As `Place.rewrite`: SQLite writes its file again, PostgreSQL its tables and log where rows were in clear."""
        return await self._database.scrub()

    async def attempt(self, person: Person) -> Mapping[str, Trial]:
        """As `Place.attempt`: reads every row of every table."""
        return await self._database.read(_attempt, person)


def _attempt(connection: Connection, person: Person) -> dict[str, Trial]:
    found = {}
    for each in METADATA.sorted_tables:
        plain = _plain(each.name, each.columns.keys())
        rows = connection.execution_options(yield_per=AT_ONCE).execute(select(plain))
        found[each.name] = sum((_tried(row, person) for row in rows), Trial())
    return found


def _tried(row: Iterable[object], person: Person) -> Trial:
    values = [value.encode() if isinstance(value, str) else value for value in row if isinstance(value, str | bytes)]
    named = any(map(person.named_in, values))
    return Trial(tried=1, sealed=int(person.names[0].encode() in values), opened=0, named=int(named))


def _plain(name: str, columns: Iterable[str]) -> TableClause:
    """A table without the types of its columns: what is stored, not what it stands for."""
    plain: list[ColumnClause[object]] = [column(each) for each in columns]
    return table(name, *plain)
