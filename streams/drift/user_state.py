"""One user's drift state: stored bytes and new scores in, new bytes and alerts out. Agent and replay share it.

Alerts are delivered at least once, under stable ids: the state stores every alert until `delivered` confirms it, and
returns it again with the user's next score. The order for a caller is: write the state, publish the alerts, commit the
scores, mark the alerts delivered. A crash at any step loses nothing, and subscribers deduplicate by `alert_id`. Once
all are delivered, the state depends on the scores alone: not on batch boundaries, nor on redelivery.
"""

import struct
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NamedTuple

from schemas.codec import Codec
from schemas.errors import UnreadableState
from schemas.events import (
    AlertKind,
    AlertState,
    BaselineSummary,
    RecentSummary,
    RiskAlert,
    RiskScored,
    Severity,
)
from schemas.ids import derived_id
from schemas.state_keys import DRIFT
from streams.context.exclusions import Exclusions, left_out
from streams.drift import stored_state
from streams.drift.clocks import alerting_until, state_until
from streams.drift.cusum import Chart
from streams.drift.detector import DAY_S, FUTURE_S, Observation, Outcome, Verdict, observe
from streams.drift.detector_state import DriftState
from streams.drift.episodes import Alerting, Step, judge, remembered, reported_chart
from streams.drift.rules import Rules
from streams.reasons.episode_evidence import episode_evidence, score_points
from streams.reasons.recent_memos import NONE, recent_memos, until
from streams.reasons.summary import summary_of
from streams.silence.habit import limit_days
from streams.silence.quiet import Quiet, heard
from workers.service.record_time import arrived_s

_CODEC = Codec()


class Followed(NamedTuple):
    """One user after some scores. alerts: undelivered ones, oldest first; outcomes: one per score, in order.

    readable: whether the stored bytes were readable; if not, the user's state restarted, and `unpack` says why. pairs,
    products: added by these scores to the pooled autocorrelation.
    """

    state: bytes
    alerts: list[RiskAlert]
    outcomes: tuple[Outcome, ...]
    readable: bool
    pairs: float
    products: float


class User(NamedTuple):
    """One user, unpacked. outbox: alerts not known to be delivered; recent: see `reasons.recent_memos`."""

    drift: DriftState = DriftState()
    alerting: Alerting = Alerting()
    outbox: tuple[RiskAlert, ...] = ()
    recent: bytes = NONE


def follow(state: bytes | None, scored: Sequence[RiskScored], rules: Rules) -> tuple[bytes, list[RiskAlert]]:
    """The user's new state, and every alert not known to be delivered. All scores belong to one user."""
    followed = follow_in_detail(state, scored, rules)
    return followed.state, followed.alerts


def follow_in_detail(
    state: bytes | None,
    scored: Sequence[RiskScored],
    rules: Rules,
    now_s: float | None = None,
    timestamps_ms: Sequence[int] = (),
    excluded: Exclusions = MappingProxyType({}),
) -> Followed:
    """As `follow`, with the outcome of every score.

    excluded: times within which memos are left out: they are remembered without their evidence, teach the chart
    nothing and raise nothing.

    now_s: the agent's clock, Unix seconds (default: this process's clock); timestamps_ms: Kafka's timestamps of the
    scores, when known. No score moves this user's time beyond them, and a state that is ahead of them is brought back.
    """
    now_s = time.time() if now_s is None else now_s
    timestamps_ms = timestamps_ms or [-1] * len(scored)
    start, readable = User(), True
    if state is not None:
        try:
            start = unpack(state)
        except UnreadableState:
            state, readable = None, False
    outcomes, new = list[Outcome](), list[RiskAlert]()
    user = _brought_back(start, scored, timestamps_ms, now_s, rules)
    for score, timestamp_ms in zip(scored, timestamps_ms, strict=True):
        observation = observe(score, arrived_s(timestamp_ms, now_s))
        if left_out(excluded, score.recorded_at):
            observation = observation._replace(logit=None, evidence=())
        user, ended = hear(user, score.user_id, observation, _arrival_s(observation, score, now_s), rules)
        user, verdict, alerts = advance(user, score.user_id, observation, rules)
        outcomes.append(verdict.outcome)
        new += ended + alerts
    user = user._replace(outbox=(*user.outbox, *new))
    if state is None or user is not start:
        state = pack(user)
    before, after = start.drift.chart, user.drift.chart
    grown = after.pairs >= before.pairs
    return Followed(
        state,
        list(user.outbox),
        tuple(outcomes),
        readable,
        after.pairs - before.pairs if grown else 0.0,
        after.products - before.products if grown else 0.0,
    )


def _brought_back(
    user: User, scored: Sequence[RiskScored], timestamps_ms: Sequence[int], now_s: float, rules: Rules
) -> User:
    """The user with no time after now; the same object when there is none, as always but after a wrong clock.

    The agent's own clock may be behind. So times count as wrong only when they are also after those at which other
    processes say that the scores were made and written.
    """
    others = [
        min(score.scored_at.timestamp(), ms / 1000) for score, ms in zip(scored, timestamps_ms, strict=True) if ms > 0
    ]
    limit_s = max((now_s, *others)) + FUTURE_S
    drift = state_until(user.drift, limit_s, rules.chart)
    alerting = alerting_until(user.alerting, limit_s, rules.cooldown_s)
    recent = until(user.recent, limit_s)
    unchanged = drift is user.drift and alerting is user.alerting and recent is user.recent
    return user if unchanged else user._replace(drift=drift, alerting=alerting, recent=recent)


