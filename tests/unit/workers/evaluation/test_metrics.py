"""The metrics of an evaluation, held against scikit-learn and against what is known by construction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, f1_score, roc_auc_score, roc_curve

from workers.evaluation import metrics

RNG = np.random.default_rng(0)
LABELS = RNG.random(200) < 0.4
SCORES = np.round(RNG.normal(LABELS * 1.0, 1.0), 1)


def test_discrimination_is_what_scikit_learn_says() -> None:
    assert metrics.auc(LABELS, SCORES) == pytest.approx(roc_auc_score(LABELS, SCORES))
    misses, hits = metrics.roc(LABELS, SCORES)
    known_misses, known_hits, _ = roc_curve(LABELS, SCORES, drop_intermediate=False)
    np.testing.assert_allclose(misses, known_misses)
    np.testing.assert_allclose(hits, known_hits)


def test_probabilities_that_are_right_have_no_calibration_error() -> None:
    said = RNG.random(50_000)
    was = RNG.random(50_000) < said
    assert metrics.ece(was, said) < 0.01
    assert metrics.ece(was, said**3) > 0.15


def test_the_interval_is_over_speakers_not_memos() -> None:
    one_each = np.arange(200).astype(str)
    twenty = np.repeat(np.arange(10), 20).astype(str)
    copies = np.repeat([True, False], 100)
    scores = np.repeat(RNG.normal(size=10), 20) + np.where(copies, 0.5, 0.0)
    wide = metrics.auc_interval(copies, scores, twenty, np.random.default_rng(1))
    narrow = metrics.auc_interval(copies, scores, one_each, np.random.default_rng(1))
    assert wide[1] - wide[0] > 1.5 * (narrow[1] - narrow[0])


def test_a_gain_is_told_from_chance_by_the_speakers_who_had_it() -> None:
    """Speakers who differ much among themselves hide a gain in either AUC; their differences cancel in its interval."""
    speakers = np.repeat(np.arange(20), 20).astype(str)
    labels = np.tile([True, False], 200)
    hard = np.repeat(RNG.normal(0, 1.0, 20), 20)
    before = hard + np.where(labels, 0.5, 0.0) + RNG.normal(0, 1.0, 400)
    after = before + np.where(labels, 0.3, 0.0)
    low, high = metrics.gain_interval(labels, [after, after], before, speakers, np.random.default_rng(1), 300)
    wide = metrics.auc_interval(labels, after, speakers, np.random.default_rng(1), 300)
    gained = metrics.auc(labels, after) - metrics.auc(labels, before)
    assert 0 < low < gained < high
    assert high - low < (wide[1] - wide[0]) / 2
    same = metrics.gain_interval(labels, [before], before, speakers, np.random.default_rng(1), 20)
    assert same == (0.0, 0.0)


def test_deciding_only_the_sure_lowers_the_risk() -> None:
    said = 1 / (1 + np.exp(-(SCORES - 0.5)))
    coverage, risk = metrics.risk_coverage(LABELS, said, 0.4)
    assert coverage[-1] == 1.0
    assert risk[len(risk) // 3] < risk[-1]


POSITIVE = SCORES > 0.5
PROBABILITIES = 1 / (1 + np.exp(-SCORES))
NEVER, ALWAYS = np.zeros(5, bool), np.ones(5, bool)


def test_decisions_are_judged_as_scikit_learn_judges_them() -> None:
    assert metrics.uar(LABELS, POSITIVE) == pytest.approx(balanced_accuracy_score(LABELS, POSITIVE))
    assert metrics.f1(LABELS, POSITIVE) == pytest.approx(f1_score(LABELS, POSITIVE))
    assert metrics.brier(LABELS, PROBABILITIES) == pytest.approx(brier_score_loss(LABELS, PROBABILITIES))
    assert metrics.sensitivity(LABELS, POSITIVE) == pytest.approx(POSITIVE[LABELS].mean())
    assert metrics.specificity(LABELS, POSITIVE) == pytest.approx(1 - POSITIVE[~LABELS].mean())


def test_what_needs_a_class_that_is_not_there_is_nan() -> None:
    scores = np.linspace(0, 1, 5)
    for labels in (NEVER, ALWAYS):
        assert np.isnan(metrics.auc(labels, scores))
        assert np.isnan(metrics.uar(labels, ALWAYS))
    assert np.isnan(metrics.sensitivity(NEVER, ALWAYS))
    assert np.isnan(metrics.specificity(ALWAYS, ALWAYS))
    assert metrics.sensitivity(ALWAYS, ALWAYS) == metrics.specificity(NEVER, NEVER) == 1.0
    assert metrics.f1(NEVER, NEVER) == metrics.f1(ALWAYS, NEVER) == 0.0


def test_an_interval_of_draws_without_both_classes_is_nan() -> None:
    speakers = np.array(["a"] * 5)
    low, high = metrics.auc_interval(ALWAYS, np.arange(5.0), speakers, np.random.default_rng(0), rounds=10)
    assert np.isnan(low)
    assert np.isnan(high)


def test_an_interval_is_of_the_draws_that_have_both_classes() -> None:
    """Of two speakers, one all positive and one all negative, half of the draws have one class only."""
    labels, speakers = np.array([True, True, False, False]), np.array(["a", "a", "b", "b"])
    scores = np.array([0.9, 0.8, 0.1, 0.2])
    assert metrics.auc_interval(labels, scores, speakers, np.random.default_rng(0), rounds=50) == (1.0, 1.0)


def test_the_same_generator_gives_the_same_interval() -> None:
    speakers = np.repeat(np.arange(20), 10).astype(str)
    first, again, other = (
        metrics.auc_interval(LABELS, SCORES, speakers, np.random.default_rng(seed), rounds=50) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert first[0] < metrics.auc(LABELS, SCORES) < first[1]


def test_reliability_counts_every_memo_in_the_bin_of_its_probability() -> None:
    probabilities = np.array([0.0, 0.05, 0.1, 0.99, 1.0])
    labels = np.array([False, True, True, True, True])
    rows = metrics.reliability(labels, probabilities)
    assert [count for *_, count in rows] == [2, 1, 2]
    assert [share for _, share, _ in rows] == [0.5, 1.0, 1.0]
    assert [said for said, *_ in rows] == pytest.approx([0.025, 0.1, 0.995])
    assert metrics.ece(labels, probabilities) == pytest.approx((2 * 0.475 + 0.9 + 2 * 0.005) / 5)


@given(st.integers(1, 500), st.data())
def test_the_interval_of_a_share_is_wilson_s(count: int, data: st.DataObject) -> None:
    positive = data.draw(st.integers(0, count))
    low, high = metrics.share_interval(positive / count, count)
    assert 0.0 <= low <= positive / count + 1e-12
    assert positive / count - 1e-12 <= high <= 1.0
    known = stats.binomtest(positive, count).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((known.low, known.high), abs=1e-4)


def test_a_curve_starts_with_nothing_called_positive_and_ends_with_all() -> None:
    misses, hits = metrics.roc(np.array([True, False, True]), np.array([0.5, 0.5, 0.9]))
    assert list(zip(misses, hits, strict=True)) == [(0.0, 0.0), (0.0, 0.5), (1.0, 1.0)]


def test_the_surest_memos_are_decided_first() -> None:
    probabilities = np.array([0.5, 0.98, 0.45, 0.02])
    labels = np.array([False, True, True, True])
    coverage, risk = metrics.risk_coverage(labels, probabilities, 0.4)
    # By distance of the logits from the threshold: 0.98, 0.02, 0.5, 0.45; the second and the third are wrong.
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk.tolist() == pytest.approx([0.0, 1 / 2, 2 / 3, 1 / 2])


def test_certain_probabilities_do_not_break_the_order() -> None:
    coverage, risk = metrics.risk_coverage(np.array([True, False]), np.array([1.0, 0.0]), 0.5)
    assert (coverage.tolist(), risk.tolist()) == ([0.5, 1.0], [0.0, 0.0])
