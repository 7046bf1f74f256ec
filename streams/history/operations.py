"""What the system did, counted: memos, dead letters, alerts and what people found, and how far the history has read."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from schemas.event_enums import CareOutcome
from schemas.events import Band
from streams.history.attention import DAY_MS
from streams.history.tables import DEAD_LETTERS, EPISODES, MINUTES, POSITIONS, moment, unix_ms

WEEK_MS = 7 * DAY_MS
MONDAY_MS = 4 * DAY_MS
"""The first Monday after 1 January 1970, a Thursday."""


@dataclass(frozen=True, slots=True)
class MinuteCount:
    """Memos that were scored within one minute of UTC, by band."""

    minute: datetime
    band: Band
    memos: int


@dataclass(frozen=True, slots=True)
class DeadLetterCount:
    """Dead letters of one hour of UTC, by stage and reason."""

    hour: datetime
    stage: str
    reason: str
    letters: int


@dataclass(frozen=True, slots=True)
class AlertCount:
    """Episodes that were raised within one week, which begins on Monday in UTC, by cohort and bundle."""

    week: datetime
    cohort: str
    bundle_id: str
    raised: int


@dataclass(frozen=True, slots=True)
class Precision:
    """What people found of the alerts of one cohort and bundle.

    raised: episodes; outcomes: how many of them were acknowledged with which outcome; precision: of those with an
    outcome the share that was no false alarm, None without any.
    """

    cohort: str
    bundle_id: str
    raised: int
    outcomes: dict[CareOutcome, int]

    @property
    def precision(self) -> float | None:
        """Share of the answered alerts that were no false alarms."""
        answered = sum(self.outcomes.values())
        return 1 - self.outcomes.get(CareOutcome.FALSE_ALARM, 0) / answered if answered else None


@dataclass(frozen=True, slots=True)
class ReadPosition:
    """How far one partition is stored. behind_s: everything that was written until so many seconds ago is."""

    topic: str
    partition: int
    next_offset: int
    records: int
    last_record_at: datetime | None
    behind_s: float


def memos_per_minute(connection: Connection, since: datetime) -> list[MinuteCount]:
    """Memos by minute and band, the oldest first; minutes without memos are left out."""
    columns = MINUTES.c
    rows = (
        select(columns.minute_ms, columns.band, func.sum(columns.memos))
        .where(columns.minute_ms >= unix_ms(since))
        .group_by(columns.minute_ms, columns.band)
        .order_by(columns.minute_ms, columns.band)
    )
    return [MinuteCount(moment(minute), Band(band), int(memos)) for minute, band, memos in connection.execute(rows)]


def first_minute(connection: Connection) -> datetime | None:
    """The first minute in which a memo was scored, of those that are kept; None without any."""
    found = connection.scalar(select(func.min(MINUTES.c.minute_ms)))
    return None if found is None else moment(found)


def bundles_in_use(connection: Connection, since: datetime) -> dict[str, datetime]:
    """Each bundle that scored since then, and the minute of its last score; the newest first."""
    columns = MINUTES.c
    last = func.max(columns.minute_ms)
    rows = select(columns.bundle_id, last).where(columns.minute_ms >= unix_ms(since)).group_by(columns.bundle_id)
    found = connection.execute(rows.order_by(last.desc(), columns.bundle_id))
    return {bundle: moment(minute) for bundle, minute in found}


def dead_letters(connection: Connection, since: datetime) -> list[DeadLetterCount]:
    """Dead letters by hour, stage and reason, the newest hour first, then the most frequent."""
    columns = DEAD_LETTERS.c
    number = func.count()
    rows = (
        select(columns.hour_ms, columns.stage, columns.reason, number)
        .where(columns.hour_ms >= unix_ms(since))
        .group_by(columns.hour_ms, columns.stage, columns.reason)
        .order_by(columns.hour_ms.desc(), number.desc(), columns.stage, columns.reason)
    )
    return [DeadLetterCount(moment(hour), *rest) for hour, *rest in connection.execute(rows)]


def alerts_raised(connection: Connection, since: datetime, cohorts: Sequence[str] | None = None) -> list[AlertCount]:
    """Raised episodes by week, cohort and bundle, the oldest week first. cohorts: None for all."""
    columns = EPISODES.c
    week = (columns.opened_ms - MONDAY_MS) / WEEK_MS  # integers divide to an integer in both databases
    week = func.floor(week)
    rows = select(week, columns.cohort, columns.bundle_id, func.count()).where(columns.opened_ms >= unix_ms(since))
    if cohorts is not None:
        rows = rows.where(columns.cohort.in_(tuple(cohorts)))
    rows = rows.group_by(week, columns.cohort, columns.bundle_id).order_by(week, columns.cohort, columns.bundle_id)
    return [AlertCount(moment(int(number) * WEEK_MS + MONDAY_MS), *rest) for number, *rest in connection.execute(rows)]


def precision(connection: Connection, since: datetime, cohorts: Sequence[str] | None = None) -> list[Precision]:
    """What people found of the episodes raised since then, by cohort and bundle. cohorts: None for all."""
    columns = EPISODES.c
    rows = select(columns.cohort, columns.bundle_id, columns.outcome, func.count())
    rows = rows.where(columns.opened_ms >= unix_ms(since))
    if cohorts is not None:
        rows = rows.where(columns.cohort.in_(tuple(cohorts)))
    raised: dict[tuple[str, str], int] = defaultdict(int)
    outcomes: dict[tuple[str, str], dict[CareOutcome, int]] = defaultdict(dict)
    grouped = rows.group_by(columns.cohort, columns.bundle_id, columns.outcome)
    for cohort, bundle, outcome, number in connection.execute(grouped):
        raised[cohort, bundle] += number
        if outcome is not None:
            outcomes[cohort, bundle][CareOutcome(outcome)] = number
    return [Precision(*key, raised[key], outcomes[key]) for key in sorted(raised)]


def positions(connection: Connection, now: datetime) -> list[ReadPosition]:
    """How far every partition is stored; nothing before the history has run."""
    rows = connection.execute(select(POSITIONS).order_by(POSITIONS.c.topic, POSITIONS.c.partition))
    return [
        ReadPosition(
            topic=row.topic,
            partition=row.partition,
            next_offset=row.next_offset,
            records=row.seq,
            last_record_at=moment(row.last_ms) if row.last_ms >= 0 else None,
            behind_s=max(now - moment(row.current_ms), timedelta()).total_seconds(),
        )
        for row in rows
    ]


def behind_s(connection: Connection, now: datetime) -> float | None:
    """Seconds by which what is shown is behind, of the partition that is furthest; None before the history has run."""
    oldest = connection.scalar(select(func.min(POSITIONS.c.current_ms)))
    return None if oldest is None else max((now - moment(oldest)).total_seconds(), 0.0)
