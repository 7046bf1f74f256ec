"""The detector's state of one user between two memos, and its encoding."""

import struct
from math import nan
from typing import NamedTuple

from streams.drift.cusum import PHI, Chart

ID_BYTES = 8
"""Length of the digest that identifies a memo."""
MICRO = 1e6
"""Logits are summed as integer millionths."""


class Day(NamedTuple):
    """An open day. total: sum of its logits in millionths, so that their order does not matter."""

    day: int
    total: int
    memos: int
    ids: bytes
    """A digest of each memo, ID_BYTES long."""
    before: Chart | None
    """The chart before this day; None where it was not stored: the first and the last day always have one."""


class DriftState(NamedTuple):
    """Everything about one user that affects the next memo. `chart` is the one after the last open day."""

    chart: Chart = Chart()
    days: tuple[Day, ...] = ()
    latest_s: float = 0.0
    horizon_s: float = 0.0
    """Memos recorded before this are late."""
    bundle: int = 0
    retired: int = 0
    """The previous bundle, whose late memos are skipped until `retired_until_s`."""
    retired_until_s: float = 0.0
    past: bytes = b""
    """The last closed days, each as its number and its mean logit in millionths: for display only."""

    def to_bytes(self) -> bytes:
        """This state, about 0.8 KB for one memo per day; equal states give equal bytes."""
        days = self.days
        base, last = (days[0].before or self.chart, days[-1].before or self.chart) if days else (self.chart, self.chart)
        parts = [_HEAD.pack(*base, *last, *self.chart, *self[2:7], len(self.past) // _INT_BYTES, len(days)), self.past]
        for day, total, memos, ids, _ in days:
            parts += _DAY.pack(day, total, memos, len(ids) // ID_BYTES), ids
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> "DriftState":
        """The state in `data`. Raises struct.error or ValueError for other bytes."""
        head = _HEAD.unpack_from(data)
        base, last, chart = (Chart(*head[i : i + _FLOATS]) for i in (0, _FLOATS, 2 * _FLOATS))
        latest_s, horizon_s, bundle, retired, retired_until_s, closed_days, count = head[3 * _FLOATS :]
        if not sum(map(abs, (*head[: 3 * _FLOATS], latest_s, horizon_s))) < _LARGEST:
            raise ValueError("numbers that no memo leads to")  # also for NaN, which would stay for ever
        at, days = _HEAD.size + _INT_BYTES * closed_days, []
        past = data[_HEAD.size : at]
        for i in range(count):
            day, total, memos, ids = _DAY.unpack_from(data, at)
            first, at = at + _DAY.size, at + _DAY.size + ID_BYTES * ids
            before = last if i == count - 1 else base if i == 0 else None
            days.append(Day(day, total, memos, data[first:at], before))
        if at != len(data):
            raise ValueError("trailing bytes after a drift state")
        return cls(chart, tuple(days), latest_s, horizon_s, bundle, retired, retired_until_s, past)


def with_priors(data: bytes) -> bytes:
    """A stored state of version 1, whose charts have no prior, as bytes of version 2.

    Raises struct.error when it is too short.
    """
    charts = _CHARTS_1.unpack_from(data)
    return b"".join((*(chart + struct.pack("<d", PHI) for chart in charts), data[_CHARTS_1.size :]))


_LARGEST = 1e15
_FLOATS = len(Chart._fields)
_HEAD = struct.Struct(f"<{3 * _FLOATS}d dd QQd HH")
_DAY = struct.Struct("<iqHH")
PAST = struct.Struct("<ii")
_INT_BYTES = 4
_CHARTS_1 = struct.Struct("144s 144s 144s")
"""Three charts of 18 floats, without a prior."""


class Windows(NamedTuple):
    """Plain means of the last 7 and 30 days (logits), and the days with memos in each; NaN without memos."""

    days_7: int
    mean_7: float
    days_30: int
    mean_30: float


def windows(state: DriftState) -> Windows:
    """Recent means for display; no decision uses them."""
    days = dict(PAST.iter_unpack(state.past))
    days |= {day.day: round(day.total / day.memos) for day in state.days if day.memos}
    last = max(days, default=0)
    week, month = ([mean / MICRO for day, mean in days.items() if day > last - size] for size in (7, 30))
    return Windows(
        len(week), sum(week) / len(week) if week else nan, len(month), sum(month) / len(month) if month else nan
    )
