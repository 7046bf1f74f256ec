"""Moments, durations and numbers as readers of one language write them. Pure; `pages.py` makes Jinja's filters of it.

Every moment is shown with its time zone: that of the person whose data it is, where it is known, else the viewer's.
"""

from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

from babel import Locale
from babel.dates import format_date, format_datetime, format_timedelta, get_timezone_name
from babel.numbers import format_decimal, format_percent

NOTHING = "–"
"""What stands for a value that there is not."""

DAY = timedelta(days=1)
_Unit: TypeAlias = Literal["day", "second"]
_PATTERNS = {"en": "d MMM y, HH:mm", "de": "d. MMM y, HH:mm"}


@cache
def zones() -> frozenset[str]:
    """Names of all time zones of this installation."""
    return frozenset(available_timezones())


def zone(name: str | None, default: str = "UTC") -> ZoneInfo:
    """The time zone of this name, else the default.

    >>> zone("../../etc/passwd").key
    'UTC'
    """
    return ZoneInfo(name if name is not None and name in zones() else default)


def zone_name(moment: datetime, at: ZoneInfo, locale: Locale) -> str:
    """The zone at this moment as briefly as the language has it: `CET`, `MEZ`, else the distance from UTC."""
    local = moment.astimezone(at)
    return _zone_name(at, local.replace(minute=0, second=0, microsecond=0), locale)


@lru_cache(maxsize=4096)
def _zone_name(at: ZoneInfo, hour: datetime, locale: Locale) -> str:
    names = (get_timezone_name(hour, width="short", locale=locale), hour.tzname() or "")
    offset = hour.strftime("%z")
    return next((name for name in names if name.isalpha() and name.isupper()), f"UTC{offset[:3]}:{offset[3:5]}")


def clock_time(moment: datetime, at: ZoneInfo, locale: Locale) -> str:
    """Day, time and zone.

    >>> from datetime import UTC
    >>> clock_time(datetime(2026, 3, 1, 9, 30, tzinfo=UTC), ZoneInfo("Europe/Berlin"), Locale("de"))
    '1. März 2026, 10:30 MEZ'
    """
    text = _minute(at, moment.replace(second=0, microsecond=0), locale)
    return f"{text} {zone_name(moment, at, locale)}"


@lru_cache(maxsize=4096)
def _minute(at: ZoneInfo, minute: datetime, locale: Locale) -> str:
    return format_datetime(minute, _PATTERNS.get(locale.language, "medium"), tzinfo=at, locale=locale)


def day(moment: datetime, at: ZoneInfo, locale: Locale) -> str:
    """The day alone, as it is in the zone."""
    return format_date(moment.astimezone(at), "medium", locale=locale)


def duration(length: timedelta, locale: Locale) -> str:
    """A length in its largest sensible unit: days up to two months.

    >>> duration(timedelta(days=9, hours=3), Locale("en", "GB"))
    '9 days'
    """
    return _in_words(abs(length), locale)


def ago(moment: datetime, now: datetime, locale: Locale) -> str:
    """How long ago, or until when.

    >>> from datetime import UTC
    >>> now = datetime(2026, 3, 1, tzinfo=UTC)
    >>> ago(now - timedelta(minutes=4), now, Locale("de"))
    'vor 4 Minuten'
    """
    return _in_words(moment - now, locale, add_direction=True)


def _in_words(length: timedelta, locale: Locale, add_direction: bool = False) -> str:
    """Rounded before it is put into words, so that the same few lengths are put into words again and again."""
    size = abs(length)
    if timedelta(days=2) <= size < timedelta(days=60):
        return _words(timedelta(days=int(length / DAY)), "day", 61, locale, add_direction)
    step = next(
        (each for each in (DAY, timedelta(hours=1), timedelta(minutes=1)) if size >= each), timedelta(seconds=1)
    )
    return _words(round(length / step) * step, "second", 1, locale, add_direction)


@lru_cache(maxsize=4096)
def _words(length: timedelta, smallest: _Unit, threshold: float, locale: Locale, add_direction: bool) -> str:
    return format_timedelta(length, smallest, threshold, add_direction, locale=locale)


def number(value: float | None, locale: Locale, digits: int = 2) -> str:
    """A number with at most so many digits behind the point.

    >>> number(1234.567, Locale("de"))
    '1.234,57'
    """
    return NOTHING if value is None else format_decimal(round(value, digits), locale=locale)


def fixed(value: float, locale: Locale, digits: int) -> str:
    """A number with exactly so many digits behind the point.

    >>> fixed(16.0, Locale("de"), 1)
    '16,0'
    """
    return format_decimal(value, f"#,##0.{'0' * digits}" if digits else "#,##0", locale=locale)


def signed(value: float | None, locale: Locale, digits: int = 1) -> str:
    """A number with its sign, for deviations.

    >>> signed(2.31, Locale("en", "GB")), signed(-2.31, Locale("en", "GB"))
    ('+2.3', '−2.3')
    """
    if value is None:
        return NOTHING
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return sign + fixed(abs(value), locale, digits)


def percent(value: float | None, locale: Locale) -> str:
    """A share as whole percent.

    >>> percent(0.42, Locale("en", "GB"))
    '42%'
    """
    return NOTHING if value is None else format_percent(round(value, 2), locale=locale)
