"""What is kept of one user between two memos, and its bytes."""

import struct
from math import nan
from typing import NamedTuple

from streams.drift.cusum import PHI, Chart

ID_BYTES = 8
"""Of the digest that a memo is remembered by."""
MICRO = 1e6
"""Logits are summed as whole millionths."""


class Day(NamedTuple):
    """An open day. total: its logits' sum in millionths, so that their order cannot matter."""

    day: int
    total: int
    memos: int
    ids: bytes
    """A digest of each memo, ID_BYTES long."""
    before: Chart | None
    """The chart before this day; None where it was not stored: the first and the last day always know theirs."""


class DriftState(NamedTuple):
    """Everything about one user that decides about the next memo. `chart` is as after the last open day."""

    chart: Chart = Chart()
    days: tuple[Day, ...] = ()
    latest_s: float = 0.0
    horizon_s: float = 0.0
    """Memos recorded before this are late."""
    bundle: int = 0
    retired: int = 0
    """The bundle before this one, whose stragglers are left out until `retired_until_s`."""
    retired_until_s: float = 0.0
    past: bytes = b""
    """The last closed days, each as its number and the mean of its logits in millionths: only for people to read."""

    def to_bytes(self) -> bytes:
        """This state, about 0.8 KB for a memo a day; equal states give equal bytes."""
        days = self.days
        base, last = (days[0].before or self.chart, days[-1].before or self.chart) if days else (self.chart, self.chart)
        parts = [_HEAD.pack(*base, *last, *self.chart, *self[2:7], len(self.past) // _INT_BYTES, len(days)), self.past]
        for day, total, memos, ids, _ in days:
            parts += _DAY.pack(day, total, memos, len(ids) // ID_BYTES), ids
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> "DriftState":
        """The state in `data`. Raises struct.error or ValueError when there is none."""
        head = _HEAD.unpack_from(data)
        base, last, chart = (Chart(*head[i : i + _FLOATS]) for i in (0, _FLOATS, 2 * _FLOATS))
        latest_s, horizon_s, bundle, retired, retired_until_s, closed_days, count = head[3 * _FLOATS :]
        at, days = _HEAD.size + _INT_BYTES * closed_days, []
        past = data[_HEAD.size : at]
        for i in range(count):
            day, total, memos, ids = _DAY.unpack_from(data, at)
            first, at = at + _DAY.size, at + _DAY.size + ID_BYTES * ids
            before = last if i == count - 1 else base if i == 0 else None
            days.append(Day(day, total, memos, data[first:at], before))
        if at != len(data):
            raise ValueError("bytes left over after a drift state")
        return cls(chart, tuple(days), latest_s, horizon_s, bundle, retired, retired_until_s, past)


def with_priors(data: bytes) -> bytes:
    """A stored state of version 1, whose charts do not say what they assumed, as bytes of version 2.

    Raises struct.error when it is too short.
    """
    charts = _CHARTS_1.unpack_from(data)
    return b"".join((*(chart + struct.pack("<d", PHI) for chart in charts), data[_CHARTS_1.size :]))


_FLOATS = len(Chart._fields)
_HEAD = struct.Struct(f"<{3 * _FLOATS}d dd QQd HH")
_DAY = struct.Struct("<iqHH")
PAST = struct.Struct("<ii")
_INT_BYTES = 4
_CHARTS_1 = struct.Struct("144s 144s 144s")
"""Three charts of 18 floats, as they were before they had a prior."""


class Windows(NamedTuple):
    """Plain means of the last 7 and 30 days (logits), and the days with memos in each; NaN where there are none."""

    days_7: int
    mean_7: float
    days_30: int
    mean_30: float


def windows(state: DriftState) -> Windows:
    """What lies beside the chart for people to read; decides nothing."""
    days = dict(PAST.iter_unpack(state.past))
    days |= {day.day: round(day.total / day.memos) for day in state.days if day.memos}
    last = max(days, default=0)
    week, month = ([mean / MICRO for day, mean in days.items() if day > last - size] for size in (7, 30))
    return Windows(
        len(week), sum(week) / len(week) if week else nan, len(month), sum(month) / len(month) if month else nan
    )
