"""Parameters of a FHIR search: which patient, and recorded when. Pure."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from streams.fhir.elements import PATIENT, PSEUDONYM

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_DATE = re.compile(
    r"(?P<prefix>eq|ge|gt|sa|le|lt|eb)?(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)(?P<time>T\S+)?)?)?"
)


class Period(NamedTuple):
    """From `since` to before `until`."""

    since: datetime = EARLIEST
    until: datetime = LATEST


def pseudonym_of(reference: str) -> str:
    """The pseudonym in a reference to a patient, of whatever form; the text itself where it is nothing else.

    >>> pseudonym_of("Patient/u1"), pseudonym_of("u1"), pseudonym_of("urn:x-undertone:pseudonym|u1")
    ('u1', 'u1', 'u1')
    """
    return reference.removeprefix(f"{PSEUDONYM}|").removeprefix(f"{PATIENT}/")


def period_of(dates: Iterable[str]) -> Period:
    """What several values of `date` have in common. Raises ValueError, which says what a value must be.

    >>> period_of(["ge2026-03", "lt2026-04-02"]).until.isoformat()
    '2026-04-02T00:00:00+00:00'
    """
    found = Period()
    for value in dates:
        prefix, (begin, end) = _parsed(value)
        if prefix in {"eq", "ge"}:
            found = found._replace(since=max(found.since, begin))
        if prefix in {"gt", "sa"}:
            found = found._replace(since=max(found.since, end))
        if prefix in {"eq", "le"}:
            found = found._replace(until=min(found.until, end))
        if prefix in {"lt", "eb"}:
            found = found._replace(until=min(found.until, begin))
    return found


def _parsed(value: str) -> tuple[str, tuple[datetime, datetime]]:
    """The prefix and the time that a value covers: a year, a month, a day or a second."""
    match = _DATE.fullmatch(value)
    if match is None:
        raise ValueError("must be a date, such as 2026-03-01, after one of eq, ge, gt, sa, le, lt, eb or none")
    prefix, year, month, day, time = match.group("prefix", "year", "month", "day", "time")
    try:
        if time is not None:
            begin = _moment(value.removeprefix(prefix or ""))
            return prefix or "eq", (begin, begin + timedelta(seconds=1))
        begin = datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC)
        if day:
            return prefix or "eq", (begin, begin + timedelta(days=1))
        months = 12 * begin.year + begin.month - 1 + (1 if month else 12)
        return prefix or "eq", (begin, datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC))
    except (ValueError, OverflowError):
        raise ValueError("must be a date of the calendar, and a time must have its zone") from None


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment.astimezone(UTC)
