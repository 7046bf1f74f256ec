"""Drift of one person's scores, alone: without Kafka, Redis or settings, and with the code that the agent runs.

    >>> from streams.drift.api import DriftMonitor
    >>> monitor = DriftMonitor(false_alarms_per_year=1.0)
    >>> for day, probability in enumerate([0.2, 0.3, 0.25] * 20 + [0.6, 0.7, 0.65]):
    ...     verdict = monitor.update(day * 86400.0, probability)
    ...     if verdict.alarm:
    ...         print(f"day {day}: {verdict.alarm}")
    day 62: raised

The budget is the one idea: how many false alarms a year of one person may cost. The threshold follows from it, for any
mean, spread and autocorrelation (0 to 0.5) of the scores, which the monitor learns from the person's own past.
Importing this module loads no third-party library but `river.base`, if installed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, Any

from schemas.events import AlertState, Band, Evidence
from streams.drift import stored_state
from streams.drift.detector import DAY_S, Observation, Outcome, logit
from streams.drift.episodes import Judged, judge, remembered, reported_chart
from streams.drift.rules import COOLDOWN_S, REORDER_S, Rules, rules_for

if TYPE_CHECKING:
    _RiverDetector = Any
else:
    try:
        from river.base import DriftDetector as _RiverDetector
    except ImportError:
        _RiverDetector = object

Time = datetime | float
"""A moment: an aware datetime, or Unix seconds."""
_LATEST_S = 253_402_214_400.0
"""9999-12-31 UTC: the last day that a datetime has."""


class Phase(StrEnum):
    """What the monitor does with the next value."""

    LEARNING = "learning"
    """The baseline has fewer than seven days: no alarm yet."""
    WATCHING = "watching"
    """A change raises an alarm."""
    IN_EPISODE = "in_episode"
    """An alarm was raised and is not resolved: the baseline from before the change is kept."""
    COOLING_DOWN = "cooling_down"
    """An episode has ended, and the cool-down keeps the next one back."""


_IGNORED = {
    Outcome.INDETERMINATE: "no probability: it is remembered, and may be given later under the same memo_id",
    Outcome.DUPLICATE: "duplicate: a value of this memo was given before",
    Outcome.LATE: "late: it is older than the reorder window, or than an alarm that was raised or resolved since",
    Outcome.CROWDED: "crowded: its day has 48 memos already",
    Outcome.FUTURE: "future: its time is more than a day after its arrival, so its clock was wrong",
    Outcome.RETIRED: "retired: its score is of the previous bundle, which has been replaced",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The effect of one value.

    alarm: the step of an episode that it caused, if any; episode: id of the open or just resolved episode, else empty;
    statistic, threshold: of that step, and without one those of the upward chart, in SDs of days (an alarm is raised
    when the statistic exceeds the threshold; infinite while learning); baseline_days, baseline_mean, baseline_sd: the
    person's own normal, on the logit scale; outcome: what was done with the value, in the agent's words.
    """

    alarm: AlertState | None
    episode: str
    phase: Phase
    outcome: Outcome
    statistic: float
    threshold: float
    baseline_days: int
    baseline_mean: float
    baseline_sd: float

    @property
    def ignored(self) -> str | None:
        """Why the value did not change the chart; None when it did."""
        return _IGNORED.get(self.outcome)