def delivered(state: bytes, alert_ids: Collection[str]) -> bytes:
    """The state without these alerts, after their delivery; the same bytes when it contains none of them."""
    try:
        user = unpack(state)
    except UnreadableState:
        return state
    outbox = tuple(alert for alert in user.outbox if alert.alert_id not in alert_ids)
    return state if len(outbox) == len(user.outbox) else pack(user._replace(outbox=outbox))


def advance(user: User, user_id: str, observation: Observation, rules: Rules) -> tuple[User, Verdict, list[RiskAlert]]:
    """The user after one more memo, its verdict, and the alerts it causes; the outbox is unchanged."""
    state, alerting, verdict, steps = judge(user_id, user.drift, user.alerting, observation, rules)
    if state is user.drift:
        return user, verdict, []
    recent = remembered(user.recent, observation, verdict)
    alerts = [_alert(user_id, step, reported_chart(step, state, verdict), observation, recent) for step in steps]
    return User(state, alerting, user.outbox, recent), verdict, alerts


def _arrival_s(observation: Observation, score: RiskScored, now_s: float) -> float:
    """When a score arrived, the same at every redelivery: by Kafka's timestamp, else by when it was made."""
    return observation.arrived_s if observation.arrived_s < now_s else min(score.scored_at.timestamp(), now_s)


def hear(
    user: User, user_id: str, observation: Observation, arrived_s: float, rules: Rules
) -> tuple[User, list[RiskAlert]]:
    """The user after a record about a memo, whether it is judged or not; and the alert that ends an open silence.

    The same object when the record says nothing new about their speaking. The outbox is unchanged.
    """
    before = user.alerting.silence
    if not (rules.silences_per_year or before.key):
        return user, []
    silence = heard(
        before, observation.memo_id, observation.uploaded_s, arrived_s, rules.silences_per_year, rules.cooldown_s
    )
    if silence is before:
        return user, []
    changed = with_silence(user, silence)
    if not before.key or silence.key:
        return changed, []
    return changed, [silence_alert(user, user_id, AlertState.RESOLVED, before, observation, silence.heard_s, rules)]


def with_silence(user: User, silence: Quiet) -> User:
    """The user with another state of their speaking."""
    return user._replace(alerting=user.alerting._replace(silence=silence))


def silence_alert(
    user: User, user_id: str, state: AlertState, silence: Quiet, observation: Observation, until_s: float, rules: Rules
) -> RiskAlert:
    """A step of a silence. silence: with its episode; observation: its cause; until_s: up to when it has lasted."""
    days = (until_s - silence.heard_s) / DAY_S
    threshold = min(limit_days(silence.pauses, rules.silences_per_year), days)
    step = Step(AlertKind.SILENCE, state, Severity.WARNING, days, threshold, silence.heard_s, silence.key)
    return _alert(user_id, step, user.drift.chart, observation, user.recent)


def prior_of(state: bytes) -> float:
    """The prior autocorrelation of a user's chart. Raises UnreadableState."""
    return unpack(state).drift.chart.prior


def open_episode(state: bytes | None) -> bool:
    """Whether an alert of either kind is raised and not resolved; False for an unreadable state."""
    if state is None:
        return False
    try:
        return stored_state.alerting_of(state).open_episode
    except (struct.error, ValueError):
        return False


def pack(user: User) -> bytes:
    """The user as stored, at most LARGEST bytes; equal users give equal bytes."""
    outbox = [_CODEC.encode(alert) for alert in user.outbox[-255:]]
    return stored_state.to_bytes(user.drift, user.alerting, outbox, user.recent)


def unpack(state: bytes) -> User:
    """The user in stored bytes. Raises UnreadableState when they are damaged or of another version."""
    drift, alerting, outbox, recent = stored_state.from_bytes(state)
    with DRIFT.decoding():
        return User(drift, alerting, tuple(_CODEC.decode(alert, RiskAlert) for alert in outbox), recent)


def _alert(user_id: str, step: Step, chart: Chart, observation: Observation, recent: bytes) -> RiskAlert:
    memos = recent_memos(recent)
    alert = RiskAlert(
        alert_id=derived_id("alert", step.key, step.state, observation.memo_id),
        dedup_key=step.key,
        user_id=user_id,
        state=step.state,
        kind=step.kind,
        severity=step.severity,
        statistic=step.statistic,
        threshold=step.threshold,
        baseline=BaselineSummary(int(chart.n), chart.mean, chart.sd),
        recent=RecentSummary(int(chart.run), chart.run_sum / chart.run if chart.run else chart.ewma),
        since=datetime.fromtimestamp(step.since_s, UTC),
        at=observation.recorded_at,
        memo_id=observation.memo_id,
        bundle_id=observation.bundle_id,
        # The last memo before a silence says nothing about it.
        evidence=() if step.kind is AlertKind.SILENCE else episode_evidence(memos, step.since_s),
        scores=score_points(memos),
    )
    return replace(alert, summary=summary_of(alert))
