"""One user's chart: the effect of a calm day, a change and a recovery."""

from math import inf

import pytest

from streams.drift.cusum import (
    FIRST_JUDGED,
    U_LIMIT,
    Chart,
    end_episode,
    limit,
    normal_score,
    raise_episode,
    settle_at_new_level,
    step,
)
from tests.unit.streams.scores import RULES, calm

RULES_OF_CHART = RULES.chart


def charted(logits: list[float], chart: Chart = Chart()) -> Chart:  # noqa: B008 - immutable
    for logit in logits:
        chart = step(chart, chart.day + 1, logit, 1, RULES_OF_CHART)
    return chart


def test_fields_are_in_the_order_of_a_calm_day() -> None:
    """`cusum._calm` unpacks and builds a chart by position, because it is the hottest line of the agents."""
    assert Chart._fields == (
        "n", "mean", "squares", "pairs", "products", "phi", "z", "day", "up", "down", "run", "run_sum", "since",
        "calm_n", "calm_mean", "calm_squares", "ewma", "recovery", "prior",
    )  # fmt: skip


def test_a_young_baseline_is_not_judged() -> None:
    assert limit(charted(calm(FIRST_JUDGED - 1)), RULES_OF_CHART) == inf
    assert limit(charted(calm(FIRST_JUDGED)), RULES_OF_CHART) < inf


def test_the_limit_falls_as_the_baseline_grows() -> None:
    assert limit(charted(calm(200)), RULES_OF_CHART) < limit(charted(calm(20)), RULES_OF_CHART)


def test_a_change_raises_the_upward_chart_and_an_episode_freezes_the_baseline_from_before() -> None:
    before = charted(calm(60))
    changed = charted([x + 1.5 for x in calm(12, seed=4)], before)
    assert changed.up > limit(changed, RULES_OF_CHART)

    held = raise_episode(changed)

    assert held.n == changed.calm_n < changed.n
    assert held.mean == changed.calm_mean < changed.mean
    assert held.recovery > 0
    later = charted([x + 1.5 for x in calm(5, seed=5)], held)
    assert (later.n, later.mean, later.squares) == (held.n, held.mean, held.squares)


def test_an_episode_that_ends_learns_again_from_the_baseline_at_the_alert() -> None:
    changed = charted([x + 1.5 for x in calm(12, seed=4)], charted(calm(60)))
    ended = end_episode(raise_episode(changed))
    assert (ended.n, ended.mean) == (changed.n, changed.mean)
    assert (ended.up, ended.down, ended.run, ended.recovery) == (0.0, 0.0, 0.0, 0.0)


def test_a_lasting_change_becomes_the_baseline() -> None:
    changed = raise_episode(charted([x + 1.5 for x in calm(12, seed=4)], charted(calm(60))))
    lasted = charted([x + 1.5 for x in calm(40, seed=6)], changed)
    settled = settle_at_new_level(lasted)
    assert settled.mean == pytest.approx(lasted.run_sum / lasted.run)
    assert settled.n < lasted.run


def test_one_outlier_counts_for_no_more_than_the_limit() -> None:
    before = charted(calm(60))
    assert charted([50.0], before).up <= before.up + U_LIMIT
    assert normal_score(1e9, 5) == U_LIMIT
    assert normal_score(-1e9, 5) == -U_LIMIT


def test_evidence_fades_during_a_gap() -> None:
    changed = charted([x + 1.0 for x in calm(4, seed=4)], charted(calm(60)))
    soon = step(changed, changed.day + 1, changed.mean, 1, RULES_OF_CHART)
    late = step(changed, changed.day + 60, changed.mean, 1, RULES_OF_CHART)
    assert late.up < soon.up
