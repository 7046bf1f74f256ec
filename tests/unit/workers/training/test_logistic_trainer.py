"""The logistic head: soft labels, classes that weigh alike, and a penalty."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from schemas.events import FloatArray
from workers.scoring.head import HeadInput
from workers.scoring.heads import LogisticHead
from workers.training.logistic_trainer import TrainingSet, train_head

RNG = np.random.default_rng(6)
ROWS = RNG.normal(size=(120, 3)).astype(np.float32)
LABELS = (ROWS[:, 0] + RNG.normal(size=120) > 0.8).astype(float)


def training_set(rows: FloatArray = ROWS, labels: np.ndarray = LABELS, rounds: int = 1) -> TrainingSet:
    inputs = HeadInput(rows, np.zeros((len(rows), 0, 0), np.float32), np.zeros((len(rows), 0), bool))
    return TrainingSet(inputs, labels, np.array(["s"] * len(rows)), rounds)


def fitted(data: TrainingSet, penalty: float = 1.0) -> LogisticHead:
    head = train_head("logistic", data, seed=0, penalty=penalty)
    assert isinstance(head, LogisticHead)
    return head


@pytest.mark.parametrize("rounds", [1, 4])
def test_both_classes_weigh_alike_and_a_memo_once_however_often_it_occurs(rounds: int) -> None:
    labels = np.tile([1.0, 0.0, 0.0, 0.0], rounds)
    data = training_set(np.zeros((4 * rounds, 1), np.float32), labels, rounds)
    weights = data.class_weights()
    assert weights.sum() == pytest.approx(4.0)
    assert (weights * labels).sum() == pytest.approx((weights * (1 - labels)).sum())


def test_hard_labels_give_what_scikit_learn_gives_with_balanced_classes() -> None:
    model = LogisticRegression(C=0.5, class_weight="balanced", tol=1e-8, max_iter=5000).fit(ROWS.astype(float), LABELS)
    head = fitted(training_set(), penalty=2.0)
    np.testing.assert_allclose(head.coefficients, model.coef_[0], atol=1e-3)
    assert head.intercept == pytest.approx(model.intercept_[0], abs=1e-3)


def test_a_soft_label_is_a_share_of_memos_of_either_class() -> None:
    half = (ROWS[:, 0] > np.median(ROWS[:, 0])).astype(float)
    soft = fitted(training_set(labels=0.25 + 0.5 * half))
    hard = fitted(training_set(np.tile(ROWS, (4, 1)), np.concatenate([half, half, half, 1 - half])), penalty=4.0)
    np.testing.assert_allclose(soft.coefficients, hard.coefficients, atol=1e-4)
    assert soft.intercept == pytest.approx(hard.intercept, abs=1e-4)


def test_memos_that_occur_in_every_round_change_nothing() -> None:
    once, often = fitted(training_set()), fitted(training_set(np.tile(ROWS, (3, 1)), np.tile(LABELS, 3), rounds=3))
    np.testing.assert_allclose(often.coefficients, once.coefficients, atol=1e-4)


def test_a_penalty_makes_coefficients_small() -> None:
    sizes = [np.abs(fitted(training_set(), penalty).coefficients).sum() for penalty in (0.1, 10.0, 1000.0)]
    assert sizes[0] > sizes[1] > sizes[2] > 0


def test_a_logistic_head_is_fitted_without_tensorflow() -> None:
    code = "import sys, workers.training.logistic_trainer; sys.exit(bool({'tensorflow', 'keras'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
