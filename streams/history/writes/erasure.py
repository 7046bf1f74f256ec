"""Removes one person's rows, and then what both databases keep of deleted rows on disk.

PostgreSQL keeps the bytes of a deleted row in its table until they are written over, samples of columns in its
statistics, and all of it in its write-ahead log. Of sealed rows that says nothing once their keys are destroyed. Where
rows were ever stored in clear, tables, statistics and log are written again, once: ONLY_SEALED says that it was done.
While rows are stored in clear, it is done after somebody's last row went: only then do files name a person that no row
names, and GONE differs from REWRITTEN.
"""

from collections import Counter
from collections.abc import Collection
from uuid import uuid4

from sqlalchemy import Connection, Engine, Table, delete, func, or_, select, text
from sqlalchemy.exc import ProgrammingError

from schemas.sealed_frame import SEALED_MAGIC, SUBJECT_BYTES
from streams.history.tables import ACTIONS, COHORT_MEMBERS, FACTS, PEOPLE, PERSONAL, REBUILDS
from streams.history.writes.bulk import upsert
from workers.sql.connections import empty_log, is_sqlite
from workers.sql.errors import is_refused

ONLY_SEALED = "only_sealed"
"""Fact of a database in PostgreSQL: its files hold no row in clear, nor what was left of one."""
GONE = "gone"
"""Fact: when somebody's last row in clear was last deleted, as a random text; none where it never was."""
REWRITTEN = "rewritten"
"""Fact of a database in PostgreSQL: what GONE was before its files were last written again, empty for none."""
TABLES_LEFT = "PostgreSQL's tables {}: `VACUUM FULL` of them is their owner's right"
LOG_LEFT = (
    "PostgreSQL's write-ahead log, until it is used again: this user may not run CHECKPOINT, pg_switch_wal and "
    "pg_ls_waldir"
)
LOG_KEPT = "PostgreSQL's write-ahead log, of which {} files are kept for an archive or a replica"
LOG_FILES = "SELECT count(*) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'"
STATISTICS = "pg_statistic"
"""PostgreSQL's own table with samples of every column."""


def forget_person(connection: Connection, subject: bytes, user_id: str | None = None) -> Counter[str]:
    """Delete every row of a person; how many, by table.

    subject: 16 bytes; user_id: the pseudonym, under which rows from before sealing are stored.
    """
    deleted = Counter({table.name: _deleted(connection, table, subject.hex()) for table in PERSONAL})
    if user_id is None:
        return deleted
    in_clear = Counter({table.name: _deleted(connection, table, user_id) for table in PERSONAL})
    if in_clear.total():
        note_clear(connection)
    return Counter({table.name: deleted[table.name] + in_clear[table.name] for table in PERSONAL})


def scrub(engine: Engine) -> list[str]:
    """Remove from the disk what was deleted before, outside of any transaction; what may still hold it, in words.

    SQLite writes its file again, which may hold rows from before it overwrote what it deletes, and empties its
    write-ahead log. PostgreSQL frees the space of sealed rows, whose bytes stay until it is used again; where rows in
    clear were stored, and somebody has none of them any more since the last time, it locks and rewrites table by table.
    Raises Transient while it cannot.
    """
    if is_sqlite(engine):
        empty_log(engine, rewrite=True)
        return []
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        try:
            return _scrub_postgresql(connection)
        finally:
            connection.execute(text("RESET statement_timeout"))


def note_clear(connection: Connection) -> None:
    """Rows in clear are written, or were until now: their bytes are to be removed from the files."""
    connection.execute(delete(FACTS).where(FACTS.c.name == ONLY_SEALED))
    note_gone(connection)


def note_gone(connection: Connection) -> None:
    """Somebody may have no row in clear any more, whose bytes are in the files."""
    _note(connection, GONE, uuid4().hex)


def note_if_gone(connection: Connection, names: Collection[str]) -> None:
    """The same, if any of these stored names, of which rows were deleted, has no row of a person."""
    wanted = set(names)
    held = select(func.count()).where(PEOPLE.c.user_id.in_(wanted))
    if wanted and connection.scalar(held) != len(wanted):
        note_gone(connection)


