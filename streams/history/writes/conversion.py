"""Takes people's rows over into the form that is written now, sealed or in clear, before anything of them is written.

So all rows of a person have one form, and nothing is stored twice. People who are erased are left out by whoever asks
which people may be written.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, delete, func, select, true

from schemas.sealed_frame import SEALED_MAGIC
from streams.history.database import Database
from streams.history.opened_rows import opened
from streams.history.sealing import FACT, people_of, sealing_of, stored_rows
from streams.history.tables import ACTIONS, COHORT_MEMBERS, FACTS, PEOPLE, PERSONAL
from streams.history.writes.bulk import among, chunks, insert_new, upsert
from streams.history.writes.erasure import note_clear, note_if_new
from workers.sql.connections import is_sqlite

STEP = 50
"""People whose rows one transaction takes over."""
HOLDERS = (PEOPLE, ACTIONS, COHORT_MEMBERS)
"""Whoever has a row in any table has one here."""


def taken_over(connection: Connection, users: Collection[str], enrol: Collection[str] = ()) -> frozenset[str]:
    """Those of these people whose rows may be written; they are in the form that is written now. Raises Transient.

    enrol: of them those who get a subject if they have none; others without one are erased, or not known yet.
    """
    sealing = sealing_of(connection)
    if sealing is None or not users or not sealing.met(connection, at_once=True):
        return frozenset(users)
    new = sealing.subjects(sorted(set(users) & set(enrol)), enrol=sealing.on)
    subjects = new | sealing.subjects(sorted(set(users) - new.keys()))
    if sealing.on:
        note_sealed(connection)
        _convert(connection, {user: user for user in subjects})
        return frozenset(subjects)
    note_clear(connection)
    _convert(connection, {subject.hex(): user for user, subject in subjects.items()})
    return frozenset(subjects) | (frozenset(users) & frozenset(enrol))


async def taken_over_first(database: Database, users: Collection[str], enrol: Collection[str]) -> None:
    """The same in many short transactions, so that a large batch finds its people taken over. Raises Transient."""
    if not await database.read(_would_convert):
        return
    for some in chunks(sorted(users), STEP):
        await database.write(taken_over, some, enrol)


def clear_users(connection: Connection, users: Collection[str]) -> set[str]:
    """Those of these people who have rows in clear."""
    return _holding(connection, users)


class SealedSome(NamedTuple):
    """How many people were taken over, and the last one that was looked at, None at the end."""

    people: int
    last: str | None


def seal_some(connection: Connection, holder: Table, after: str) -> SealedSome:
    """Seal all rows in clear of the next people after `after`, by stored name. Raises Transient.

    holder: of HOLDERS, where they are looked for.
    """
    in_clear = {
        PEOPLE: PEOPLE.c.folded > "",
        ACTIONS: func.substr(ACTIONS.c.record, 1, len(SEALED_MAGIC)) != SEALED_MAGIC,
        COHORT_MEMBERS: true(),
    }
    page = select(holder.c.user_id).where(holder.c.user_id > after, in_clear[holder]).distinct()
    names = connection.scalars(page.order_by(holder.c.user_id).limit(STEP)).all()
    users = [name for name, user in people_of(connection, names).items() if name == user]
    taken_over(connection, users, users)
    return SealedSome(len(users), names[-1] if names else None)


def note_sealed(connection: Connection) -> None:
    """From now on every process looks for both forms."""
    if connection.scalar(select(FACTS.c.value).where(FACTS.c.name == FACT)) is None:
        connection.execute(upsert(connection, FACTS).on_conflict_do_nothing(), {"name": FACT, "value": "1"})
        note_if_new(connection)


def forget_sealed(connection: Connection) -> None:
    """After a reset without sealing: the cohorts of a file are stored in clear, and subjects are looked for no more."""
    sealing = sealing_of(connection)
    if sealing is None or sealing.on or not sealing.met(connection, at_once=True):
        return
    note_clear(connection)
    rows = connection.execute(select(COHORT_MEMBERS)).all()
    names = people_of(connection, [row.user_id for row in rows])
    connection.execute(delete(COHORT_MEMBERS))
    kept = [{"user_id": names[row.user_id], "cohort": row.cohort} for row in rows if row.user_id in names]
    insert_new(connection, COHORT_MEMBERS, kept)
    connection.execute(delete(FACTS).where(FACTS.c.name == FACT))


def _would_convert(connection: Connection) -> bool:
    sealing = sealing_of(connection)
    return sealing is not None and sealing.met(connection, at_once=True)


def _holding(connection: Connection, keys: Collection[str]) -> set[str]:
    """Those of these stored names that have rows, which are locked."""
    found: set[str] = set()
    for table in HOLDERS:
        for some in chunks(sorted(keys)):
            rows = select(table.c.user_id).where(among(connection, table.c.user_id, some)).order_by(table.c.user_id)
            found.update(connection.scalars(rows if is_sqlite(connection) else rows.with_for_update()))
    return found


def _convert(connection: Connection, others: Mapping[str, str]) -> None:
    """Store the rows with these names in the other form. others: the pseudonym by name."""
    holding = _holding(connection, others)
    if holding:
        note_clear(connection)
    for some in chunks(sorted(holding)):
        for table in PERSONAL:
            rows = _rows(connection, table, some, others)
            connection.execute(delete(table).where(among(connection, table.c.user_id, some)))
            if rows:
                insert_new(connection, table, stored_rows(connection, table, rows))


def _rows(connection: Connection, table: Table, keys: Iterable[str], others: Mapping[str, str]) -> list[dict[str, Any]]:
    own = select(table).where(among(connection, table.c.user_id, list(keys)))
    if table is COHORT_MEMBERS:
        rows = [dict(row._mapping) for row in connection.execute(own)]
        return [{**row, "user_id": others[row["user_id"]]} for row in rows]
    found = [dict(row._mapping) for row in opened(connection, own, table)]
    # A sealed row says nothing of the pseudonym in another case; one in clear does.
    return [{**row, "folded": row["user_id"].casefold()} for row in found] if table is PEOPLE else found
