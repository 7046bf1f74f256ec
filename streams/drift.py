"""What is kept of one user between two memos, and how a memo changes it.

The days that the reorder window still reaches are kept open: each knows its memos and the chart before it, so a late
memo lands in its own day and the days after it are charted again. Days behind the window are closed; what comes for
them later is left out, and so is a memo seen before: nothing that is delivered twice changes anything.
"""

import struct
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from math import log, nan
from typing import NamedTuple

from schemas.events import Band, RiskScored
from streams.chart import PHI, Chart, ChartRules, limit, step

DAY_S = 86400.0
MEMOS_A_DAY = 48
MEMOS_OPEN = 192
"""More memos than this are not kept open: the earliest day is closed before its time."""
FUTURE_S = DAY_S
"""A memo recorded this long after it was uploaded has a wrong clock, and would close every day up to it."""
REMEMBERED = 30
_MICRO = 1e6
_CERTAIN = 1e-4


class Outcome(StrEnum):
    """What became of a memo."""

    CHARTED = "charted"
    """It moved the chart."""
    INDETERMINATE = "indeterminate"
    """It carries no score; remembered, but moves nothing."""
    DUPLICATE = "duplicate"
    """It was seen before."""
    LATE = "late"
    """Its day is closed."""
    CROWDED = "crowded"
    """Its day is full."""
    FUTURE = "future"
    """It was recorded after it was uploaded."""
    RETIRED = "retired"
    """Its score is from the bundle that the user has just moved on from."""
    RESTARTED = "restarted"
    """The first one of a new bundle: the chart begins again with it."""


class Observation(NamedTuple):
    """One scored memo. logit: of the calibrated probability, None when the score is indeterminate."""

    memo_id: str
    recorded_at: datetime
    recorded_s: float
    """The same, in seconds since 1970."""
    uploaded_s: float
    logit: float | None
    band: Band
    bundle_id: str


class Day(NamedTuple):
    """An open day. total: its logits' sum in millionths, so that their order cannot matter."""

    day: int
    total: int
    memos: int
    ids: tuple[int, ...]
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
    past: tuple[int, ...] = ()
    """The last closed days, each as its number and the mean of its logits in millionths: only for people to read."""

    def to_bytes(self) -> bytes:
        """This state, about 0.8 KB for a memo a day; equal states give equal bytes."""
        days = self.days
        base, last = (days[0].before or self.chart, days[-1].before or self.chart) if days else (self.chart, self.chart)
        head = _HEAD.pack(*base, *last, *self.chart, *self[2:7], len(self.past), len(days))
        parts = [_DAY.pack(*day[:3], len(day.ids)) + struct.pack(f"<{len(day.ids)}Q", *day.ids) for day in days]
        return b"".join((head, struct.pack(f"<{len(self.past)}i", *self.past), *parts))

    @classmethod
    def from_bytes(cls, data: bytes) -> "DriftState":
        """The state in `data`. Raises struct.error or ValueError when there is none."""
        head = _HEAD.unpack_from(data)
        base, last, chart = (Chart._make(head[i : i + _FLOATS]) for i in (0, _FLOATS, 2 * _FLOATS))
        latest_s, horizon_s, bundle, retired, retired_until_s, closed_days, count = head[3 * _FLOATS :]
        past = struct.unpack_from(f"<{closed_days}i", data, _HEAD.size)
        at, days = _HEAD.size + 4 * closed_days, []
        for i in range(count):
            day, total, memos, ids = _DAY.unpack_from(data, at)
            at += _DAY.size + 8 * ids
            before = last if i == count - 1 else base if i == 0 else None
            days.append(Day(day, total, memos, struct.unpack_from(f"<{ids}Q", data, at - 8 * ids), before))
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
    days = dict(zip(state.past[::2], state.past[1::2], strict=True))
    days |= {day.day: round(day.total / day.memos) for day in state.days if day.memos}
    last = max(days, default=0)
    week, month = ([mean / _MICRO for day, mean in days.items() if day > last - size] for size in (7, 30))
    return Windows(
        len(week), sum(week) / len(week) if week else nan, len(month), sum(month) / len(month) if month else nan
    )


class Verdict(NamedTuple):
    """What one memo did. threshold: that `chart.up` is held against; infinite while the baseline is too young."""

    outcome: Outcome
    chart: Chart
    threshold: float


def observe(scored: RiskScored) -> Observation:
    """What drift needs of a score; an indeterminate one has no logit."""
    probability = None if scored.band is Band.INDETERMINATE else scored.probability
    return Observation(
        scored.memo_id,
        scored.recorded_at,
        scored.recorded_at.timestamp(),
        scored.uploaded_at.timestamp(),
        None if probability is None else logit(probability),
        scored.band,
        scored.bundle_id,
    )


def logit(probability: float) -> float:
    """Log odds, with certainty bounded at ±9.2.

    >>> logit(0.5)
    0.0
    """
    p = min(max(probability, _CERTAIN), 1 - _CERTAIN)
    return log(p / (1 - p))


