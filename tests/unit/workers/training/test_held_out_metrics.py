"""Metrics on held-out speakers: each fold calibrated by the others, all of them ranked by one map."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tests.unit.workers.training.cohorts import RECIPE, people
from workers.corpora.examples import EVERY
from workers.evaluation import metrics
from workers.training.cross_validation import HeldOut, speaker_folds
from workers.training.held_out_metrics import cross_validated

EXAMPLES = people(speakers=20, memos=8)
RECIPE_OF_TWO = replace(RECIPE, folds=5, cold_starts=(0, EVERY))


def held_out(separation: float, *, shift: float = 0.0, scale: float = 1.0) -> HeldOut:
    """Logits in which the classes lie `separation` SDs apart; `shift` moves those of the first fold alone."""
    rng = np.random.default_rng(8)
    fold = np.zeros(len(EXAMPLES), np.int64)
    for number, held in enumerate(speaker_folds(EXAMPLES, RECIPE_OF_TWO.folds, RECIPE_OF_TWO.seed)):
        fold[held] = number
    raw = scale * (separation * (EXAMPLES.labels - 0.5) + rng.normal(size=(2, len(EXAMPLES))))
    raw[:, fold == 0] += shift
    known = np.array([np.zeros(len(EXAMPLES), bool), np.ones(len(EXAMPLES), bool)])
    return HeldOut(raw, known, fold, RECIPE_OF_TWO)


@cache
def judged(separation: float, *, shift: float = 0.0, scale: float = 1.0) -> dict[str, Any]:
    """Metrics of such logits, on one thread: the arrays are too small for more."""
    with threadpool_limits(1, "blas"):
        return cross_validated(EXAMPLES, held_out(separation, shift=shift, scale=scale), rounds=20)


def test_counts_are_of_memos_speakers_and_folds() -> None:
    found = judged(2.0)
    assert (found["n"], found["speakers"], found["positives"], found["folds"]) == (160, 20, 80, 5)


def test_memos_rank_as_their_logits_with_an_established_baseline() -> None:
    found = judged(2.0)
    assert found["auc"] == pytest.approx(metrics.auc(EXAMPLES.labels > 0.5, held_out(2.0).raw[-1]), abs=0.005)
    low, high = found["auc_ci"]
    assert low < found["auc"] < high


def test_better_heads_have_better_metrics() -> None:
    poor, good = (judged(apart) for apart in (0.5, 4.0))
    for name in ("auc", "uar", "sensitivity_decided", "specificity_decided"):
        assert good[name] > poor[name]
    assert good["brier"] < poor["brier"]


def test_logits_of_any_scale_become_probabilities_that_hold() -> None:
    found = judged(2.0, scale=10.0)
    assert found["brier"] < found["brier_uncalibrated"]
    assert found["ece"] < found["ece_uncalibrated"]


def test_a_share_of_memos_is_left_undecided_and_those_decided_are_judged_better() -> None:
    found = judged(2.0)
    assert found["undecided_share"] == pytest.approx(RECIPE_OF_TWO.undecided, abs=0.1)
    assert found["sensitivity_decided"] + found["specificity_decided"] > 2 * found["uar"]


def test_a_fold_is_not_calibrated_by_its_own_labels() -> None:
    """Its logits lie 6 higher than the others': its own labels would show that, the others' cannot."""
    shifted = judged(2.0, shift=6.0)
    assert shifted["ece"] > judged(2.0)["ece"] + 0.03


def test_the_same_seed_gives_the_same_interval() -> None:
    assert judged.__wrapped__(2.0) == judged(2.0)