def note_if_new(connection: Connection) -> None:
    """Rows are sealed from now on: in PostgreSQL, where there was never a row, nothing in clear is left of any."""
    if is_sqlite(connection) or _fact(connection, REBUILDS) is not None:
        return
    sizes = (connection.scalar(select(func.pg_relation_size(table.name))) for table in PERSONAL)
    if not any(sizes):
        _note_only_sealed(connection)


def _deleted(connection: Connection, table: Table, name: str) -> int:
    return connection.execute(delete(table).where(table.c.user_id == name)).rowcount


def _scrub_postgresql(connection: Connection) -> list[str]:
    names = [table.name for table in PERSONAL]
    gone = _fact(connection, GONE) or ""
    if _fact(connection, ONLY_SEALED) is not None or _fact(connection, REWRITTEN) == gone:
        for name in names:
            connection.execute(text(f"VACUUM {name}"))
        return []
    left = [name for name in (*names, STATISTICS) if not _rewritten(connection, name)]
    if not left:
        _note(connection, REWRITTEN, gone)
        if not _has_clear_rows(connection):
            _note_only_sealed(connection)
    return [*([TABLES_LEFT.format(", ".join(left))] if left else []), *_write_over_log(connection)]


def _rewritten(connection: Connection, name: str) -> bool:
    """Write a table into a new file; False where this user may not, which PostgreSQL says in a warning only."""
    file = select(func.pg_relation_filenode(name))
    before = connection.scalar(file)
    connection.execute(text(f"VACUUM (FULL, ANALYZE) {name}"))
    return bool(connection.scalar(file) != before)


def _write_over_log(connection: Connection) -> list[str]:
    """Fill every file of the write-ahead log that is kept to be used again; what is left."""
    try:
        _end_log_file(connection)
        _mark_log(connection)
        first = connection.scalar(text("SELECT pg_walfile_name(pg_current_wal_insert_lsn())"))
        connection.execute(text("CHECKPOINT"))  # files before this one are removed, or used again after the last
        for _ in range(connection.scalar(text(LOG_FILES)) or 0):
            _end_log_file(connection)
        connection.execute(text("CHECKPOINT"))
        kept = connection.scalar(text(f"{LOG_FILES} AND name < :first"), {"first": first})
    except ProgrammingError as error:
        if is_refused(error):
            return [LOG_LEFT]
        raise
    return [LOG_KEPT.format(kept)] if kept else []


def _end_log_file(connection: Connection) -> None:
    """Go on in the next file of the log; PostgreSQL fills the rest of this one with zeros."""
    _mark_log(connection)
    connection.execute(text("SELECT pg_switch_wal()"))


def _mark_log(connection: Connection) -> None:
    """Write something into the current file: an empty one is not ended, and not named."""
    connection.execute(text("SELECT pg_logical_emit_message(false, 'undertone', '')"))


def _has_clear_rows(connection: Connection) -> bool:
    """Whether rows of anybody are stored in clear. Who looks like a subject is not noticed."""
    magic = SEALED_MAGIC
    in_clear = (
        select(PEOPLE.c.user_id).where(PEOPLE.c.folded > ""),
        select(ACTIONS.c.user_id).where(func.substr(ACTIONS.c.record, 1, len(magic)) != magic),
        select(COHORT_MEMBERS.c.user_id).where(
            COHORT_MEMBERS.c.user_id.regexp_match(f"^[0-9a-f]{{{2 * SUBJECT_BYTES}}}$").is_not(True)
        ),
    )
    return connection.scalar(select(or_(*(rows.exists() for rows in in_clear)))) or False


def _fact(connection: Connection, name: str) -> str | None:
    return connection.scalar(select(FACTS.c.value).where(FACTS.c.name == name))


def _note_only_sealed(connection: Connection) -> None:
    connection.execute(upsert(connection, FACTS).on_conflict_do_nothing(), {"name": ONLY_SEALED, "value": "1"})


def _note(connection: Connection, name: str, value: str) -> None:
    insert = upsert(connection, FACTS)
    changed = insert.on_conflict_do_update(index_elements=["name"], set_={"value": insert.excluded.value})
    connection.execute(changed, {"name": name, "value": value})
