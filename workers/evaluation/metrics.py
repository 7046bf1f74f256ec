"""Metrics of probabilistic classification. Pure.

labels: (memos,) bool; scores and probabilities: (memos,) float; speakers: (memos,).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.bool_]


def auc(labels: Labels, scores: Floats) -> float:
    """Area under the ROC curve, ties counted half; NaN with one class only.

    >>> auc(np.array([False, True, True]), np.array([0.1, 0.1, 0.9]))
    0.75
    """
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = stats.rankdata(scores)
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def auc_interval(
    labels: Labels, scores: Floats, speakers: NDArray[np.str_], rng: np.random.Generator, rounds: int = 1000
) -> tuple[float, float]:
    """95 % percentile interval of the AUC, bootstrapped over whole speakers, whose memos are not independent."""
    return _interval([auc(labels[rows], scores[rows]) for rows in _resampled(speakers, rng, rounds)])


def gain_interval(
    labels: Labels,
    scores: Sequence[Floats],
    others: Floats,
    speakers: NDArray[np.str_],
    rng: np.random.Generator,
    rounds: int = 1000,
) -> tuple[float, float]:
    """95 % percentile interval of the difference between the mean AUC of several scorings and another's AUC.

    Paired: each resampling of speakers is used for both, so that what makes a speaker easy or hard for both cancels.
    """
    return _interval(
        [
            float(np.mean([auc(labels[rows], each[rows]) for each in scores])) - auc(labels[rows], others[rows])
            for rows in _resampled(speakers, rng, rounds)
        ]
    )


def _resampled(speakers: NDArray[np.str_], rng: np.random.Generator, rounds: int) -> Iterator[NDArray[np.int64]]:
    """Bootstrap: rows of as many speakers as there are, drawn with replacement, `rounds` times."""
    names = np.unique(speakers)
    places = [np.flatnonzero(speakers == name) for name in names]
    for _ in range(rounds):
        yield np.concatenate([places[i] for i in rng.integers(len(names), size=len(names))])


def _interval(draws: Sequence[float]) -> tuple[float, float]:
    """Percentiles 2.5 and 97.5 of the finite draws; NaN without any."""
    known = np.array([draw for draw in draws if np.isfinite(draw)])
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def sensitivity(labels: Labels, positive: Labels) -> float:
    """Share of positives that were predicted positive; NaN without any."""
    return float(positive[labels].mean()) if labels.any() else float("nan")


def specificity(labels: Labels, positive: Labels) -> float:
    """Share of negatives that were predicted negative; NaN without any."""
    return float((~positive[~labels]).mean()) if (~labels).any() else float("nan")


def uar(labels: Labels, positive: Labels) -> float:
    """Unweighted average recall: the mean of sensitivity and specificity."""
    return (sensitivity(labels, positive) + specificity(labels, positive)) / 2


def f1(labels: Labels, positive: Labels) -> float:
    """Harmonic mean of precision and sensitivity; 0 without true positives."""
    true_positives = float((labels & positive).sum())
    return 2 * true_positives / max(float(labels.sum() + positive.sum()), 1.0)


def brier(labels: Labels, probabilities: Floats) -> float:
    """Brier score: mean squared difference of probability and label."""
    return float(np.mean((probabilities - labels) ** 2))


BINS = 10
"""Of equal width, from probability 0 to 1."""


def reliability(labels: Labels, probabilities: Floats, bins: int = BINS) -> list[tuple[float, float, int]]:
    """(mean probability, share of positives, memos) of each non-empty bin of equal width."""
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    found = [(place == index) for index in range(bins)]
    return [(float(probabilities[w].mean()), float(labels[w].mean()), int(w.sum())) for w in found if w.any()]


def share_interval(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share of `count` (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    >>> [round(edge, 3) for edge in share_interval(0.0, 10)]
    [0.0, 0.278]
    """
    z2 = 1.96**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = np.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count**2))) / (1 + z2 / count)
    return max(float(middle - half), 0.0), min(float(middle + half), 1.0)


def ece(labels: Labels, probabilities: Floats, bins: int = 10) -> float:
    """Expected calibration error: mean difference of probability and share of positives, in bins of equal width."""
    rows = reliability(labels, probabilities, bins)
    return sum(count * abs(predicted - observed) for predicted, observed, count in rows) / len(labels)


def roc(labels: Labels, scores: Floats) -> tuple[Floats, Floats]:
    """False positive rates and sensitivities from the highest threshold to the lowest, starting at (0, 0)."""
    order = np.argsort(-scores, kind="stable")
    last = np.r_[np.diff(scores[order]) != 0, True]
    true, false = np.cumsum(labels[order])[last], np.cumsum(~labels[order])[last]
    return np.r_[0.0, false / max(int(false[-1]), 1)], np.r_[0.0, true / max(int(true[-1]), 1)]


def risk_coverage(labels: Labels, probabilities: Floats, threshold: float) -> tuple[Floats, Floats]:
    """Share of memos decided and error rate among them, most confident first."""
    confidence = np.abs(_logit(probabilities) - _logit(np.array([threshold])))
    wrong = (probabilities >= threshold) != labels
    ordered = wrong[np.argsort(-confidence, kind="stable")]
    decided = np.arange(1, len(ordered) + 1)
    return decided / len(ordered), np.cumsum(ordered) / decided


def _logit(probabilities: Floats) -> Floats:
    inside = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return np.log(inside / (1 - inside))
