"""Metrics of a head on held-out speakers, from the logits of a cross-validation."""

from typing import Any

import numpy as np

from workers.corpora.examples import Examples
from workers.evaluation import metrics
from workers.evaluation.evaluate import overall
from workers.scoring.scorer import Logits
from workers.training.cross_validation import HeldOut
from workers.training.fit_bundle import calibrated


def cross_validated(examples: Examples, held_out: HeldOut, rounds: int = 1000) -> dict[str, Any]:
    """Metrics of a head on held-out speakers with an established baseline.

    Each fold is calibrated, and its bands chosen, on the logits of the other folds. Memos rank by one calibration for
    all folds: different ones would shift whole folds against each other, without changing the order within any.
    """
    raw, known, labels = held_out.raw[-1], held_out.known[-1], examples.labels > 0.5
    logits = np.zeros(len(examples))
    bands = np.zeros(len(examples), np.int64)
    for fold in np.unique(held_out.fold):
        own = held_out.fold == fold
        found = calibrated(held_out, examples.labels, ~own)
        logits[own] = found.logit(raw[own], known[own])
        probabilities = found.probability(raw[own], known[own])
        bands[own] = (probabilities >= found.bands.high).astype(int) - (probabilities < found.bands.low)
    ranks = calibrated(held_out, examples.labels, np.ones(len(labels), bool)).logit(raw, known)
    threshold = float(np.clip(examples.labels.mean(), 0.05, 0.95))
    decided = bands != 0
    rng = np.random.default_rng([held_out.recipe.seed, 6])
    return {
        **overall(labels, Logits(raw, logits), threshold),
        "auc": metrics.auc(labels, ranks),
        "auc_ci": [*metrics.auc_interval(labels, ranks, examples.speakers, rng, rounds)],
        "undecided_share": float(1 - decided.mean()),
        "sensitivity_decided": metrics.sensitivity(labels[decided], bands[decided] > 0),
        "specificity_decided": metrics.specificity(labels[decided], bands[decided] > 0),
        "n": len(examples),
        "speakers": len(np.unique(examples.speakers)),
        "positives": int(labels.sum()),
        "folds": len(np.unique(held_out.fold)),
    }
