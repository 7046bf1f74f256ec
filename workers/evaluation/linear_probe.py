"""Linear probe: how well one vector per clip predicts an emotion, on held-out speakers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from schemas.events import FloatArray

STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""Candidates for the probe's regularisation (scikit-learn's C)."""


def speaker_disjoint_auc(vectors: FloatArray, positive: NDArray[np.bool_], speakers: Sequence[str]) -> float:
    """Area under the ROC curve of a logistic regression, with leave-one-speaker-out cross-validation.

    One curve for all speakers together, so that a threshold must hold across voices; the best of STRENGTHS.
    vectors: (clips, d); positive: (clips,), True for the positive class; speakers: (clips,).
    """
    return max(
        float(
            roc_auc_score(
                positive,
                cross_val_predict(
                    make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000)),
                    vectors,
                    positive,
                    groups=np.asarray(speakers),
                    cv=LeaveOneGroupOut(),
                    method="decision_function",
                ),
            )
        )
        for strength in STRENGTHS
    )
