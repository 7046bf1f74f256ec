"""The false-alarm budget: one number, false alerts per user-year, kept by the shipped table and rule."""

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.errors import ConfigurationError
from streams.drift.rules import COOLDOWN_S, chart_rules_for
from streams.drift.thresholds import budgets, delays, false_alerts, shipped, threshold_for, threshold_report
from tests.benchmarks.drift_simulation import simulate
from tests.benchmarks.drift_table import YEAR, calm_scores, rule

WARM_UP = 7


def _rate(
    requested: float, memos: int, phi: float, users: int, *, baseline: int = WARM_UP, known: bool = False
) -> float:
    """False alerts a user-year over requested, in the year after `baseline` days. known: whether φ is a setting."""
    scores = calm_scores(phi, baseline + YEAR, memos, users, np.random.default_rng(2026))
    rules = chart_rules_for(requested, memos, phi if known else None)
    history = simulate(scores, rules, COOLDOWN_S)
    return float(history.raised[baseline:].sum() / users / requested)


def test_the_table_was_computed_with_the_shipped_rule() -> None:
    assert shipped().rule == rule()


@pytest.mark.parametrize(
    ("requested", "memos", "users"),
    [(0.1, 1, 8000), (0.2, 1, 4000), (1.0, 1, 1500), (4.0, 1, 600), (1.0, 3, 1000), (4.0, 3, 400), (2.0, 2, 800)],
)
@pytest.mark.parametrize("phi", [0.0, 0.15, 0.3, 0.45])
def test_calm_users_get_no_more_false_alerts_than_were_asked_for(
    requested: float, memos: int, users: int, phi: float
) -> None:
    assert 0.3 <= _rate(requested, memos, phi, users) <= 1.1


@pytest.mark.parametrize("baseline", [14, 30, 60])
def test_older_baselines_keep_the_false_alarm_budget(baseline: int) -> None:
    assert 0.5 <= _rate(1.0, 1, 0.0, 1500, baseline=baseline) <= 1.1
    assert _rate(1.0, 1, 0.5, 1500, baseline=baseline) <= 1.1


@pytest.mark.parametrize("phi", [0.05, 0.25, 0.45])
def test_a_known_autocorrelation_between_two_of_the_table_keeps_the_budget_closely(phi: float) -> None:
    assert 0.85 <= _rate(1.0, 1, phi, 2000, known=True) <= 1.1


@pytest.mark.parametrize("memos", [1 / 7, 0.5])
def test_memos_on_fewer_days_keep_the_budget_of_a_calendar_year(memos: float) -> None:
    users, year = 3000, round(YEAR * memos)
    scores = calm_scores(0.3, WARM_UP + year, 1, users, np.random.default_rng(5))
    raised = simulate(scores, chart_rules_for(0.5, memos), COOLDOWN_S).raised[WARM_UP:]
    assert 0.5 <= raised.sum() / users / 0.5 <= 1.1


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


def test_less_than_a_memo_a_week_is_a_slower_clock() -> None:
    assert false_alerts(4.0, 1 / 14, 0.0).value == pytest.approx(false_alerts(4.0, 1 / 7, 0.0).value / 2)
    assert threshold_for(0.5, 1 / 14) < threshold_for(0.5, 1 / 7) < threshold_for(0.5, 1.0)


@pytest.mark.parametrize("memos", [1 / 30, 1 / 7, 1.0, 3.0, 12.0])
def test_every_budget_in_the_range_is_kept_by_its_threshold(memos: float) -> None:
    least, most = budgets(memos)
    assert 0 < least < 1.0 <= most
    for asked in (least, 1.0, most):
        report = threshold_report(asked, memos)
        assert max(one.at_most for one in report.conditions) == pytest.approx(asked, rel=1e-6)
        assert all(one.false_alerts_per_user_year.value <= one.at_most for one in report.conditions)
        assert f"at most {asked:g} false alerts a year" in report.guarantee


def test_more_alerts_are_a_lower_threshold() -> None:
    thresholds = [threshold_for(rate, 1.0) for rate in (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)]
    assert thresholds == sorted(thresholds, reverse=True)


def test_a_known_autocorrelation_is_met_closely() -> None:
    report = threshold_report(1.0, 1.0, 0.4)
    assert [one.autocorrelation for one in report.conditions] == [0.4]
    assert report.conditions[0].at_most == pytest.approx(1.0)
    assert 0.9 <= report.conditions[0].false_alerts_per_user_year.value <= 1.0
    assert 365.25 <= report.conditions[0].in_control_run.value <= 365.25 / 0.9
    assert "correlate by 0.4;" in report.guarantee


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.001, 1.0, None), r"a budget of 0.001 .* at 1 memos per day .* from [\d.]+ to [\d.]+$"),
        ((1000.0, 1.0, None), r"a budget of 1000 .* at 1 memos per day .* from [\d.]+ to [\d.]+$"),
        ((1.0, 40.0, None), "memos_per_day is 40: .* at most 12"),
        ((1.0, 0.0, None), "memos_per_day is 0: .* above 0"),
        ((1.0, 1.0, 0.9), "autocorrelation is 0.9: .* from 0 to 0.5"),
    ],
)
def test_arguments_outside_the_table_are_rejected(arguments: tuple[float, float, float | None], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        threshold_for(*arguments)
