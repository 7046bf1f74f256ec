"""Whether a silence is one person's, or everybody's, and then the platform's. Pure.

A pause is compared with others at a scale, a number of days. People are comparable at it when their usual pause is no
longer; in quiet times most of them were heard within it. When fewer than half were, uploads do not arrive, or a
holiday has started: silences of that scale are then counted from the moment when most are heard again. A weekday habit
has a usual pause of three days and is compared at that, so no weekend looks like an outage.
"""

import struct
from collections.abc import Iterable
from math import isfinite
from typing import NamedTuple

from streams.silence.habit import usual_days
from streams.silence.quiet import DAY_S, Quiet

SCALES_DAYS = tuple(2.0 ** (half / 2) for half in range(14))
"""1 to 90 days. Fine, because an outage is seen after half of a scale, and alerts may follow after one usual pause."""
_LAST = len(SCALES_DAYS) - 1


class Survey(NamedTuple):
    """How many people are comparable at each scale, and how many of them were heard within it."""

    comparable: tuple[int, ...]
    heard: tuple[int, ...]

    def fell_silent(self, scale: int) -> bool:
        """Whether fewer than half of those who are comparable at this scale were heard within it."""
        return 2 * self.heard[scale] < self.comparable[scale]

    def scale_of(self, limit_days: float) -> int | None:
        """The scale at which a silence of this limit is judged; None where no one is comparable.

        It is half of the limit, or the next longer one at which anybody is comparable.
        """
        own = max((index for index, days in enumerate(SCALES_DAYS) if days <= limit_days / 2), default=0)
        return next((index for index in range(own, _LAST + 1) if self.comparable[index]), None)


def surveyed(people: Iterable[Quiet], now_s: float) -> Survey:
    """The survey of people at a time, Unix seconds; those without a habit, and with an open silence, do not count."""
    comparable, heard = [0] * len(SCALES_DAYS), [0] * len(SCALES_DAYS)
    for quiet in people:
        usual = usual_days(quiet.pauses)
        if quiet.key or not isfinite(usual):
            continue
        for index, days in enumerate(SCALES_DAYS):
            if usual <= days:
                comparable[index] += 1
                heard[index] += quiet.arrived_s > now_s - DAY_S * days
    return Survey(tuple(comparable), tuple(heard))


class Outages(NamedTuple):
    """When people of each scale were last found silent together, Unix seconds; 0 for never."""

    last_s: tuple[float, ...] = (0.0,) * len(SCALES_DAYS)

    def seen(self, survey: Survey, now_s: float) -> "Outages":
        """With the scales that are silent now."""
        return Outages(
            tuple(max(last_s, now_s) if survey.fell_silent(i) else last_s for i, last_s in enumerate(self.last_s))
        )

    def to_bytes(self) -> bytes:
        """As stored."""
        return _PACKED.pack(*self.last_s)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Outages":
        """The inverse. Raises struct.error or ValueError."""
        times = _PACKED.unpack(data)
        if not all(0.0 <= time < 1e12 for time in times):
            raise ValueError("times that no outage has")
        return cls(times)


_PACKED = struct.Struct(f"<{len(SCALES_DAYS)}d")