class DriftMonitor:
    """Watches the scores of one person. Pure: it reads no clock, no file and no setting.

    false_alarms_per_year: the budget, false alarms that one person may cost a year; memos_per_day: values of a usual
    day, for which the budget holds; autocorrelation: of successive values, if measured, else any from 0 to 0.5 is
    allowed for; reorder_s: how much older than the latest one a value may be; cooldown_s: least time from the end of an
    episode to the next; user_id: only in the ids of episodes. The defaults are those of the agent's settings.
    Raises OutsideTable, a ValueError, for a budget that the shipped table does not hold; it names the range.
    """

    def __init__(
        self,
        false_alarms_per_year: float = 1.0,
        *,
        memos_per_day: float = 1.0,
        autocorrelation: float | None = None,
        reorder_s: float = REORDER_S,
        cooldown_s: float = COOLDOWN_S,
        user_id: str = "",
    ) -> None:
        self._rules: Rules = rules_for(false_alarms_per_year, memos_per_day, autocorrelation, reorder_s, cooldown_s)
        self._user_id = user_id
        self._state, self._alerting, self._outbox, self._recent = stored_state.StoredState()

    def update(
        self,
        time: Time,
        probability: float | None,
        *,
        memo_id: str | None = None,
        bundle_id: str = "",
        arrived: Time | None = None,
        evidence: Sequence[Evidence] = (),
    ) -> Verdict:
        """Take one value into account. probability: 0 to 1, None for an abstention.

        Values may come out of order within the reorder window; a memo_id (default: the time) that came before is a
        duplicate. bundle_id: the model that made the probability; another one restarts the baseline, because its
        probabilities are others. arrived: by a clock that is right; a time more than a day after it is ignored.
        evidence: of the score, kept in the state for the alerts of an agent that goes on with it.
        Raises ValueError for a time that is no moment from 1970 to 9999, and for a probability outside of 0 to 1.
        """
        observation = _observed(time, probability, memo_id, bundle_id, arrived, evidence)
        judged = judge(self._user_id, self._state, self._alerting, observation, self._rules)
        verdict = self._verdict(judged, observation)
        if judged.state is not self._state:
            self._recent = remembered(self._recent, observation, judged.verdict)
        self._state, self._alerting = judged.state, judged.alerting
        return verdict

    def to_bytes(self) -> bytes:
        """The state, at most 8 KiB, in the layout of the agent's state in Redis; equal states give equal bytes."""
        return stored_state.to_bytes(self._state, self._alerting, self._outbox, self._recent)

    @classmethod
    def from_bytes(cls, state: bytes, false_alarms_per_year: float = 1.0, **options: Any) -> "DriftMonitor":
        """A monitor that continues from `to_bytes`, or from a state of the agent, also of an older version.

        The budget and the options are those of the constructor: a state holds none. Undelivered alerts in an agent's
        state are kept. Raises UnreadableState, a ValueError, for other bytes.
        """
        monitor = cls(false_alarms_per_year, **options)
        monitor._state, monitor._alerting, monitor._outbox, monitor._recent = stored_state.from_bytes(state)
        return monitor

    def _verdict(self, judged: Judged, observation: Observation) -> Verdict:
        verdict, step = judged.verdict, judged.steps[0] if judged.steps else None
        chart = reported_chart(step, judged.state, verdict) if step else verdict.chart
        before, after = self._alerting.drift, judged.alerting.drift
        if after.key:
            phase = Phase.IN_EPISODE
        elif verdict.threshold == inf:
            phase = Phase.LEARNING
        elif max(observation.recorded_s, judged.state.latest_s) < after.quiet_until_s:
            phase = Phase.COOLING_DOWN
        else:
            phase = Phase.WATCHING
        return Verdict(
            step.state if step else None,
            after.key or (before.key if step else ""),
            phase,
            verdict.outcome,
            step.statistic if step else chart.up,
            step.threshold if step else verdict.threshold,
            int(chart.n),
            chart.mean,
            chart.sd,
        )


class RiverDriftMonitor(_RiverDetector):  # type: ignore[misc]
    """The same with the interface of River's drift detectors: `update(x)`, then `drift_detected`.

    River's detectors know no time, so the values count as `memos_per_day` a day, evenly. x: a probability; None for an
    abstention. `drift_detected` is True for the value that raises an alarm; `verdict` has the rest, such as that the
    episode is over. Inherits `river.base.DriftDetector` where River is installed; River itself is not needed.

    >>> detector = RiverDriftMonitor(false_alarms_per_year=0.5)
    >>> detected = []
    >>> for day, x in enumerate([0.2, 0.3, 0.25] * 20 + [0.6, 0.7, 0.65] * 2):
    ...     detector.update(x)
    ...     if detector.drift_detected:
    ...         detected.append(day)
    >>> detected
    [63]
    """

    def __init__(
        self, false_alarms_per_year: float = 1.0, memos_per_day: float = 1.0, autocorrelation: float | None = None
    ) -> None:
        if _RiverDetector is not object:
            super().__init__()
        # River clones a detector by the attributes that bear the names of its arguments.
        self.false_alarms_per_year = false_alarms_per_year
        self.memos_per_day = memos_per_day
        self.autocorrelation = autocorrelation
        self.monitor = DriftMonitor(false_alarms_per_year, memos_per_day=memos_per_day, autocorrelation=autocorrelation)
        self.verdict: Verdict | None = None
        self._steps = 0

    @property
    def drift_detected(self) -> bool:
        """Whether the last value raised an alarm."""
        return self.verdict is not None and self.verdict.alarm is AlertState.RAISED

    def update(self, x: float | None) -> None:
        """Take the next value into account. Raises ValueError when it is outside of 0 to 1."""
        self.verdict = self.monitor.update(self._steps * DAY_S / self.memos_per_day, x)
        self._steps += 1


def _observed(
    time: Time,
    probability: float | None,
    memo_id: str | None,
    bundle_id: str,
    arrived: Time | None,
    evidence: Sequence[Evidence],
) -> Observation:
    recorded_s = _seconds(time, "time")
    if probability is not None and not 0.0 <= probability <= 1.0:
        raise ValueError("probability must be a number from 0 to 1, or None for an abstention")
    return Observation(
        repr(recorded_s) if memo_id is None else memo_id,
        datetime.fromtimestamp(recorded_s, UTC),
        recorded_s,
        inf,
        None if probability is None else logit(float(probability)),
        Band.INDETERMINATE if probability is None else Band.LOW,
        bundle_id,
        inf if arrived is None else _seconds(arrived, "arrived"),
        None if probability is None else float(probability),
        tuple(evidence),
    )


def _seconds(moment: Time, name: str) -> float:
    """Unix seconds of a moment. Raises ValueError."""
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ValueError(f"{name} has no time zone: give an aware datetime, such as datetime.now(UTC)")
        seconds = moment.timestamp()
    else:
        seconds = float(moment)
    if not 0.0 <= seconds < _LATEST_S:
        raise ValueError(f"{name} must be an aware datetime, or Unix seconds, from 1970 to 9999")
    return seconds


__all__ = ["AlertState", "DriftMonitor", "Outcome", "Phase", "RiverDriftMonitor", "Verdict"]
