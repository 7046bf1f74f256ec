"""Metrics on held-out speakers: each fold calibrated by the others, all of them ranked by one map."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.workers.training.cohorts import RECIPE, people
from workers.corpora.examples import EVERY, Examples
from workers.evaluation import metrics
from workers.training.cross_validation import HeldOut, speaker_folds
from workers.training.held_out_metrics import cross_validated

EXAMPLES = people(speakers=20, memos=8)
RECIPE_OF_TWO = replace(RECIPE, folds=5, cold_starts=(0, EVERY))


def held_out(separation: float, examples: Examples = EXAMPLES, *, shift: float = 0.0, scale: float = 1.0) -> HeldOut:
    """Logits in which the classes lie `separation` SDs apart; `shift` moves those of the first fold alone."""
    rng = np.random.default_rng(8)
    fold = np.zeros(len(examples), np.int64)
    for number, held in enumerate(speaker_folds(examples, RECIPE_OF_TWO.folds, RECIPE_OF_TWO.seed)):
        fold[held] = number
    raw = scale * (separation * (examples.labels - 0.5) + rng.normal(size=(2, len(examples))))
    raw[:, fold == 0] += shift
    known = np.array([np.zeros(len(examples), bool), np.ones(len(examples), bool)])
    return HeldOut(raw, known, fold, RECIPE_OF_TWO)


def test_counts_are_of_memos_speakers_and_folds() -> None:
    found = cross_validated(EXAMPLES, held_out(2.0), rounds=20)
    assert (found["n"], found["speakers"], found["positives"], found["folds"]) == (160, 20, 80, 5)


def test_memos_rank_as_their_logits_with_an_established_baseline() -> None:
    given = held_out(2.0)
    found = cross_validated(EXAMPLES, given, rounds=20)
    assert found["auc"] == pytest.approx(metrics.auc(EXAMPLES.labels > 0.5, given.raw[-1]), abs=0.005)
    low, high = found["auc_ci"]
    assert low < found["auc"] < high


def test_better_heads_have_better_metrics() -> None:
    poor, good = (cross_validated(EXAMPLES, held_out(apart), rounds=20) for apart in (0.5, 4.0))
    for name in ("auc", "uar", "sensitivity_decided", "specificity_decided"):
        assert good[name] > poor[name]
    assert good["brier"] < poor["brier"]


def test_logits_of_any_scale_become_probabilities_that_hold() -> None:
    found = cross_validated(EXAMPLES, held_out(2.0, scale=10.0), rounds=20)
    assert found["brier"] < found["brier_uncalibrated"]
    assert found["ece"] < found["ece_uncalibrated"]


def test_a_share_of_memos_is_left_undecided_and_those_decided_are_judged_better() -> None:
    found = cross_validated(EXAMPLES, held_out(2.0), rounds=20)
    assert found["undecided_share"] == pytest.approx(RECIPE_OF_TWO.undecided, abs=0.1)
    assert found["sensitivity_decided"] + found["specificity_decided"] > 2 * found["uar"]


def test_a_fold_is_not_calibrated_by_its_own_labels() -> None:
    """Its logits lie 6 higher than the others': its own labels would show that, the others' cannot."""
    shifted = cross_validated(EXAMPLES, held_out(2.0, shift=6.0), rounds=20)
    assert shifted["ece"] > cross_validated(EXAMPLES, held_out(2.0), rounds=20)["ece"] + 0.03


def test_the_same_seed_gives_the_same_interval() -> None:
    first, again = (cross_validated(EXAMPLES, held_out(2.0), rounds=20) for _ in range(2))
    assert first == again
