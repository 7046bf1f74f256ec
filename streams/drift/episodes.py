"""Alert episodes: raised, possibly escalated, resolved; one `dedup_key` per episode.

A `drift` episode starts when the upward chart exceeds its threshold and ends when the downward chart signals a return,
or after ninety days, when the new level becomes the user's normal. A `level` episode starts when k of the last m scores
are in the high band and ends when few are. A `silence` episode starts without a memo, when its time has come
(`streams/drift/silence_watch.py`), and ends with the next one. A cool-down separates two episodes of one kind. A new
bundle leaves open episodes open and raises no alert.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from schemas.events import AlertKind, AlertState, Band, Severity
from schemas.ids import derived_id
from streams.drift.cusum import Chart
from streams.drift.detector import DAY_S, Observation, Outcome, Transition, Verdict, after, update
from streams.drift.detector_state import DriftState
from streams.drift.rules import Rules
from streams.reasons.recent_memos import NONE, Memo, with_memo
from streams.silence.quiet import Quiet

ESCALATES_AT = 2.0
"""Multiple of its threshold at which the upward chart escalates an episode."""
RECOVERED_AT = 4.0
"""Threshold at which the downward chart resolves an episode."""
PASSED_AT = 3.0
"""The same for an episode that never escalated, as false alarms do not: it should not delay the next change."""
LONGEST_S = 90 * DAY_S


class Episode(NamedTuple):
    """One kind of alert for one user. key: `dedup_key` of the open episode, empty when none is open."""

    key: str = ""
    opened_s: float = 0.0
    quiet_until_s: float = 0.0
    """End of the cool-down: no episode of this kind starts earlier."""
    escalated: bool = False


class Alerting(NamedTuple):
    """The alerting state of one user. bands: the last scores, newest in the lowest bit, 1 for the high band."""

    drift: Episode = Episode()
    level: Episode = Episode()
    bands: int = 0
    high_since_s: float = 0.0
    """When the oldest run of high scores within `bands` started."""
    silence: Quiet = Quiet()
    """How this user speaks, and the open silence."""

    @property
    def open_episode(self) -> bool:
        """Whether an alert about scores is raised and not resolved: the single source of this fact."""
        return bool(self.drift.key or self.level.key)

    def to_bytes(self) -> bytes:
        """This state in about 250 bytes; what was added after 0.1 comes last, where older versions do not look."""
        if self[:_SILENCE] == _NONE[:_SILENCE]:
            return _NONE_BYTES + self.silence.to_bytes()
        parts = [_HEAD.pack(self.bands, self.high_since_s)]
        for episode in (self.drift, self.level):
            key = episode.key.encode()
            parts.append(_EPISODE.pack(episode.opened_s, episode.quiet_until_s, episode.escalated, len(key)) + key)
        return b"".join((*parts, self.silence.to_bytes()))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Alerting":
        """The state in `data`. Raises struct.error or ValueError for other bytes."""
        if data.startswith(_NONE_BYTES):
            return cls(silence=Quiet.from_bytes(data[len(_NONE_BYTES) :]))
        bands, high_since_s = _HEAD.unpack_from(data)
        at, episodes = _HEAD.size, []
        for _ in range(2):
            opened_s, quiet_until_s, escalated, size = _EPISODE.unpack_from(data, at)
            at += _EPISODE.size
            episodes.append(Episode(data[at : at + size].decode(), opened_s, quiet_until_s, escalated))
            at += size
        return cls(episodes[0], episodes[1], bands, high_since_s, Quiet.from_bytes(data[at:]))


_HEAD = struct.Struct("<Id")
_EPISODE = struct.Struct("<dd?B")
_NONE = Alerting()
_SILENCE = Alerting._fields.index("silence")
_NONE_BYTES = bytes(_HEAD.size + 2 * _EPISODE.size)
"""No open episode, no high score: by far the most common state."""


class Step(NamedTuple):
    """One step of an episode. key: `dedup_key` of the episode; since_s: start of the change, seconds since 1970."""

    kind: AlertKind
    state: AlertState
    severity: Severity
    statistic: float
    threshold: float
    since_s: float
    key: str


class Decision(NamedTuple):
    """The result of a verdict. steps: drift before level; transition: what the detector must do."""

    alerting: Alerting
    steps: Sequence[Step] = ()
    transition: Transition = Transition.FOLLOW


class Judged(NamedTuple):
    """One user after a memo. state: the given object when the memo was skipped or a duplicate."""

    state: DriftState
    alerting: Alerting
    verdict: Verdict
    steps: Sequence[Step]


def judge(user_id: str, state: DriftState, alerting: Alerting, observation: Observation, rules: Rules) -> Judged:
    """The user after one more memo, its verdict, and the alert steps that it causes: the whole of drift detection."""
    changed, verdict = update(state, observation, rules.chart, rules.reorder_s)
    if changed is state:
        return Judged(state, alerting, verdict, ())
    alerting, steps, transition = decide(user_id, alerting, verdict, observation, rules)
    return Judged(after(changed, transition), alerting, verdict, steps)


def remembered(recent: bytes, observation: Observation, verdict: Verdict) -> bytes:
    """The recent memos with one that changed the state; scores of a previous bundle are not compared with it."""
    memo = Memo(observation.recorded_s, observation.probability, observation.band, observation.evidence)
    return with_memo(NONE if verdict.outcome is Outcome.RESTARTED else recent, memo)


def reported_chart(step: Step, state: DriftState, verdict: Verdict) -> Chart:
    """The chart whose baseline an alert reports: for a raised drift alert, the one frozen for the episode."""
    begins = step.kind is AlertKind.DRIFT and step.state is AlertState.RAISED
    return state.chart if begins else verdict.chart


def decide(user_id: str, alerting: Alerting, verdict: Verdict, observation: Observation, rules: Rules) -> Decision:
    """The alert steps that a verdict causes; a memo that did not change the chart causes none."""
    if verdict.outcome is not Outcome.CHARTED:
        return Decision(alerting)
    steps: list[Step] = []
    transition = Transition.FOLLOW
    chart, drift = verdict.chart, alerting.drift
    if drift.key:
        drift, transition = _follow_drift(drift, verdict, observation.recorded_s, rules, steps)
        alerting = alerting._replace(drift=drift)
    elif chart.up > verdict.threshold and observation.recorded_s >= drift.quiet_until_s:
        drift, transition = _opened(user_id, AlertKind.DRIFT, observation), Transition.HOLD
        alerting = alerting._replace(drift=drift)
        steps.append(_drift_step(AlertState.RAISED, Severity.WARNING, chart.up, verdict.threshold, chart, drift.key))
    if rules.level_of and (observation.band is Band.HIGH or alerting.bands or alerting.level.key):
        alerting = _follow_level(user_id, alerting, observation, rules, steps)
    return Decision(alerting, steps, transition)


def _opened(user_id: str, kind: AlertKind, observation: Observation) -> Episode:
    """An episode that starts with this memo; the same memo always gives the same key."""
    return Episode(derived_id("episode", user_id, kind, observation.memo_id), observation.recorded_s)


def _follow_drift(
    episode: Episode, verdict: Verdict, now_s: float, rules: Rules, steps: list[Step]
) -> tuple[Episode, Transition]:
    chart, threshold = verdict.chart, ESCALATES_AT * verdict.threshold
    if chart.recovery and chart.up > threshold and not episode.escalated:
        steps.append(_drift_step(AlertState.ESCALATED, Severity.CRITICAL, chart.up, threshold, chart, episode.key))
        return episode._replace(escalated=True), Transition.FOLLOW
    limit = RECOVERED_AT if episode.escalated else PASSED_AT
    recovered = chart.recovery > 0 and chart.down > limit
    if not recovered and now_s < episode.opened_s + LONGEST_S:
        return episode, Transition.FOLLOW
    severity = Severity.CRITICAL if episode.escalated else Severity.WARNING
    steps.append(_drift_step(AlertState.RESOLVED, severity, chart.down, limit, chart, episode.key))
    # Without `recovery` a new bundle has restarted the chart: it has no frozen baseline to resume.
    end = Transition.RESUME if recovered else Transition.RESETTLE
    return Episode(quiet_until_s=now_s + rules.cooldown_s), end if chart.recovery else Transition.FOLLOW


def _drift_step(
    state: AlertState, severity: Severity, statistic: float, threshold: float, chart: Chart, key: str
) -> Step:
    return Step(AlertKind.DRIFT, state, severity, statistic, threshold, chart.since * DAY_S, key)


def _follow_level(
    user_id: str, alerting: Alerting, observation: Observation, rules: Rules, steps: list[Step]
) -> Alerting:
    high, now_s = observation.band is Band.HIGH, observation.recorded_s
    since_s = now_s if high and not alerting.bands else alerting.high_since_s
    bands = (alerting.bands << 1 | high) & ((1 << rules.level_of) - 1)
    count, few, episode = bands.bit_count(), rules.level_of - rules.level_high, alerting.level
    if not episode.key and count >= rules.level_high and now_s >= episode.quiet_until_s:
        episode = _opened(user_id, AlertKind.LEVEL, observation)
        steps.append(_level_step(AlertState.RAISED, count, rules.level_high, since_s, episode.key))
    elif episode.key and count <= few:
        steps.append(_level_step(AlertState.RESOLVED, count, few, since_s, episode.key))
        episode = Episode(quiet_until_s=now_s + rules.cooldown_s)
    return alerting._replace(level=episode, bands=bands, high_since_s=since_s)


def _level_step(state: AlertState, count: int, threshold: int, since_s: float, key: str) -> Step:
    return Step(AlertKind.LEVEL, state, Severity.WARNING, float(count), float(threshold), since_s, key)
