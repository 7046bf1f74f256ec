"""The database of the history: SQLite in UNDERTONE_HOME, or PostgreSQL at UNDERTONE_DATABASE_URL.

Functions that read or write get a connection inside a transaction and run in a thread, since SQLAlchemy waits there. A
database that does not answer raises Transient; one that cannot be used at all raises ConfigurationError.
"""

import asyncio
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from schemas.errors import ConfigurationError, Transient
from schemas.settings import Settings
from streams.history.migrations.upgrade import check_version, migrate
from streams.history.writes.bulk import is_sqlite

FILE = "history.db"
"""The file of SQLite in UNDERTONE_HOME."""
THREADS = 8
"""Queries at once in one process; as many connections."""
BUSY_S = 30.0
"""How long a writer of SQLite waits for another one."""
CONNECT_S = 10
READ_S = 30
"""A query of PostgreSQL that takes longer is cancelled: no page waits for it."""
FATAL = ("28", "3D", "42501")
"""SQLSTATEs, or their classes, that an operator has to resolve: wrong credentials, no such database, no right."""
REFUSED = re.compile("authentication failed|does not exist|no pg_hba.conf entry|permission denied")
"""The same in what PostgreSQL says to a new connection, which has no SQLSTATE."""

P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """One database, for any number of tasks at once. `Database.open(settings)`, `await database.read(function, …)`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="history")

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """The database of the settings, with the tables of this version.

        SQLite is created or migrated here. Raises Transient when the database does not answer, and ConfigurationError
        when it cannot be used, or when PostgreSQL is to be migrated first (`undertone history migrate`).
        """
        engine = engine_of(settings)
        try:
            with known_errors():
                (migrate if is_sqlite(engine) else check_version)(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    @staticmethod
    def migrate(settings: Settings) -> bool:
        """Bring the tables to this version; whether there was anything to do. Raises as `open`."""
        engine = engine_of(settings)
        try:
            with known_errors():
                return migrate(engine)
        finally:
            engine.dispose()

    async def read(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` finds; its connection writes nothing. Raises Transient."""
        return await self._in_thread(lambda: self._run(function, False, args, kwargs))

    async def write(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns, once everything that it wrote is stored; nothing is when it raises."""
        return await self._in_thread(lambda: self._run(function, True, args, kwargs))

    def close(self) -> None:
        """Let queries end, and close the connections."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.engine.dispose()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _run(self, function: Callable[..., T], writes: bool, args: Sequence[Any], kwargs: Mapping[str, Any]) -> T:
        with known_errors(), self.engine.connect() as idle:
            connection = idle.execution_options(undertone_writes=writes)
            with connection.begin():
                return function(connection, *args, **kwargs)


def engine_of(settings: Settings) -> Engine:
    """Connections to the database of the settings, none made yet. Raises ConfigurationError for an unusable address."""
    if settings.database_url is None:
        return _sqlite_engine(settings.home / FILE)
    address = _address(settings.database_url)
    engine = create_engine(
        address,
        pool_size=THREADS,
        max_overflow=0,
        pool_timeout=CONNECT_S,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": CONNECT_S,
            "application_name": "undertone",
            "options": f"-c statement_timeout={READ_S * 1000} -c timezone=UTC",
        },
    )
    event.listen(engine, "begin", _begin_postgresql)
    return engine


@contextmanager
def known_errors() -> Iterator[None]:
    """Errors of the database in the block become Transient, or ConfigurationError; others stay as they are."""
    try:
        yield
    except PoolTimeout as error:
        raise Transient("the database answers too slowly: every connection is in use") from error
    except (OperationalError, InterfaceError) as error:
        state = getattr(error.orig, "sqlstate", None) or ""
        if state.startswith(FATAL) or REFUSED.search(str(error.orig)):
            raise ConfigurationError(
                "UNDERTONE_DATABASE_URL: PostgreSQL refuses this user, password or database; correct the address or "
                "grant the right"
            ) from None
        raise Transient(f"the database does not serve this request ({_kind(error)})") from None
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Transient(f"the connection to the database was lost ({_kind(error)})") from None
        if "not a database" in str(error.orig) or "malformed" in str(error.orig):
            raise ConfigurationError(
                f"UNDERTONE_HOME: {FILE} is damaged or no file of SQLite; move it away, start again, and read the "
                "topics again with `undertone history rebuild`"
            ) from None
        if (getattr(error.orig, "sqlstate", None) or "").startswith(FATAL):
            raise ConfigurationError(
                "UNDERTONE_DATABASE_URL: this user may not use the tables of the history; grant SELECT, INSERT, UPDATE "
                "and DELETE on them"
            ) from None
        raise


def _kind(error: DBAPIError) -> str:
    """What went wrong, without the statement and its values, which may name people."""
    state = getattr(error.orig, "sqlstate", None)
    return f"{type(error.orig).__name__}, SQLSTATE {state}" if state else type(error.orig).__name__


def _address(text: str) -> URL:
    """The address with the driver that is installed. Raises ConfigurationError, which does not repeat it."""
    wrong = (
        "UNDERTONE_DATABASE_URL is not postgresql://user:password@host:5432/database: correct it, or unset it to use "
        "SQLite"
    )
    try:
        address = make_url(text)
        if address.get_backend_name() not in {"postgresql", "postgres"}:
            raise ConfigurationError(wrong)
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise ConfigurationError(wrong) from None
    return address.set(drivername="postgresql+psycopg")


def _sqlite_engine(path: Path) -> Engine:
    _create_private(path)
    engine = create_engine(
        f"sqlite:///{path}",
        pool_size=THREADS,
        max_overflow=0,
        connect_args={"timeout": BUSY_S, "isolation_level": None, "check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _create_private(path: Path) -> None:
    """An empty file for its user alone; SQLite gives the files next to it the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def _prepare_sqlite(connection: Any, _: object) -> None:
    # With the write-ahead log readers and one writer do not wait for each other; FULL: a commit is on disk.
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "cache_size = -65536"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once: one that reads before it writes could not wait for another writer.
    writes = connection.get_execution_options().get("undertone_writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get("undertone_writes", True) is False:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
