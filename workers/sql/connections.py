"""Connections to a SQL database: a file of SQLite for its user alone, or PostgreSQL.

A transaction of SQLite writes, unless its connection has the execution option WRITES set to False.
"""

import os
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from schemas.errors import ConfigurationError, Transient

WRITES = "undertone_writes"
BUSY_S = 30.0
"""How long a writer of SQLite waits for another one."""
CONNECT_S = 10
CHECKPOINT_S, AGAIN_S = 30.0, 0.1
"""Seconds in which readers of SQLite let the write-ahead log be emptied, and between two attempts."""


def is_sqlite(database: Connection | Engine) -> bool:
    """Whether the database is a file of SQLite."""
    return database.dialect.name == "sqlite"


def sqlite_engine(path: Path, connections: int, pragmas: Collection[str] = ()) -> Engine:
    """Connections to a file of SQLite, which is made for its user alone; so are the files that SQLite puts next to it.

    connections: most at once; pragmas: of every connection, beyond those that make commits last and deletions real.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    engine = create_engine(
        f"sqlite:///{path}",
        pool_size=connections,
        max_overflow=0,
        hide_parameters=True,
        connect_args={"timeout": BUSY_S, "isolation_level": None, "check_same_thread": False},
    )
    # With the write-ahead log readers and one writer do not wait for each other; FULL: a commit is on disk.
    settings = ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON", *pragmas)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        for pragma in settings:
            connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "begin", _begin_sqlite)
    return engine


def postgresql_engine(
    url: str, setting: str, *, connections: int, answer_s: int, name: str, options: str = ""
) -> Engine:
    """Connections to PostgreSQL, none made yet. Raises ConfigurationError for another address, without repeating it.

    setting: which has the address; answer_s: a statement that takes longer is cancelled; name: in PostgreSQL's lists;
    options: more of them for each session, as `-c name=value`.
    """
    return create_engine(
        _address(url, setting),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=CONNECT_S,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_S,
            "application_name": name,
            "options": f"-c statement_timeout={answer_s * 1000} -c timezone=UTC {options}".rstrip(),
        },
    )


def empty_log(engine: Engine, *, rewrite: bool = False) -> None:
    """Empty the write-ahead log of SQLite, which holds pages from before a deletion; nothing for PostgreSQL.

    rewrite: write the file again first, which may hold what was deleted before deletions overwrote it. Raises
    Transient while a reader keeps the log.
    """
    if not is_sqlite(engine):
        return
    deadline = time.monotonic() + CHECKPOINT_S
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection  # a transaction, which SQLAlchemy would begin, forbids it
        if rewrite:
            driver.execute("VACUUM")
        while driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > deadline:
                raise Transient("a reader of SQLite keeps its write-ahead log from being emptied")
            time.sleep(AGAIN_S)


def _address(text: str, setting: str) -> URL:
    """The address with the driver that is installed."""
    wrong = f"{setting} is not postgresql://user:password@host:5432/database: correct it, or unset it to use SQLite"
    try:
        address = make_url(text)
        if address.get_backend_name() not in {"postgresql", "postgres"}:
            raise ConfigurationError(wrong)
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise ConfigurationError(wrong) from None
    return address.set(drivername="postgresql+psycopg")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once: one that reads before it writes could not wait for another writer.
    writes = connection.get_execution_options().get(WRITES, True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
