"""Verdicts become episodes."""

from collections.abc import Iterable

import pytest

from schemas.events import AlertKind, AlertState, Band, RiskAlert, RiskScored, Severity
from streams.drift.detector import observe
from streams.drift.episodes import Alerting
from streams.drift.user_state import User, advance
from tests.unit.streams.scores import RULES, calm, daily, scored


def _alerts(scores: Iterable[RiskScored], user: User | None = None) -> list[RiskAlert]:
    found: list[RiskAlert] = []
    user = user or User()
    for score in scores:
        user, _, alerts = advance(user, "u", observe(score), RULES)
        found += alerts
    return found


def _states(alerts: list[RiskAlert]) -> list[AlertState]:
    return [alert.state for alert in alerts]


def _worse(days: int, by: float = 1.5) -> list[float]:
    return [x + by for x in calm(days, seed=9)]


RAISED, ESCALATED, RESOLVED = AlertState.RAISED, AlertState.ESCALATED, AlertState.RESOLVED


def test_an_episode_is_raised_escalated_and_resolved_under_one_key() -> None:
    alerts = _alerts(daily([*calm(60), *_worse(30), *calm(40, seed=5)]))
    assert _states(alerts) == [RAISED, ESCALATED, RESOLVED]
    assert [alert.severity for alert in alerts] == [Severity.WARNING, Severity.CRITICAL, Severity.CRITICAL]
    assert len({alert.dedup_key for alert in alerts}) == 1
    assert len({alert.alert_id for alert in alerts}) == 3
    assert all(alert.statistic > alert.threshold for alert in alerts)


def test_an_alert_reports_the_baseline_before_the_change_and_the_mean_since() -> None:
    raised = _alerts(daily([*calm(60), *_worse(30)]))[0]
    assert raised.baseline.n == pytest.approx(60, abs=4)
    assert raised.baseline.mean == pytest.approx(-1.0, abs=0.15)
    assert raised.recent.mean > raised.baseline.mean + raised.baseline.sd
    assert raised.since <= raised.at


def test_a_short_bad_patch_is_resolved_without_escalation() -> None:
    assert _states(_alerts(daily([*calm(60), *_worse(3, by=2.0), *calm(40, seed=5)]))) == [RAISED, RESOLVED]


def test_a_lasting_change_becomes_the_new_normal_after_ninety_days() -> None:
    alerts = _alerts(daily([*calm(60), *_worse(160)]))
    assert _states(alerts) == [RAISED, ESCALATED, RESOLVED]
    assert (alerts[-1].at - alerts[0].at).days == 90


def test_a_second_change_is_a_second_episode_after_the_cool_down() -> None:
    alerts = _alerts(daily([*calm(60), *_worse(15), *calm(20, seed=5), *_worse(40)]))
    raised = [alert for alert in alerts if alert.state is RAISED]
    resolved = next(alert for alert in alerts if alert.state is RESOLVED)
    assert len({alert.dedup_key for alert in raised}) == 2
    assert (raised[1].at - resolved.at).total_seconds() >= RULES.cooldown_s


def test_most_recent_scores_in_the_high_band_raise_a_level_alert() -> None:
    bands = [Band.HIGH if i in range(10, 30) else Band.LOW for i in range(45)]
    alerts = _alerts(scored(-1.0, i, band=band) for i, band in enumerate(bands))
    assert [(a.kind, a.state) for a in alerts] == [(AlertKind.LEVEL, RAISED), (AlertKind.LEVEL, RESOLVED)]
    raised, resolved = alerts
    assert (raised.memo_id, raised.statistic, raised.threshold) == ("m14", 5.0, 5.0)
    assert raised.since.day == scored(0.0, 10).recorded_at.day
    assert resolved.memo_id == "m34"


def test_a_level_at_the_edge_does_not_flap() -> None:
    bands = [Band.HIGH] * 5 + [Band.LOW, Band.HIGH, Band.LOW, Band.HIGH, Band.HIGH, Band.LOW, Band.HIGH] * 6
    assert _states(_alerts(scored(-1.0, i, band=band) for i, band in enumerate(bands))) == [RAISED]


def test_indeterminate_scores_count_for_no_level() -> None:
    bands = [Band.HIGH] * 4
    scores = [scored(-1.0, i, band=band) for i, band in enumerate(bands)]
    assert _alerts([*scores, *(scored(None, 4 + i) for i in range(10))]) == []


def test_a_new_bundle_raises_no_alert_and_leaves_an_open_episode_open() -> None:
    far = [x + 6.0 for x in calm(70)]
    assert _alerts([*daily(calm(60)), *daily(far, 60, bundle="demo-2")]) == []
    alerts = _alerts([*daily([*calm(60), *_worse(9)]), *daily(far, 69, bundle="demo-2")])
    assert RAISED in _states(alerts)
    assert RESOLVED not in _states(alerts)


def test_an_open_episode_ends_quietly_under_another_bundle_too() -> None:
    alerts = _alerts([*daily([*calm(60), *_worse(9)]), *daily(calm(120), 69, bundle="demo-2")])
    assert _states(alerts).count(RESOLVED) == 1


def test_alerting_survives_storage() -> None:
    user = User()
    for score in daily([*calm(60), *_worse(9)]):
        user, _, _ = advance(user, "u", observe(score), RULES)
    assert user.alerting.drift.key
    assert Alerting.from_bytes(user.alerting.to_bytes()) == user.alerting
