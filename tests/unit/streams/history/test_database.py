import asyncio
import sqlite3
import stat
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from schemas.errors import ConfigurationError, Transient
from schemas.settings import Settings
from streams.history.database import FILE, Database
from tests.postgres import PostgresServer


def names(connection: Connection) -> list[str]:
    return list(connection.execute(text("SELECT name FROM facts ORDER BY name")).scalars())


def add(connection: Connection, name: str, *, fails: bool = False) -> None:
    connection.execute(text("INSERT INTO facts VALUES (:name, '1')"), {"name": name})
    if fails:
        raise ValueError("after the write")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    settings = Settings(home=tmp_path, database_url=url)
    Database.migrate(settings)
    return settings


async def test_writes_are_stored_whole_or_not_at_all(settings: Settings) -> None:
    database = Database.open(settings)
    await database.write(add, "a")
    with pytest.raises(ValueError, match="after the write"):
        await database.write(add, "b", fails=True)
    assert await database.read(names) == ["a"]
    database.close()


async def test_a_reader_writes_nothing(settings: Settings) -> None:
    if settings.database_url is None:
        pytest.skip("SQLite has no such transaction")
    database = Database.open(settings)
    with pytest.raises(DBAPIError, match="read-only"):
        await database.read(add, "a")
    database.close()


async def test_many_writers_take_turns(settings: Settings) -> None:
    database = Database.open(settings)
    await asyncio.gather(*(database.write(add, f"{number:02}") for number in range(40)))
    assert len(await database.read(names)) == 40
    database.close()


def test_the_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    Database.open(Settings(home=home)).close()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / FILE).stat().st_mode) == 0o600
    with sqlite3.connect(home / FILE) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_file_that_is_no_database_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"something else " * 1000)
    with pytest.raises(ConfigurationError, match="undertone history rebuild"):
        Database.open(Settings(home=tmp_path))


@pytest.mark.parametrize("url", ["", "mysql://a@b/c", "postgresql", "http://host", "://", "oracle://x"])
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="UNDERTONE_DATABASE_URL") as error:
        Database.open(Settings(database_url=url or "x"))
    assert not url or url not in str(error.value).replace("postgresql://user", "")


def test_a_database_that_does_not_answer_is_waited_for() -> None:
    with pytest.raises(Transient, match="database"):
        Database.open(Settings(database_url="postgresql://u:secret@127.0.0.1:1/x"))


@pytest.mark.postgres
async def test_a_query_is_planned_for_its_values_however_often_it_is_asked(postgres_url: str) -> None:
    settings = Settings(database_url=postgres_url)
    Database.migrate(settings)
    database = Database.open(settings)
    plans = await database.read(plans_of_one_search)
    database.close()
    assert all("3fa9" in plan for plan in plans), "a plan for any value has $1 in its place"


def plans_of_one_search(connection: Connection) -> list[str]:
    """The plans of a prepared query that is asked many times, as psycopg prepares those that come often."""
    connection.execute(text("PREPARE search (text) AS SELECT 1 FROM people WHERE folded LIKE $1"))
    asked = text("EXPLAIN EXECUTE search('%3fa9%')")
    return ["\n".join(connection.execute(asked).scalars()) for _ in range(8)]


def test_a_database_that_does_not_exist_is_said(postgres: PostgresServer) -> None:
    with pytest.raises(ConfigurationError, match="refuses"):
        Database.open(Settings(database_url=postgres.url("missing")))
