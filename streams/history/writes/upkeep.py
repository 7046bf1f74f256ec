"""What time alone changes: people become silent, what is older than the retention goes, cohorts are given again.

Each step is small and ends with its transaction, so that neither readers nor the consumer wait for it. Any number of
processes may do it at once.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NoReturn, TypeVar

from sqlalchemy import Connection, Table, and_, delete, select, text, tuple_, update

from schemas.errors import Transient
from schemas.event_enums import CareActionKind
from schemas.events import CareAction
from schemas.pipeline import HISTORY
from streams.history import attention
from streams.history.attention import Rank
from streams.history.cohorts import Cohorts, reassign
from streams.history.database import Database
from streams.history.episode import FRAMES
from streams.history.opened_rows import opened
from streams.history.sealing import keys_of, people_of, stored_rows
from streams.history.tables import (
    ACTIONS,
    ALERTS,
    DEAD_LETTERS,
    EPISODES,
    FACTS,
    MINUTES,
    PEOPLE,
    POSITIONS,
    REBUILDS,
    SCORES,
    unix_ms,
)
from streams.history.writes.bulk import update_rows, upsert
from streams.history.writes.conversion import HOLDERS, SealedSome, forget_sealed, seal_some, taken_over
from streams.history.writes.erasure import note_gone, note_if_gone
from streams.history.writes.people import lock, locked
from workers.service.health import HEALTH
from workers.service.retry import retry_transient
from workers.sql.connections import is_sqlite

log = logging.getLogger(__name__)
T = TypeVar("T")

SWEEP_S = 30.0
FORGET_S = 3600.0
PAUSE_S = 0.05
"""Seconds between two steps, so that others write meanwhile."""
DATABASE = "database"
"""What a process lacks while the database does not answer."""
STEP = 500
"""Most rows that one transaction changes."""
COHORTS = "cohorts"
"""Fact: the prefixes from which the stored cohorts were made."""


class Upkeep:
    """Does these steps as long as it runs. retention_s: how long rows are kept."""

    def __init__(self, database: Database, cohorts: Cohorts, retention_s: float) -> None:
        self._database, self._cohorts, self._retention = database, cohorts, timedelta(seconds=retention_s)

    async def run(self) -> NoReturn:
        """Until cancelled; while the database does not answer, it waits."""
        await retried(self._seal)
        await retried(self._give_cohorts)
        forgotten_at = float("-inf")
        while True:
            await retried(self._sweep)
            if time.monotonic() - forgotten_at > FORGET_S:
                await retried(self._forget)
                forgotten_at = time.monotonic()
            await asyncio.sleep(SWEEP_S)

    async def _seal(self) -> None:
        """Rows from before rows were sealed: once for each process, as that begins with new settings."""
        if not self._database.seals:
            return
        people = 0
        for holder in HOLDERS:
            done = SealedSome(0, "")
            while done.last is not None:
                done = await self._database.write(seal_some, holder, done.last)
                people += done.people
                await asyncio.sleep(PAUSE_S)
        if people:
            await self._database.scrub()
        log.info("history: every row is sealed, %d people taken over now", people)

    async def _sweep(self) -> None:
        while await self._database.write(mark_silent, unix_ms(datetime.now(UTC))) == STEP:
            await asyncio.sleep(PAUSE_S)

    async def _forget(self) -> None:
        before = datetime.now(UTC) - self._retention
        while await self._database.write(forget, before):
            await asyncio.sleep(PAUSE_S)
        after: str | None = ""
        while after is not None:
            after = await self._database.write(forget_people, before, after)
            await asyncio.sleep(PAUSE_S)

    async def _give_cohorts(self) -> None:
        if not await self._database.read(cohorts_changed, self._cohorts):
            return
        after: str | None = ""
        while after is not None:
            after = await self._database.write(reassign, self._cohorts, after)
        await self._database.write(note_cohorts, self._cohorts)


async def retried(work: Callable[[], Awaitable[T]]) -> T:
    """The result of work, repeated while the database does not answer; the process is not ready meanwhile."""

    async def attempt() -> T:
        try:
            result = await work()
        except Transient:
            HEALTH.lacks(DATABASE, "does not answer")
            raise
        HEALTH.has(DATABASE)
        return result

    return await retry_transient(attempt, stage=HISTORY, target=DATABASE)


def mark_silent(connection: Connection, now_ms: int) -> int:
    """Give people who became silent their rank; how many. Fewer than STEP: no one is left."""
    overdue = and_(PEOPLE.c.silent_ms <= now_ms, PEOPLE.c.rank > int(Rank.SILENT))
    first = select(PEOPLE.c.user_id).where(overdue).order_by(PEOPLE.c.silent_ms).limit(STEP)
    names = connection.scalars(first).all()
    lock(connection, names)  # who spoke meanwhile is no longer overdue
    silent = update(PEOPLE).where(PEOPLE.c.user_id.in_(names), overdue)
    connection.execute(silent.values(rank=int(Rank.SILENT), since_ms=PEOPLE.c.silent_ms))
    return len(names)


def forget(connection: Connection, before: datetime) -> int:
    """Delete some of what was scored, closed, done or counted before then; how many rows. 0: nothing is left."""
    before_ms = unix_ms(before)
    return (
        _forget_scores(connection, before_ms)
        + _forget_episodes(connection, before_ms)
        + _forget_actions(connection, before_ms)
        + _forget_rows(connection, DEAD_LETTERS, DEAD_LETTERS.c.hour_ms.name, before_ms)
        + _forget_rows(connection, MINUTES, MINUTES.c.minute_ms.name, before_ms)
    )


def forget_people(connection: Connection, before: datetime, after: str) -> str | None:
    """Of the next people after `after`, drop old memos, and people without any other; the last, None at the end.

    A person whose episode is open, or was closed later, stays. People are in the order of their stored names.
    """
    before_ms = unix_ms(before)
    old = select(PEOPLE.c.user_id).where(PEOPLE.c.user_id > after, PEOPLE.c.first_ms < before_ms)
    names = connection.scalars(old.order_by(PEOPLE.c.user_id).limit(STEP)).all()
    may = taken_over(connection, list(people_of(connection, names).values()))
    gone, shorter = [], []
    for user, row in sorted(locked(connection, may).items()):
        recent = attention.recent_from_bytes(row.recent)
        kept = tuple(memo for memo in recent if memo.recorded_ms >= before_ms)
        if recent and not kept and row.episode_key is None and (row.calm_ms or 0) < before_ms:
            gone.append(user)
        elif kept != recent:
            shorter.append({"user_id": user, "recent": attention.recent_to_bytes(kept)})
    if gone:
        connection.execute(delete(PEOPLE).where(PEOPLE.c.user_id.in_(keys_of(connection, gone))))
        note_gone(connection)
    update_rows(connection, PEOPLE, "user_id", stored_rows(connection, PEOPLE, shorter))
    return names[-1] if names else None


def cohorts_changed(connection: Connection, cohorts: Cohorts) -> bool:
    """Whether the stored cohorts were made from other prefixes."""
    return connection.scalar(select(FACTS.c.value).where(FACTS.c.name == COHORTS)) != _as_text(cohorts)


def note_cohorts(connection: Connection, cohorts: Cohorts) -> None:
    """The stored cohorts are made from these prefixes."""
    _note(connection, COHORTS, _as_text(cohorts))


def reset(connection: Connection) -> None:
    """Delete everything that comes from the topics, and read them from their beginning; cohorts of a file stay."""
    tables = (SCORES, ALERTS, EPISODES, ACTIONS, DEAD_LETTERS, MINUTES, PEOPLE, POSITIONS)
    rebuilds = int(connection.scalar(select(FACTS.c.value).where(FACTS.c.name == REBUILDS)) or 0)
    if is_sqlite(connection):
        for table in tables:
            connection.execute(delete(table))
    else:
        connection.execute(text(f"TRUNCATE {', '.join(table.name for table in tables)}"))
    note_gone(connection)
    forget_sealed(connection)
    _note(connection, REBUILDS, str(rebuilds + 1))


def _as_text(cohorts: Cohorts) -> str:
    return json.dumps(sorted(cohorts.items()))


def _note(connection: Connection, name: str, value: str) -> None:
    insert = upsert(connection, FACTS)
    changed = insert.on_conflict_do_update(index_elements=["name"], set_={"value": insert.excluded.value})
    connection.execute(changed, {"name": name, "value": value})


def _forget_scores(connection: Connection, before_ms: int) -> int:
    """Of each partition the scores that were stored first: their numbers rise with time."""
    partitions = connection.scalars(select(POSITIONS.c.partition).where(POSITIONS.c.topic == "risk.scored")).all()
    columns = SCORES.c
    forgotten = 0
    for partition in partitions:
        oldest = select(columns.user_id, columns.recorded_ms, columns.memo_id, columns.scored_ms)
        oldest = oldest.where(columns.partition == partition).order_by(columns.seq).limit(STEP)
        rows = [tuple(row)[:3] for row in connection.execute(oldest) if row.scored_ms < before_ms]
        if rows:
            own = tuple_(columns.user_id, columns.recorded_ms, columns.memo_id)
            connection.execute(delete(SCORES).where(own.in_(rows)))
            note_if_gone(connection, [name for name, _, _ in rows])
        forgotten += len(rows)
    return forgotten


def _forget_episodes(connection: Connection, before_ms: int) -> int:
    columns = EPISODES.c
    closed = select(columns.dedup_key).where(columns.opened_ms < before_ms, columns.closed_ms < before_ms).limit(STEP)
    keys = connection.scalars(closed).all()
    if keys:
        for table in (ALERTS, ACTIONS, EPISODES):
            connection.execute(delete(table).where(table.c.dedup_key.in_(keys)))
    return len(keys)


def _forget_actions(connection: Connection, before_ms: int) -> int:
    """Actions about no episode; a mark that still holds stays."""
    columns = ACTIONS.c
    stored = columns.user_id.label("stored_name"), columns.action_id.label("stored_id")
    old = select(columns.user_id, columns.action_id, *stored, columns.record)
    rows = opened(connection, old.where(columns.at_ms < before_ms, columns.dedup_key.is_(None)).limit(STEP), ACTIONS)
    gone = {row.stored_id: row.stored_name for row in rows if not _holds(FRAMES.decode(row.record, CareAction))}
    if gone:
        connection.execute(delete(ACTIONS).where(columns.action_id.in_(gone)))
        note_if_gone(connection, gone.values())
    return len(gone)


def _holds(action: CareAction) -> bool:
    return action.action is CareActionKind.MARKED and action.until is None


def _forget_rows(connection: Connection, table: Table, column: str, before_ms: int) -> int:
    own = list(table.primary_key)
    old = select(*own).where(table.c[column] < before_ms).limit(STEP)
    rows: Sequence[tuple[object, ...]] = [tuple(row) for row in connection.execute(old)]
    if rows:
        connection.execute(delete(table).where(tuple_(*own).in_(rows)))
    return len(rows)
