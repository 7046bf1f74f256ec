"""Connections: files for their user alone, one writer at a time, and a log that is empty or said not to be."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from schemas.errors import ConfigurationError, Transient
from workers.sql import connections
from workers.sql.connections import WRITES, empty_log, postgresql_engine, sqlite_engine


def filled(path: Path) -> None:
    engine = sqlite_engine(path, 2)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE people (name TEXT)"))
        connection.execute(text("INSERT INTO people VALUES ('canary')"))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM people"))
    engine.dispose()


def test_a_file_and_what_is_next_to_it_are_for_their_user_alone(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "home" / "some.db", 2)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE people (name TEXT)"))
        modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "home").iterdir()}
    engine.dispose()
    assert modes == {"some.db": 0o600, "some.db-wal": 0o600, "some.db-shm": 0o600}


def test_a_reader_takes_no_lock_of_a_writer(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "some.db", 2)
    with engine.begin() as writer:
        writer.execute(text("CREATE TABLE people (name TEXT)"))
        with engine.connect().execution_options(**{WRITES: False}) as reader, reader.begin():
            assert reader.scalar(text("SELECT 1")) == 1
    engine.dispose()


def test_an_emptied_log_holds_nothing_of_what_was_deleted(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    keeping = sqlite3.connect(path)  # the last connection to be closed would empty the log by itself
    keeping.execute("PRAGMA journal_mode = WAL").fetchall()
    keeping.execute("SELECT count(*) FROM sqlite_master").fetchall()
    filled(path)
    assert any(b"canary" in file.read_bytes() for file in tmp_path.iterdir())
    engine = sqlite_engine(path, 2)
    empty_log(engine)
    assert not any(b"canary" in file.read_bytes() for file in tmp_path.iterdir())
    engine.dispose()
    keeping.close()


def test_a_log_that_a_reader_keeps_is_said_to_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CHECKPOINT_S", 0.0)
    path = tmp_path / "some.db"
    sqlite_engine(path, 1).connect().close()
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM sqlite_master").fetchall()
    filled(path)
    engine = sqlite_engine(path, 2)
    with engine.connect() as connection:
        connection.connection.driver_connection.execute("PRAGMA busy_timeout = 1")  # type: ignore[union-attr]
    with pytest.raises(Transient, match="write-ahead log"):
        empty_log(engine)
    reader.execute("COMMIT")
    empty_log(engine)
    engine.dispose()
    reader.close()


@pytest.mark.parametrize("url", ["", "mysql://a@b/c", "postgresql", "http://host", "://", "oracle://x"])
def test_another_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="UNDERTONE_SOME_URL is not postgresql://") as error:
        postgresql_engine(url, "UNDERTONE_SOME_URL", connections=1, answer_s=1, name="test")
    assert not url or url not in str(error.value).replace("postgresql://user", "")
