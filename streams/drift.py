"""What is kept of one user between two memos, and how a memo changes it.

The days that the reorder window still reaches are kept open: each knows its memos and the chart before it, so a late
memo lands in its own day and the days after it are charted again. Days behind the window are closed; what comes for
them later is left out, and so is a memo seen before: nothing that is delivered twice changes anything.
"""

import struct
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from math import log
from typing import NamedTuple

from schemas.events import Band, RiskScored
from streams.chart import Chart, ChartRules, limit, step

DAY_S = 86400.0
MEMOS_A_DAY = 48
MEMOS_OPEN = 96
"""More memos than this are not kept open: the earliest day is closed before its time."""
FUTURE_S = DAY_S
"""A memo recorded this long after it was uploaded has a wrong clock, and would close every day up to it."""
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
    uploaded_at: datetime
    logit: float | None
    band: Band
    bundle_id: str


class Day(NamedTuple):
    """An open day. total: its logits' sum in millionths, so that their order cannot matter; before: chart before."""

    day: int
    total: int
    memos: int
    ids: tuple[int, ...]
    before: Chart


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

    def to_bytes(self) -> bytes:
        """This state, at most about 1 KB; equal states give equal bytes."""
        base = self.days[0].before if self.days else self.chart
        head = _HEAD.pack(*base, *self[2:], len(self.days))
        parts = [_DAY.pack(*day[:3], len(day.ids)) + struct.pack(f"<{len(day.ids)}Q", *day.ids) for day in self.days]
        return b"".join((head, *parts))

    @classmethod
    def from_bytes(cls, data: bytes, rules: ChartRules) -> "DriftState":
        """The state in `data`. Raises struct.error or ValueError when there is none."""
        *head, count = _HEAD.unpack_from(data)
        at, days = _HEAD.size, []
        for _ in range(count):
            day, total, memos, ids = _DAY.unpack_from(data, at)
            at += _DAY.size
            days.append(Day(day, total, memos, struct.unpack_from(f"<{ids}Q", data, at), Chart()))
            at += 8 * ids
        if at != len(data):
            raise ValueError("bytes left over after a drift state")
        size = len(Chart._fields)
        return _recharted(cls(Chart(), (), *head[size:]), Chart(*head[:size]), days, rules)


_HEAD = struct.Struct(f"<{len(Chart._fields)}ddd QQd H")
_DAY = struct.Struct("<iqHH")


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
        scored.uploaded_at,
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
    recorded_s = observation.recorded_at.timestamp()
    if recorded_s < state.horizon_s:
        return state, _verdict(Outcome.LATE, state, rules)
    if recorded_s > observation.uploaded_at.timestamp() + FUTURE_S:
        return state, _verdict(Outcome.FUTURE, state, rules)
    number, memo = int(recorded_s // DAY_S), _short(observation.memo_id)
    found = next((day for day in reversed(state.days) if day.day == number), None)
    if found and memo in found.ids:
        return state, _verdict(Outcome.DUPLICATE, state, rules)
    if found and len(found.ids) >= MEMOS_A_DAY:
        return state, _verdict(Outcome.CROWDED, state, rules)
    outcome = Outcome.CHARTED if observation.logit is not None else Outcome.INDETERMINATE
    bundle = _short(observation.bundle_id)
    if bundle != state.bundle and observation.logit is not None:
        if bundle == state.retired and recorded_s < state.retired_until_s:
            return state, _verdict(Outcome.RETIRED, state, rules)
        if state.bundle:
            outcome = Outcome.RESTARTED
            state = closed(state, Chart())._replace(retired=state.bundle, retired_until_s=recorded_s + DAY_S)
        state = state._replace(bundle=bundle)
    state = _placed(state, number, memo, observation.logit, rules)
    state = _behind_window(state, recorded_s, reorder_s)
    return state, _verdict(outcome, state, rules)


def closed(state: DriftState, chart: Chart) -> DriftState:
    """The state with every open day closed and `chart` in force; the memos of those days are still recognised."""
    days = tuple(Day(day.day, 0, 0, day.ids, chart) for day in state.days)
    return state._replace(chart=chart, days=days, horizon_s=max(state.horizon_s, state.latest_s))


def _verdict(outcome: Outcome, state: DriftState, rules: ChartRules) -> Verdict:
    return Verdict(outcome, state.chart, limit(state.chart, rules))


def _placed(state: DriftState, number: int, memo: int, logit: float | None, rules: ChartRules) -> DriftState:
    """The state with this memo in its day."""
    micro, count = (0, 0) if logit is None else (round(logit * _MICRO), 1)
    days = state.days
    if not days or number > days[-1].day:
        day = Day(number, micro, count, (memo,), state.chart)
        return state._replace(chart=_after(day, rules), days=(*days, day))
    if number == days[-1].day:
        _, total, memos, ids, before = days[-1]
        day = Day(number, total + micro, memos + count, (*ids, memo), before)
        return state._replace(chart=_after(day, rules), days=(*days[:-1], day))
    return _inserted(state, Day(number, micro, count, (memo,), Chart()), rules)


def _inserted(state: DriftState, new: Day, rules: ChartRules) -> DriftState:
    """The state with a memo of a day that is not the last, and every open day charted again."""
    base = state.days[0].before
    by_number = {day.day: day for day in state.days}
    old = by_number.get(new.day)
    if old:
        new = Day(new.day, old.total + new.total, old.memos + new.memos, old.ids + new.ids, base)
    by_number[new.day] = new
    return _recharted(state, base, [by_number[number] for number in sorted(by_number)], rules)


def _recharted(state: DriftState, base: Chart, days: Iterable[Day], rules: ChartRules) -> DriftState:
    charted = []
    for day in days:
        charted.append(day._replace(before=base))
        base = _after(charted[-1], rules)
    return state._replace(chart=base, days=tuple(charted))


def _after(day: Day, rules: ChartRules) -> Chart:
    if not day.memos:
        return day.before
    return step(day.before, float(day.day), day.total / (_MICRO * day.memos), day.memos, rules)


def _behind_window(state: DriftState, recorded_s: float, reorder_s: float) -> DriftState:
    """The state with the days closed that the reorder window has left behind."""
    latest_s = max(state.latest_s, recorded_s)
    first = (latest_s - reorder_s) // DAY_S
    days, horizon_s = state.days, state.horizon_s
    while len(days) > 1 and (days[0].day < first or sum(len(day.ids) for day in days) > MEMOS_OPEN):
        first = max(first, days[0].day + 1)
        days = days[1:]
    return state._replace(days=days, latest_s=latest_s, horizon_s=max(horizon_s, first * DAY_S))


def _short(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
