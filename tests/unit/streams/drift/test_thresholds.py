"""The false-alarm budget: one number, false alerts per user-year, kept by the shipped table and rule."""

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.errors import ConfigurationError
from streams.drift.rules import chart_rules_for
from streams.drift.thresholds import delays, false_alerts, shipped, threshold_for, threshold_report
from tests.benchmarks.drift_simulation import simulate
from tests.benchmarks.drift_table import COOLDOWN_S, YEAR, calm_scores, rule

WARM_UP = 7


def _rate(requested: float, memos: int, phi: float, users: int, *, baseline: int = WARM_UP) -> float:
    """False alerts a user-year over requested, in the year after `baseline` days."""
    scores = calm_scores(phi, baseline + YEAR, memos, users, np.random.default_rng(2026))
    history = simulate(scores, chart_rules_for(requested, memos), COOLDOWN_S)
    return float(history.raised[baseline:].sum() / users / requested)


def test_the_table_was_computed_with_the_shipped_rule() -> None:
    assert shipped().rule == rule()


@pytest.mark.parametrize(
    ("requested", "memos", "users"), [(1.0, 1, 1500), (0.2, 1, 4000), (4.0, 1, 600), (1.0, 3, 1000)]
)
def test_calm_users_get_the_false_alerts_that_were_asked_for(requested: float, memos: int, users: int) -> None:
    assert 0.5 <= _rate(requested, memos, 0.0, users) <= 1.25
    assert _rate(requested, memos, 0.3, users) <= 1.6
    assert _rate(requested, memos, 0.5, users) <= 1.6


@pytest.mark.parametrize("baseline", [14, 30, 60])
def test_older_baselines_keep_the_false_alarm_budget(baseline: int) -> None:
    assert 0.5 <= _rate(1.0, 1, 0.0, 1500, baseline=baseline) <= 1.25
    assert _rate(1.0, 1, 0.5, 1500, baseline=baseline) <= 1.6


@pytest.mark.parametrize("noise", ["heavy tails", "outliers"])
def test_scores_that_are_not_normal_keep_the_false_alarm_budget(noise: str) -> None:
    rng = np.random.default_rng(8)
    shape = (WARM_UP + YEAR, 1, 800)
    heavy = rng.standard_t(3, shape)
    scores = heavy if noise == "heavy tails" else rng.standard_normal(shape) + 8 * (rng.random(shape) < 0.02)
    raised = simulate(scores, chart_rules_for(1.0, 1), COOLDOWN_S).raised[WARM_UP:]
    assert 0.5 <= raised.sum() / shape[2] <= 1.25


def _delays(shift: float, calm: int = 60) -> NDArray[np.int64]:
    users = 3000
    scores = calm_scores(0.0, calm + 40, 1, users, np.random.default_rng(11))
    scores[calm:] += shift
    raised = simulate(scores, chart_rules_for(1.0, 1), COOLDOWN_S).raised[calm:, 0]
    return np.asarray(np.where(raised.any(0), raised.argmax(0) + 1, 1000))


@pytest.mark.parametrize(("shift", "median", "within", "share"), [(1.0, 9, 30, 0.90), (1.5, 6, 30, 0.95)])
def test_changes_are_found_in_time(shift: float, median: int, within: int, share: float) -> None:
    found = _delays(shift)
    assert np.median(found) <= median
    assert (found <= within).mean() >= share


@pytest.mark.parametrize(("calm", "share"), [(14, 0.65), (30, 0.85)])
def test_a_short_baseline_does_not_hide_a_change(calm: int, share: float) -> None:
    assert (_delays(1.0, calm) <= 30).mean() >= share


def test_the_table_has_the_simulated_delays() -> None:
    threshold = threshold_for(1.0, 1.0)
    [shipped_delay] = [delay for delay in delays(threshold, 1.0, 0.0) if delay.shift == 1.0]
    found = _delays(1.0)
    assert np.median(found) == pytest.approx(shipped_delay.median_memos, abs=1)
    assert (found <= 30).mean() == pytest.approx(shipped_delay.within_30, abs=0.05)


def test_fewer_memos_a_day_are_a_slower_clock() -> None:
    assert false_alerts(4.0, 0.5, 0.0).value == pytest.approx(false_alerts(4.0, 1.0, 0.0).value / 2)
    assert threshold_for(0.5, 1 / 7) < threshold_for(0.5, 1.0)


def test_no_threshold_is_lower_than_the_lowest() -> None:
    assert threshold_for(1.0, 1 / 7) == pytest.approx(shipped().threshold[0])
    assert threshold_report(1.0, 1 / 7).conditions[-1].false_alerts_per_user_year.value < 1.0


def test_more_alerts_are_a_lower_threshold() -> None:
    thresholds = [threshold_for(rate, 1.0) for rate in (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)]
    assert thresholds == sorted(thresholds, reverse=True)


def test_a_known_autocorrelation_is_met_exactly() -> None:
    report = threshold_report(1.0, 1.0, 0.4)
    assert [one.autocorrelation for one in report.conditions] == [0.4]
    assert report.conditions[0].false_alerts_per_user_year.value == pytest.approx(1.0)
    assert report.conditions[0].in_control_run.value == pytest.approx(365.25)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.001, 1.0, None), "alerts_per_user_year"),
        ((1.0, 40.0, None), "memos_per_day"),
        ((1.0, 1.0, 0.9), "autocorrelation"),
    ],
)
def test_arguments_outside_the_table_are_rejected(arguments: tuple[float, float, float | None], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        threshold_for(*arguments)
