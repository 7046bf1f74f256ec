"""The false-alarm budget against the alerts that were raised. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from streams.drift.thresholds import YEAR_DAYS
from streams.history.operations import AlertCount

WEEKS = 12
WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Week:
    """Alerts that were raised within a week, which begins on Monday in UTC."""

    begins: datetime
    raised: int


@dataclass(frozen=True, slots=True)
class Budget:
    """What is allowed for, and what was raised.

    false_alarms: at most so many, on average, of all people within `days`; raised: alerts of all kinds in the same
    time, true ones and false ones together; weeks: the newest first.
    """

    per_user_year: float
    people: int
    days: float
    false_alarms: float
    raised: int
    weeks: tuple[Week, ...]


def budget(per_user_year: float, people: int, raised: Iterable[AlertCount], now: datetime) -> Budget:
    """Of the last twelve weeks."""
    since = now - WEEKS * WEEK
    weeks: dict[datetime, int] = {}
    for count in raised:
        weeks[count.week] = weeks.get(count.week, 0) + count.raised
    days = (now - since) / timedelta(days=1)
    return Budget(
        per_user_year=per_user_year,
        people=people,
        days=days,
        false_alarms=per_user_year * people * days / YEAR_DAYS,
        raised=sum(weeks.values()),
        weeks=tuple(Week(begins, weeks[begins]) for begins in sorted(weeks, reverse=True)),
    )