def update(
    state: DriftState | None, observation: Observation, rules: ChartRules, reorder_s: float
) -> tuple[DriftState, Verdict]:
    """The state after one more memo, and what the memo did. reorder_s: how late a memo may come, in seconds.

    The given state comes back unchanged, the very object, for anything that is seen already or left out.
    """
    state = state or DriftState()
    recorded_s = observation.recorded_s
    if recorded_s < state.horizon_s:
        return state, _verdict(Outcome.LATE, state, rules)
    if recorded_s > observation.uploaded_s + FUTURE_S:
        return state, _verdict(Outcome.FUTURE, state, rules)
    if not state.days:
        state = state._replace(chart=Chart(prior=rules.phi))
    number, memo = int(recorded_s // DAY_S), _short(observation.memo_id)
    found = None
    if state.days and number <= state.days[-1].day:
        found = next((day for day in reversed(state.days) if day.day == number), None)
    if found and memo in found.ids:
        return state, _verdict(Outcome.DUPLICATE, state, rules)
    if found and len(found.ids) >= MEMOS_A_DAY:
        return state, _verdict(Outcome.CROWDED, state, rules)
    outcome = Outcome.CHARTED if observation.logit is not None else Outcome.INDETERMINATE
    bundle = _bundle(observation.bundle_id)
    if bundle != state.bundle and observation.logit is not None:
        if bundle == state.retired and recorded_s < state.retired_until_s:
            return state, _verdict(Outcome.RETIRED, state, rules)
        if state.bundle:
            outcome = Outcome.RESTARTED
            state = closed(state, Chart(prior=rules.phi))
            state = state._replace(retired=state.bundle, retired_until_s=recorded_s + DAY_S, past=())
        state = state._replace(bundle=bundle)
    state = _placed(state, number, memo, observation.logit, rules)
    state = _behind_window(state, max(state.latest_s, recorded_s), reorder_s, rules)
    return state, _verdict(outcome, state, rules)


def closed(state: DriftState, chart: Chart) -> DriftState:
    """The state with every open day closed and `chart` in force; the memos of those days are still recognised."""
    days = tuple(Day(day.day, 0, 0, day.ids, chart) for day in state.days)
    past = state.past
    for day in state.days:
        past = _remembered(past, day)
    return state._replace(chart=chart, days=days, horizon_s=max(state.horizon_s, state.latest_s), past=past)


def _verdict(outcome: Outcome, state: DriftState, rules: ChartRules) -> Verdict:
    return Verdict(outcome, state.chart, limit(state.chart, rules))


def _placed(state: DriftState, number: int, memo: int, logit: float | None, rules: ChartRules) -> DriftState:
    """The state with this memo in its day."""
    micro, count = (0, 0) if logit is None else (round(logit * _MICRO), 1)
    days = state.days
    if not days or number > days[-1].day:
        day = Day(number, micro, count, (memo,), state.chart)
    elif number == days[-1].day:
        _, total, memos, ids, before = days[-1]
        days, day = days[:-1], Day(number, total + micro, memos + count, (*ids, memo), before)
    else:
        return _inserted(state, Day(number, micro, count, (memo,), Chart()), rules)
    return DriftState(_after(day, rules), (*days, day), *state[2:])


def _inserted(state: DriftState, new: Day, rules: ChartRules) -> DriftState:
    """The state with a memo of a day that is not the last, and every open day charted again."""
    by_number = {day.day: day for day in state.days}
    old = by_number.get(new.day)
    if old:
        new = Day(new.day, old.total + new.total, old.memos + new.memos, old.ids + new.ids, None)
    by_number[new.day] = new
    base = state.days[0].before or state.chart
    charted = []
    for number in sorted(by_number):
        charted.append(by_number[number]._replace(before=base))
        base = _after(charted[-1], rules)
    return state._replace(chart=base, days=tuple(charted))


def _after(day: Day, rules: ChartRules) -> Chart:
    """The chart after a day that knows the one before it."""
    before = day.before or Chart()
    if not day.memos:
        return before
    return step(before, float(day.day), day.total / (_MICRO * day.memos), day.memos, rules)


def _without_first(days: tuple[Day, ...], rules: ChartRules) -> tuple[Day, ...]:
    """Open days once the first of them is closed."""
    if days[1].before is None:
        return (days[1]._replace(before=_after(days[0], rules)), *days[2:])
    return days[1:]


def _behind_window(state: DriftState, latest_s: float, reorder_s: float, rules: ChartRules) -> DriftState:
    """The state with the days closed that the reorder window has left behind."""
    chart, days, _, horizon_s, bundle, retired, retired_until_s, past = state
    first = (latest_s - reorder_s) // DAY_S
    while days[0].day < first and len(days) > 1:
        past = _remembered(past, days[0])
        days = _without_first(days, rules)
    while len(days) > MEMOS_OPEN // MEMOS_A_DAY and sum(len(day.ids) for day in days) > MEMOS_OPEN:
        first = days[0].day + 1.0
        past = _remembered(past, days[0])
        days = _without_first(days, rules)
    return DriftState(chart, days, latest_s, max(horizon_s, first * DAY_S), bundle, retired, retired_until_s, past)


def _remembered(past: tuple[int, ...], day: Day) -> tuple[int, ...]:
    """Closed days with one more, at most REMEMBERED."""
    if not day.memos:
        return past
    return (*past[-2 * (REMEMBERED - 1) :], day.day, round(day.total / day.memos))


@lru_cache(64)
def _bundle(name: str) -> int:
    return _short(name)


def _short(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
