"""Verdicts become episodes: raised, perhaps escalated, resolved; one alert an episode.

A `drift` episode begins when the upward chart passes its threshold and ends when the downward chart tells that the
user is back, or after ninety days, when the new level has become the user's normal. A `level` episode begins when k of
the last m scores lie in the high band and ends when few do. Between the end of an episode and the next one of its kind
lies a cool-down. A new bundle leaves open episodes open and says nothing.
"""

import struct
from typing import NamedTuple

from schemas.events import AlertKind, AlertState, Band, Severity
from streams.drift.cusum import Chart, end_episode, limit, raise_episode, settle_at_new_level
from streams.drift.detector import DAY_S, Observation, Outcome, Verdict, closed
from streams.drift.detector_state import DriftState
from streams.drift.rules import Rules

ESCALATES_AT = 2.0
"""Times its threshold that the upward chart has to reach in an episode."""
RECOVERED_AT = 4.0
"""Where the downward chart says that an episode is over."""
PASSED_AT = 3.0
"""The same for one that never escalated, as false alarms do not: it should not be in the way of the next change."""
LONGEST_S = 90 * DAY_S


class Episode(NamedTuple):
    """One kind of alert for one user. key: `dedup_key` of the open episode, empty when none is open."""

    key: str = ""
    opened_s: float = 0.0
    quiet_until_s: float = 0.0
    """No new episode of this kind begins before."""
    escalated: bool = False


class Alerting(NamedTuple):
    """What alerting remembers of one user. bands: the last scores, newest in the lowest bit, 1 for the high band."""

    drift: Episode = Episode()
    level: Episode = Episode()
    bands: int = 0
    high_since_s: float = 0.0
    """When the oldest run of high scores within `bands` began."""

    def to_bytes(self) -> bytes:
        """This state in about 100 bytes."""
        if self == _NONE:
            return _NONE_BYTES
        parts = [_HEAD.pack(self.bands, self.high_since_s)]
        for episode in (self.drift, self.level):
            key = episode.key.encode()
            parts.append(_EPISODE.pack(episode.opened_s, episode.quiet_until_s, episode.escalated, len(key)) + key)
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Alerting":
        """The state in `data`. Raises struct.error or ValueError when there is none."""
        if data == _NONE_BYTES:
            return _NONE
        bands, high_since_s = _HEAD.unpack_from(data)
        at, episodes = _HEAD.size, []
        for _ in range(2):
            opened_s, quiet_until_s, escalated, size = _EPISODE.unpack_from(data, at)
            at += _EPISODE.size
            episodes.append(Episode(data[at : at + size].decode(), opened_s, quiet_until_s, escalated))
            at += size
        return cls(episodes[0], episodes[1], bands, high_since_s)


_HEAD = struct.Struct("<Id")
_EPISODE = struct.Struct("<dd?B")
_NONE = Alerting()
_NONE_BYTES = bytes(_HEAD.size + 2 * _EPISODE.size)
"""Nothing open, nothing high: nearly every user, nearly always."""


class Step(NamedTuple):
    """One step of an episode, before it has a name. chart: as it speaks for the step; since_s: seconds since 1970."""

    kind: AlertKind
    state: AlertState
    severity: Severity
    statistic: float
    threshold: float
    chart: Chart
    since_s: float
    key: str
    """Of the episode; empty for one that begins here."""


def decide(
    alerting: Alerting, state: DriftState, verdict: Verdict, observation: Observation, rules: Rules
) -> tuple[Alerting, DriftState, list[Step]]:
    """Alerting and drift state after a verdict, and the steps it leads to, drift before level.

    A step that begins an episode has no key yet: name it and hand it to `named`.
    """
    steps: list[Step] = []
    if verdict.outcome is not Outcome.CHARTED:
        return alerting, state, steps
    now_s = observation.recorded_s
    if alerting.drift.key:
        alerting, state = _follow_drift(alerting, state, now_s, rules, steps)
    elif verdict.chart.up > verdict.threshold and now_s >= alerting.drift.quiet_until_s:
        chart = raise_episode(verdict.chart)
        state = closed(state, chart)
        steps.append(_drift_step(AlertState.RAISED, Severity.WARNING, chart.up, verdict.threshold, chart, ""))
    if rules.level_of and (observation.band is Band.HIGH or alerting.bands or alerting.level.key):
        alerting = _follow_level(alerting, verdict.chart, observation, now_s, rules, steps)
    return alerting, state, steps


def named(alerting: Alerting, step: Step, key: str, now_s: float) -> Alerting:
    """Alerting once an episode that begins has its dedup key."""
    episode = Episode(key, now_s)
    return alerting._replace(drift=episode) if step.kind is AlertKind.DRIFT else alerting._replace(level=episode)


def _follow_drift(
    alerting: Alerting, state: DriftState, now_s: float, rules: Rules, steps: list[Step]
) -> tuple[Alerting, DriftState]:
    chart, episode = state.chart, alerting.drift
    threshold = ESCALATES_AT * limit(chart, rules.chart)
    if chart.recovery and chart.up > threshold and not episode.escalated:
        steps.append(_drift_step(AlertState.ESCALATED, Severity.CRITICAL, chart.up, threshold, chart, episode.key))
        return alerting._replace(drift=episode._replace(escalated=True)), state
    over = RECOVERED_AT if episode.escalated else PASSED_AT
    back = chart.recovery > 0 and chart.down > over
    if not back and now_s < episode.opened_s + LONGEST_S:
        return alerting, state
    severity = Severity.CRITICAL if episode.escalated else Severity.WARNING
    steps.append(_drift_step(AlertState.RESOLVED, severity, chart.down, over, chart, episode.key))
    if chart.recovery:
        state = closed(state, end_episode(chart) if back else settle_at_new_level(chart))
    return alerting._replace(drift=Episode(quiet_until_s=now_s + rules.cooldown_s)), state


def _drift_step(
    state: AlertState, severity: Severity, statistic: float, threshold: float, chart: Chart, key: str
) -> Step:
    return Step(AlertKind.DRIFT, state, severity, statistic, threshold, chart, chart.since * DAY_S, key)


def _follow_level(
    alerting: Alerting, chart: Chart, observation: Observation, now_s: float, rules: Rules, steps: list[Step]
) -> Alerting:
    high = observation.band is Band.HIGH
    since_s = now_s if high and not alerting.bands else alerting.high_since_s
    bands = (alerting.bands << 1 | high) & ((1 << rules.level_of) - 1)
    alerting = alerting._replace(bands=bands, high_since_s=since_s)
    count, episode = bands.bit_count(), alerting.level
    if not episode.key and count >= rules.level_high and now_s >= episode.quiet_until_s:
        steps.append(_level_step(AlertState.RAISED, count, rules.level_high, chart, since_s, ""))
    elif episode.key and count <= rules.level_of - rules.level_high:
        steps.append(
            _level_step(
                AlertState.RESOLVED, count, rules.level_of - rules.level_high, chart, since_s, episode.key
            )
        )  # fmt: skip
        return alerting._replace(level=Episode(quiet_until_s=now_s + rules.cooldown_s))
    return alerting


def _level_step(state: AlertState, count: int, threshold: int, chart: Chart, since_s: float, key: str) -> Step:
    return Step(AlertKind.LEVEL, state, Severity.WARNING, float(count), float(threshold), chart, since_s, key)
