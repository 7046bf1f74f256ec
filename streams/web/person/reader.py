"""Moments and numbers as one reader sees them in a chart: in their language, and in the time zone of the page."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale

from streams.web import formats, markers

FINEST = 6
"""Digits after the point, more than any marker is shown with."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Language and time zone of a chart. translate: an English message into the language."""

    translate: Callable[[str], str]
    locale: Locale
    zone: ZoneInfo

    def when(self, moment: datetime) -> str:
        """Day, time and zone."""
        return _clock_time(moment, self.zone, self.locale)

    def day(self, moment: datetime) -> str:
        """The day."""
        return _day(moment, self.zone, self.locale)

    def number(self, value: float | None, digits: int = 2) -> str:
        """A number, or a dash."""
        return _number(_rounded(value, digits), self.locale, digits)

    def signed(self, value: float | None, digits: int = 1) -> str:
        """A number with its sign, or a dash."""
        return _signed(_rounded(value, digits), self.locale, digits)

    def percent(self, value: float | None) -> str:
        """A share, or a dash."""
        return _percent(_rounded(value, 2), self.locale)

    def measured(self, name: str, value: float | None) -> str:
        """A marker's value with its unit, or a dash."""
        return _measured(name, _rounded(value, FINEST), self.locale, self.translate)

    def axis(self, moment: datetime) -> float:
        """The moment on the axis of a chart, in milliseconds of the zone's clock: Bokeh itself knows no time zones."""
        local = moment.astimezone(self.zone)
        return (local.timestamp() + local.utcoffset().total_seconds()) * 1000  # type: ignore[union-attr]


# A person's chart writes thousands of them, and the same ones again and again.
_clock_time = lru_cache(4096)(formats.clock_time)
_day = lru_cache(1024)(formats.day)
_number = lru_cache(4096)(formats.number)
_signed = lru_cache(4096)(formats.signed)
_percent = lru_cache(256)(formats.percent)
_measured = lru_cache(4096)(markers.measured)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
