"""The tables of the key directory, and connections to them: SQLite in UNDERTONE_HOME, or PostgreSQL.

SQLite overwrites what it deletes (`secure_delete`), and its write-ahead log is emptied after keys were destroyed. No
row names a person in clear.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from workers.sql.connections import WRITES, empty_log, is_sqlite, postgresql_engine, sqlite_engine
from workers.sql.errors import Messages, known_errors

FILE = "keys.db"
"""The file of SQLite in UNDERTONE_HOME."""
SERVED = (
    "this process gets its keys from UNDERTONE_KEY_SERVICE_URL and has no key directory: run it where "
    "UNDERTONE_KEY_DIRECTORY_URL and UNDERTONE_KMS are set"
)
CONNECTIONS = 4
ANSWER_S = 60
"""A statement of PostgreSQL that takes longer is cancelled."""
CREATION = 0x756E6B79
"""Advisory lock of PostgreSQL under which tables are made: two processes take turns."""
AT_ONCE = 2000
"""Rows of one query."""
FORMAT = "format"
DESTROYED_BEFORE = "destroyed_before"
ROTATED_AFTER = "rotated_after"

T = TypeVar("T")

METADATA = MetaData()
NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up columns of this type only."""

STORE_KEYS = Table(
    "store_keys",
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),
    # `current`, `draining` while a rotation runs, `emptied` until the key service destroyed its version, `destroyed`.
    Column("state", String(16), nullable=False),
    Column("kms_version", String(512), nullable=False),
    Column("wrapped", LargeBinary),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("destroyed_at", DateTime(timezone=True)),
)
"""Versions of the key that wraps the keys of people, each wrapped by the key service."""

PERSONS = Table(
    "persons",
    METADATA,
    Column("number", NUMBER, primary_key=True, autoincrement=True),
    Column("subject", LargeBinary(16), nullable=False, unique=True),
    # HMAC of the pseudonym with a key of the store key's version; empty once the person is erased.
    Column("mac", LargeBinary(32), unique=True),
    Column("state", String(16), nullable=False),
    # The pseudonym, sealed with the person's lasting key.
    Column("name", LargeBinary),
    Column("enrolled_at", DateTime(timezone=True), nullable=False),
    Column("erased_at", DateTime(timezone=True)),
)

