"""How a memo changes its user's drift state.

Days within the reorder window stay open: each stores its memos and the chart before it, so a late memo is added to its
own day and the days after it are recomputed. Days before the window are closed; memos that arrive for them later are
skipped, and so are duplicates: redelivery changes nothing. A memo that was indeterminate may get its score later: that
is no duplicate, and is added to its day like any late memo.
"""

from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from math import inf, log
from typing import NamedTuple

from schemas.events import Band, Evidence, RiskScored
from streams.drift.cusum import Chart, ChartRules, end_episode, limit, raise_episode, settle_at_new_level, step
from streams.drift.detector_state import ID_BYTES, MICRO, PAST, Day, DriftState
from workers.service.record_time import EARLIEST_S

DAY_S = 86400.0
MEMOS_A_DAY = 48
MEMOS_OPEN = 192
"""Maximum memos in open days: above it the earliest day is closed early."""
FUTURE_S = DAY_S
"""A memo recorded this long after its upload or its arrival has a wrong clock, and would close every day up to it. One
day: a phone that calls its local time UTC is up to 14 hours ahead."""
REMEMBERED = 30
_CERTAIN = 1e-4


class Outcome(StrEnum):
    """The outcome of a memo."""

    CHARTED = "charted"
    """It changed the chart."""
    INDETERMINATE = "indeterminate"
    """It has no score, or a mark leaves it out; remembered, without changing the chart."""
    DUPLICATE = "duplicate"
    """It was processed before."""
    LATE = "late"
    """Its day is closed."""
    CROWDED = "crowded"
    """Its day is full."""
    FUTURE = "future"
    """It was recorded after it was uploaded, or after it arrived."""
    RETIRED = "retired"
    """Its score is from the user's previous bundle."""
    RESTARTED = "restarted"
    """The first one of a new bundle: the chart restarts with it."""


class Transition(StrEnum):
    """A request of an episode to the detector, which alone changes its chart."""

    FOLLOW = "follow"
    """No change: the chart continues."""
    HOLD = "hold"
    """An episode starts: freeze the baseline from before the change."""
    RESUME = "resume"
    """The user has recovered: the baseline learns again."""
    RESETTLE = "resettle"
    """The change has lasted so long that it becomes the user's normal."""


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
    arrived_s: float = inf
    """When its score arrived, by clocks other than the phone's and the uploader's; infinite when unknown."""
    probability: float | None = None
    """As scored. No decision uses it, nor the evidence: alerts show them."""
    evidence: tuple[Evidence, ...] = ()

    @property
    def latest_s(self) -> float:
        """The latest time at which it can have been recorded; an upload time before EARLIEST_S is ignored."""
        uploaded_s = self.uploaded_s if self.uploaded_s >= EARLIEST_S else inf
        return min(uploaded_s, self.arrived_s) + FUTURE_S


class Verdict(NamedTuple):
    """The effect of one memo. threshold: for `chart.up`; infinite while the baseline is too young."""

    outcome: Outcome
    chart: Chart
    threshold: float


