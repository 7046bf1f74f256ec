"""An erasure in the history's database: no row of the person is left, nor a byte in the file of SQLite."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, LargeBinary, Text, func, insert, select

from schemas.privacy_marks import Erased
from schemas.settings import Settings
from streams.history.database import Database
from streams.history.tables import COHORT_MEMBERS, FACTS, MARKS, METADATA
from streams.privacy.places import Person
from streams.privacy.sql_place import SqlPlace

ERASED = Person("person-1", bytes(range(16)))
OTHERS = ("person-12", "f" * 32)
OWN = [table for table in METADATA.sorted_tables if table.info[MARKS].erased is Erased.DELETED]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A history with rows of every table that is a person's."""
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    settings = Settings(home=tmp_path, database_url=url)
    Database.migrate(settings)
    opened = Database.open(settings)
    with opened.engine.connect() as connection, connection.begin():
        for table in OWN:
            for user in (*ERASED.names, *OTHERS):
                connection.execute(insert(table), {each.name: _value(each, user) for each in table.columns})
    yield opened
    opened.close()


def _value(column: "Column[object]", user: str) -> object:
    if column.name == "user_id":
        return user
    if isinstance(column.type, LargeBinary):
        return f"\x06{user}\x00".encode()
    return f"{column.name} of {user}" if isinstance(column.type, Text) else 1


def test_no_row_of_the_person_is_left_and_every_row_of_the_others_is(database: Database) -> None:
    place = SqlPlace(database)
    before = asyncio.run(place.attempt(ERASED))
    assert {table.name for table in OWN} == {name for name, trial in before.items() if trial.named and trial.sealed}
    assert asyncio.run(place.forget(ERASED)) == {table.name: 2 for table in OWN}
    asyncio.run(place.rewrite())
    after = asyncio.run(place.attempt(ERASED))
    assert all(trial.passed and not trial.sealed for trial in after.values())
    with database.engine.connect() as connection:
        for table in OWN:
            rows = connection.execute(select(table.c.user_id).order_by(table.c.user_id)).scalars()
            assert sorted(rows) == sorted(OTHERS), table.name
    assert asyncio.run(place.forget(ERASED)).total() == 0, "it may be repeated"


def test_a_pseudonym_in_a_table_of_nobody_is_found(database: Database) -> None:
    with database.engine.connect() as connection, connection.begin():
        connection.execute(insert(FACTS), {"name": "last", "value": f"read {ERASED.user_id}"})
    assert asyncio.run(SqlPlace(database).attempt(ERASED))["facts"].named == 1


def test_no_byte_is_left_in_the_file_of_sqlite(tmp_path: Path) -> None:
    """With enough rows that the deleted ones had pages of their own, which SQLite would only mark as free."""
    settings = Settings(home=tmp_path)
    database = Database.open(settings)
    with database.engine.connect() as connection, connection.begin():
        names = [f"{ERASED.user_id}-{number}-of-many" for number in range(200)]
        rows = [{"user_id": name, "cohort": "north" * 200} for name in (*names, ERASED.user_id, *OTHERS)]
        connection.execute(insert(COHORT_MEMBERS), rows)
    place = SqlPlace(database)
    for name in (*names[:40], ERASED.user_id):
        asyncio.run(place.forget(Person(name, bytes(16))))
    asyncio.run(place.rewrite())
    data = b"".join(path.read_bytes() for path in tmp_path.glob("history.db*"))
    assert [name for name in (*names[:40], ERASED.user_id) if Person(name, bytes(16)).named_in(data)] == []
    assert all(name.encode() in data for name in names[40:])
    with database.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(COHORT_MEMBERS)).scalar() == 162
    database.close()
