"""Fit a calibrated bundle to labelled features: choices, calibration and bands use held-out speakers.

All randomness comes from the recipe's seed: the same examples and recipe give the same bundle.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from schemas.errors import ConfigurationError
from schemas.events import Extractor, Modality
from workers.corpora.examples import Examples
from workers.scoring.bundle import Bundle, First
from workers.scoring.calibration import Calibration
from workers.training.cross_validation import HeldOut, hold_out
from workers.training.fit_calibration import FITS, Calibrated, better_method, choose_bands
from workers.training.fit_heads import uncalibrated
from workers.training.model_selection import settled
from workers.training.recipe import Recipe


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """An unsaved bundle, and held-out logits of its kind."""

    bundle: Bundle
    held_out: HeldOut


def fit(
    examples: Examples,
    extractors: Mapping[Modality, Extractor],
    recipe: Recipe,
    *,
    name: str,
    encoder: str | None = None,
    training: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Fitted:
    """A bundle trained on all examples, calibrated on logits of models not trained on the speaker.

    The recipe's open choices are made first, by the same speaker-disjoint folds. progress: called with 1 after each
    fold, and after the last fit. Raises ConfigurationError when there are too few speakers or only one class.
    """
    _check(examples)
    # One thread: another order of summation gives another bundle, and small matrices gain nothing from threads.
    with threadpool_limits(1, "blas"):
        recipe = settled(examples, extractors, recipe)
        held_out = hold_out(examples, extractors, recipe, progress)
        found = calibrated(held_out, examples.labels, np.ones(len(examples), bool))
        bundle = uncalibrated(examples, extractors, recipe)
    bundle = replace(
        bundle,
        name=name,
        calibration=found.own,
        first=bundle.first and First(bundle.first.head, found.first),
        bands=found.bands,
        encoder=encoder,
        training=dict(training or {}),
    )
    progress(1)
    return Fitted(bundle, held_out)


def _check(examples: Examples) -> None:
    positive = examples.labels > 0.5
    if positive.all() or not positive.any():
        raise ConfigurationError("training needs memos of both labels")
    if len(np.unique(examples.speakers)) < 4:
        raise ConfigurationError("training needs at least 4 speakers: fewer cannot be split without leaking")
    if min(len(np.unique(examples.speakers[where])) for where in (positive, ~positive)) < 2:
        raise ConfigurationError(
            "training needs memos of either label from at least 2 speakers: when the only one is held out, that label "
            "has no training data"
        )


def calibrated(held_out: HeldOut, labels: NDArray[np.float64], where: NDArray[np.bool_]) -> Calibrated:
    """Calibration of either head, and bands, fitted to held-out logits. where: (memos,), True for those to use.

    Memos with an established baseline weigh as much as all colder starts together: most memos have one.
    """
    recipe = held_out.recipe
    raw, known, truth = held_out.raw[:, where], held_out.known[:, where], np.tile(labels[where], (len(held_out.raw), 1))
    folds = np.tile(held_out.fold[where], (len(raw), 1))

    def fitted(cells: NDArray[np.bool_], weights: NDArray[np.float64]) -> Calibration:
        given = raw[cells], truth[cells], weights[cells]
        return FITS[recipe.calibration or better_method(*given, folds[cells])](*given)

    colder = np.array([memos in recipe.established for memos in recipe.cold_starts[:-1]])
    weights = np.ones(raw.shape)
    weights[:-1] = 1 / max(int(colder.sum()), 1)
    if not recipe.apart or len(np.unique(truth[known] > 0.5)) < 2:
        own = first = fitted(np.ones(raw.shape, bool), weights)
    else:
        own, first = fitted(known, weights), fitted(~known, np.ones(raw.shape) / np.maximum((~known).sum(axis=0), 1))
    found = Calibrated(own, first, choose_bands(np.array([0.5]), np.array([0.5])))
    warm = found.probability(raw[-1], known[-1])
    return replace(found, bands=choose_bands(warm, labels[where], recipe.undecided))