DATA_KEYS = Table(
    "data_keys",
    METADATA,
    Column("subject", LargeBinary(16), primary_key=True),
    Column("epoch", SmallInteger().with_variant(Integer, "postgresql"), primary_key=True),
    Column("store_key", Integer, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""One 256-bit key per person and epoch, wrapped by a store key."""
Index("data_keys_by_epoch", DATA_KEYS.c.epoch)

WATERMARKS = Table(
    "watermarks", METADATA, Column("name", String(32), primary_key=True), Column("value", Integer, nullable=False)
)
"""`destroyed_before`: the first epoch whose keys were not destroyed by retention; `rotated_after`: what that was before
the last rotation; `format`: of these tables."""

ERASURES = Table(
    "erasures",
    METADATA,
    Column("subject", LargeBinary(16), primary_key=True),
    # A keyed hash of the pseudonym, in hexadecimal digits.
    Column("person", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("ticket", Text),
    Column("started_at", DateTime(timezone=True), nullable=False),
    # What each step did that is done, as JSON by its name.
    Column("done", Text, nullable=False),
    Column("finished_at", DateTime(timezone=True)),
)
"""Erasures, finished or not: `streams/privacy/journal.py`."""
Index("erasures_by_person", ERASURES.c.person)

ERASURE_RUNS = Table(
    "erasure_runs",
    METADATA,
    Column("subject", LargeBinary(16), primary_key=True),
    # Where its key is in `data_keys`: random, so that it is no person's.
    Column("key", LargeBinary(16), nullable=False),
    # The pseudonym, sealed with that key.
    Column("name", LargeBinary, nullable=False),
    # The process that takes its steps, and the Unix time until which no other one does.
    Column("holder", LargeBinary(16), nullable=False),
    Column("held_until", BigInteger, nullable=False),
)
"""Erasures that a process goes on with by itself: `streams/privacy/resuming.py`. A row goes with its certificate."""

KEY_HOLDERS = Table(
    "key_holders",
    METADATA,
    # Random, of this life of the process.
    Column("holder", LargeBinary(16), primary_key=True),
    # Unix time.
    Column("seen_at", BigInteger, nullable=False),
)
"""Processes that may have keys in memory. Who ends well is removed."""
KEYS_DROPPED = Table(
    "keys_dropped",
    METADATA,
    Column("holder", LargeBinary(16), primary_key=True),
    Column("subject", LargeBinary(16), primary_key=True),
)
"""Whose keys a process dropped, of those people who are being erased."""


def engine_of(settings: Settings) -> Engine:
    """Connections to the key directory, none made yet.

    Raises ConfigurationError for an unusable address, for a file that others may read, and with a key server instead.
    """
    if settings.key_directory_url is None and settings.key_service_url and not (settings.home / FILE).exists():
        raise ConfigurationError(SERVED)
    if settings.key_directory_url is None:
        engine = sqlite_engine(settings.home / FILE, CONNECTIONS, ("cache_size = -16384",))
        if (settings.home / FILE).stat().st_mode & 0o077:
            raise ConfigurationError(f"UNDERTONE_HOME: other users may read {FILE}, the key directory: `chmod 600` it")
        return engine
    return postgresql_engine(
        settings.key_directory_url,
        "UNDERTONE_KEY_DIRECTORY_URL",
        connections=CONNECTIONS,
        answer_s=ANSWER_S,
        name="undertone-keys",
    )


_MESSAGES = Messages(
    "the key directory",
    "UNDERTONE_KEY_DIRECTORY_URL: PostgreSQL refuses this user, password, database or table; correct the address, or "
    "grant SELECT, INSERT, UPDATE and DELETE on the tables of the key directory",
    f"UNDERTONE_HOME: {FILE}, the key directory, is damaged: restore it from its newest backup",
    "the key directory has no tables: run `undertone keys init`",
)
_FORMAT = select(WATERMARKS.c.value).where(WATERMARKS.c.name == FORMAT)


def lock(connection: Connection, *, exclusive: bool = False) -> None:
    """Until the end of the transaction no rotation begins, or, exclusive, no other writer. SQLite has one anyway."""
    connection.execute(_FORMAT.with_for_update(read=not exclusive)).all()


def chunks(values: Iterable[T], size: int = AT_ONCE) -> Iterator[tuple[T, ...]]:
    """The values, so many at a time.

    >>> list(chunks("abc", 2))
    [('a', 'b'), ('c',)]
    """
    rest = iter(values)
    while some := tuple(islice(rest, size)):
        yield some


def states_of(connection: Connection, subjects: Iterable[bytes]) -> Mapping[bytes, str]:
    """The state of each of these people who is in the directory."""
    rows = connection.execute(
        select(PERSONS.c.subject, PERSONS.c.state).where(PERSONS.c.subject.in_(sorted(set(subjects))))
    )
    return {row.subject: row.state for row in rows}


def destroyed_before(connection: Connection) -> int:
    """The first epoch that retention left; 0 where it destroyed none."""
    return watermark(connection, DESTROYED_BEFORE)


def watermark(connection: Connection, name: str) -> int:
    """A value of WATERMARKS; 0 where there is none."""
    return connection.execute(select(WATERMARKS.c.value).where(WATERMARKS.c.name == name)).scalar() or 0


def set_watermark(connection: Connection, name: str, value: int) -> None:
    """Replace a value of WATERMARKS, under `lock`."""
    connection.execute(delete(WATERMARKS).where(WATERMARKS.c.name == name))
    connection.execute(insert(WATERMARKS).values(name=name, value=value))


def insert_missing(connection: Connection, table: Table, rows: list[dict[str, Any]], unique: list[str]) -> None:
    """Insert rows, without those that another process inserted first."""
    dialect: Any = sqlite if is_sqlite(connection) else postgresql
    if rows:
        connection.execute(dialect.insert(table).on_conflict_do_nothing(index_elements=unique), rows)


class KeyDatabase:
    """Transactions on the tables. Errors become Transient or ConfigurationError."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that writes nothing."""
        with known_errors(_MESSAGES), self.engine.connect() as idle:
            connection = idle.execution_options(**{WRITES: False})
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is stored whole, or not at all when the block raises."""
        with known_errors(_MESSAGES), self.engine.connect() as connection, connection.begin():
            yield connection

    def create(self) -> None:
        """Make the tables that are missing, and the row that writers lock."""
        with self.writing() as connection:
            if not is_sqlite(connection):
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({CREATION})")
            METADATA.create_all(connection)
            if connection.execute(_FORMAT).first() is None:
                connection.execute(insert(WATERMARKS).values(name=FORMAT, value=1))

    def forget_log(self) -> None:
        """Empty the write-ahead log of SQLite, which holds pages from before a deletion. Raises Transient."""
        with known_errors(_MESSAGES):
            empty_log(self.engine)