def observe(scored: RiskScored, arrived_s: float = inf) -> Observation:
    """The fields of a score that drift uses; an indeterminate one has no logit. arrived_s: see `Observation`."""
    probability = None if scored.band is Band.INDETERMINATE else scored.probability
    return Observation(
        scored.memo_id,
        scored.recorded_at,
        scored.recorded_at.timestamp(),
        scored.uploaded_at.timestamp(),
        None if probability is None else logit(probability),
        scored.band,
        scored.bundle_id,
        arrived_s,
        scored.probability,
        scored.evidence,
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
    """The state after one more memo, and the memo's effect. reorder_s: how late a memo may arrive, in seconds.

    Returns the given state, the same object, for a duplicate or a skipped memo.
    """
    given = state = state or _NEW
    recorded_s = observation.recorded_s
    if recorded_s < state.horizon_s:
        return state, _verdict(Outcome.LATE, state.chart, rules)
    if recorded_s > observation.latest_s:
        return state, _verdict(Outcome.FUTURE, state.chart, rules)
    number, memo = int(recorded_s // DAY_S), _digest(observation.memo_id, observation.logit)
    if not state.days:
        state = state._replace(chart=Chart(prior=rules.phi))
    elif number <= state.days[-1].day:
        days = _receiving(state.days, number, observation)
        if refused := _refused(days, number, memo, observation):
            return given, _verdict(refused, state.chart, rules)
        state = state._replace(days=days)
    outcome = Outcome.CHARTED if observation.logit is not None else Outcome.INDETERMINATE
    bundle = _bundle(observation.bundle_id)
    if bundle != state.bundle and observation.logit is not None:
        if bundle == state.retired and recorded_s < state.retired_until_s:
            return given, _verdict(Outcome.RETIRED, state.chart, rules)
        if state.bundle:
            outcome = Outcome.RESTARTED
            state = closed(state, Chart(prior=rules.phi))
            state = state._replace(retired=state.bundle, retired_until_s=recorded_s + DAY_S, past=b"")
        state = state._replace(bundle=bundle)
    chart, days, latest_s, horizon_s, bundle, retired, retired_until_s, past = state
    chart, days = _placed(chart, days, number, memo, observation.logit, rules)
    latest_s = max(latest_s, recorded_s)
    days, horizon, past = _behind_window(days, past, (latest_s - reorder_s) // DAY_S, rules)
    horizon_s = max(horizon_s, horizon * DAY_S)
    return (
        DriftState(chart, days, latest_s, horizon_s, bundle, retired, retired_until_s, past),
        _verdict(outcome, chart, rules),
    )


def after(state: DriftState, transition: Transition) -> DriftState:
    """The state after an episode has started or ended, which closes every open day."""
    match transition:
        case Transition.HOLD:
            return closed(state, raise_episode(state.chart))
        case Transition.RESUME:
            return closed(state, end_episode(state.chart))
        case Transition.RESETTLE:
            return closed(state, settle_at_new_level(state.chart))
    return state


def closed(state: DriftState, chart: Chart) -> DriftState:
    """The state with every open day closed and a new `chart`; memos of those days are still recognised."""
    days = tuple(Day(day.day, 0, 0, day.ids, chart) for day in state.days)
    past = state.past
    for day in state.days:
        past = _remembered(past, day)
    return state._replace(chart=chart, days=days, horizon_s=max(state.horizon_s, state.latest_s), past=past)


def _verdict(outcome: Outcome, chart: Chart, rules: ChartRules) -> Verdict:
    return Verdict(outcome, chart, limit(chart, rules))


def _refused(days: tuple[Day, ...], number: int, memo: bytes, observation: Observation) -> Outcome | None:
    """Why an open day rejects this memo; None when it accepts it."""
    for day in reversed(days):
        if day.day == number:
            if _has(day, memo):
                return Outcome.DUPLICATE
            if observation.logit is None and _has(day, _digest(observation.memo_id, 0.0)):
                return Outcome.DUPLICATE
            return Outcome.CROWDED if len(day.ids) >= ID_BYTES * MEMOS_A_DAY else None
    return None


def _has(day: Day, memo: bytes) -> bool:
    known = day.ids
    return memo in known and any(known[at : at + ID_BYTES] == memo for at in range(0, len(known), ID_BYTES))


def _receiving(days: tuple[Day, ...], number: int, observation: Observation) -> tuple[Day, ...]:
    """The open days as a score meets them: without its own memo, where that was indeterminate. Else the same days."""
    if observation.logit is None:
        return days
    memo = _digest(observation.memo_id, None)
    for index, day in enumerate(days):
        if day.day == number and _has(day, memo):
            ids = [day.ids[at : at + ID_BYTES] for at in range(0, len(day.ids), ID_BYTES)]
            ids.remove(memo)
            return (*days[:index], day._replace(ids=b"".join(ids)), *days[index + 1 :])
    return days


def _placed(
    chart: Chart, days: tuple[Day, ...], number: int, memo: bytes, logit: float | None, rules: ChartRules
) -> tuple[Chart, tuple[Day, ...]]:
    """The chart and the open days with this memo added to its day."""
    micro, count = (0, 0) if logit is None else (round(logit * MICRO), 1)
    if not days or number > days[-1].day:
        day = Day(number, micro, count, memo, chart)
    elif number == days[-1].day:
        _, total, memos, ids, before = days[-1]
        days, day = days[:-1], Day(number, total + micro, memos + count, ids + memo, before)
    else:
        return _inserted(days, Day(number, micro, count, memo, Chart()), rules)
    return chart_after(day, rules), (*days, day)


def _inserted(days: tuple[Day, ...], new: Day, rules: ChartRules) -> tuple[Chart, tuple[Day, ...]]:
    """The chart and the days with a memo added before the last day; recomputes every open day."""
    by_number = {day.day: day for day in days}
    old = by_number.get(new.day)
    if old:
        new = Day(new.day, old.total + new.total, old.memos + new.memos, old.ids + new.ids, None)
    by_number[new.day] = new
    base = days[0].before or Chart()
    charted = []
    for number in sorted(by_number):
        charted.append(by_number[number]._replace(before=base))
        base = chart_after(charted[-1], rules)
    return base, tuple(charted)


def chart_after(day: Day, rules: ChartRules) -> Chart:
    """The chart after a day, from its `before`."""
    before = day.before or Chart()
    if not day.memos:
        return before
    return step(before, float(day.day), day.total / (MICRO * day.memos), day.memos, rules)


def _without_first(days: tuple[Day, ...], rules: ChartRules) -> tuple[Day, ...]:
    """Open days after the first of them is closed."""
    if days[1].before is None:
        return (days[1]._replace(before=chart_after(days[0], rules)), *days[2:])
    return days[1:]


def _behind_window(
    days: tuple[Day, ...], past: bytes, first: float, rules: ChartRules
) -> tuple[tuple[Day, ...], float, bytes]:
    """The days that stay open from day `first` on, the first day that is not late, and the closed days."""
    while days[0].day < first and len(days) > 1:
        past = _remembered(past, days[0])
        days = _without_first(days, rules)
    while len(days) > MEMOS_OPEN // MEMOS_A_DAY and sum(len(day.ids) for day in days) > ID_BYTES * MEMOS_OPEN:
        first = days[0].day + 1.0
        past = _remembered(past, days[0])
        days = _without_first(days, rules)
    return days, first, past


def _remembered(past: bytes, day: Day) -> bytes:
    """Closed days with one more, at most REMEMBERED."""
    if not day.memos:
        return past
    return past[-PAST.size * (REMEMBERED - 1) :] + PAST.pack(day.day, round(day.total / day.memos))


_NEW = DriftState()


@lru_cache(64)
def _bundle(name: str) -> int:
    return int.from_bytes(_digest(name, 0.0), "little")


def _digest(name: str, logit: float | None) -> bytes:
    """What identifies a memo; another one while it is indeterminate, so that its score is recognised as new."""
    person = b"" if logit is not None else b"indeterminate"
    return blake2b(name.encode(), digest_size=ID_BYTES, person=person).digest()
