"""The database of the history: SQLite in UNDERTONE_HOME, or PostgreSQL at UNDERTONE_DATABASE_URL.

Functions that read or write get a connection inside a transaction and run in a thread, since SQLAlchemy waits there. A
database that does not answer raises Transient; one that cannot be used at all raises ConfigurationError.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import Connection, Engine, event

from schemas.settings import Settings
from streams.history.migrations.upgrade import check_version, migrate
from streams.history.sealing import OPTION, RowSealing
from streams.history.writes.erasure import scrub
from workers.sql import errors
from workers.sql.connections import WRITES, is_sqlite, postgresql_engine, sqlite_engine

FILE = "history.db"
"""The file of SQLite in UNDERTONE_HOME."""
THREADS = 8
"""Queries at once in one process; as many connections."""
READ_S = 30
"""A query of PostgreSQL that takes longer is cancelled: no page waits for it."""

P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """One database, for any number of tasks at once. `Database.open(settings)`, `await database.read(function, …)`."""

    def __init__(self, engine: Engine, sealing: RowSealing | None = None) -> None:
        self.engine = engine.execution_options(**{OPTION: sealing})
        self._sealing = sealing
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
        return cls(engine, RowSealing(settings))

    @property
    def seals(self) -> bool:
        """Whether rows of people are written sealed."""
        return self._sealing is not None and self._sealing.on

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

    async def scrub(self) -> list[str]:
        """Remove from the disk what was deleted before; what may still hold it, in words. Raises Transient."""
        return await self._in_thread(self._scrub)

    def close(self) -> None:
        """Let queries end, and close the connections."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.engine.dispose()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _scrub(self) -> list[str]:
        with known_errors():
            return scrub(self.engine)

    def _run(self, function: Callable[..., T], writes: bool, args: Sequence[Any], kwargs: Mapping[str, Any]) -> T:
        with known_errors(), self.engine.connect() as idle:
            connection = idle.execution_options(**{WRITES: writes})
            with connection.begin():
                return function(connection, *args, **kwargs)


def engine_of(settings: Settings) -> Engine:
    """Connections to the database of the settings, none made yet. Raises ConfigurationError for an unusable address."""
    if settings.database_url is None:
        # No sort leaves rows in a temporary file.
        pragmas = ("foreign_keys = ON", "cache_size = -65536", "temp_store = MEMORY")
        return sqlite_engine(settings.home / FILE, THREADS, pragmas)
    engine = postgresql_engine(
        settings.database_url,
        "UNDERTONE_DATABASE_URL",
        connections=THREADS,
        answer_s=READ_S,
        name="undertone",
        # A plan for any search would not use the index of parts of pseudonyms.
        options="-c plan_cache_mode=force_custom_plan",
    )
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def known_errors() -> AbstractContextManager[None]:
    """Errors of the database in the block become Transient, or ConfigurationError; others stay as they are."""
    return errors.known_errors(_MESSAGES)


_MESSAGES = errors.Messages(
    "the database",
    "UNDERTONE_DATABASE_URL: PostgreSQL refuses this user, password, database or table; correct the address, or grant "
    "SELECT, INSERT, UPDATE and DELETE on the tables of the history",
    f"UNDERTONE_HOME: {FILE} is damaged or no file of SQLite; move it away, start again, and read the topics again "
    "with `undertone history rebuild`",
)


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get(WRITES, True) is False:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
