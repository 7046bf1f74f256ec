"""How much of an emotion a linear probe reads from one vector a clip, on speakers it has not heard."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from schemas.events import FloatArray

STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""Of the probe's regularisation (scikit-learn's C); chosen among the speakers that it is trained on."""


def speaker_disjoint_auc(vectors: FloatArray, positive: NDArray[np.bool_], speakers: Sequence[str]) -> float:
    """Mean over speakers of the area under the ROC curve of a probe that was trained on all the others.

    vectors: (clips, d); positive: (clips,), which class; speakers: (clips,), each with clips of both classes.
    """
    groups = np.asarray(speakers)
    areas = []
    for held_out in np.unique(groups):
        test = groups == held_out
        probe = GridSearchCV(
            make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000)),
            {"logisticregression__C": STRENGTHS},
            scoring="roc_auc",
            cv=LeaveOneGroupOut(),
        ).fit(vectors[~test], positive[~test], groups=groups[~test])
        areas.append(roc_auc_score(positive[test], probe.decision_function(vectors[test])))
    return float(np.mean(areas))
