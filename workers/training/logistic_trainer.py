"""Fit one head to deviations and labels."""

from dataclasses import dataclass
from importlib import import_module

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from workers.scoring.head import Head, HeadInput
from workers.scoring.heads import LogisticHead


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """Training data of a head. labels: (rows,) 0 to 1; speakers: (rows,); rounds: occurrences of each memo."""

    inputs: HeadInput
    labels: NDArray[np.float64]
    speakers: NDArray[np.str_]
    rounds: int

    def class_weights(self) -> NDArray[np.float64]:
        """(rows,): all rows sum to the number of memos; both classes weigh the same where labels are 0 or 1."""
        positive = self.labels.mean()
        weights = self.labels / (2 * positive) + (1 - self.labels) / (2 * (1 - positive))
        return np.asarray(weights / self.rounds)


def train_head(kind: str, data: TrainingSet, seed: int, penalty: float) -> Head:
    """Fit a head of this kind. penalty: the inverse of logistic regression's C; networks have their own."""
    if kind == "logistic":
        return _logistic(data, penalty)
    # TensorFlow is loaded only for the heads that need it.
    head: Head = import_module("workers.training.neural_trainer").train(kind, data, seed)
    return head


def _logistic(data: TrainingSet, penalty: float) -> LogisticHead:
    """Every row counts as a positive one with weight `label` and a negative one with weight 1 - `label`."""
    rows = data.inputs.deviations.astype(np.float64)
    weights = data.class_weights()
    positive, negative = data.labels > 0, data.labels < 1
    model = LogisticRegression(C=1 / penalty, tol=1e-6, max_iter=5000, solver="newton-cholesky")
    model.fit(
        np.concatenate([rows[positive], rows[negative]]),
        np.repeat([1, 0], [positive.sum(), negative.sum()]),
        sample_weight=np.concatenate([(weights * data.labels)[positive], (weights * (1 - data.labels))[negative]]),
    )
    return LogisticHead(model.coef_[0].astype(np.float32), float(np.float32(model.intercept_[0])))
