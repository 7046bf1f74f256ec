"""Make a recipe's open choices by cross-validation on the training speakers, never on the test side.

Uses logistic regression in place of any head: the choices concern people and their baselines, and a network would take
hours.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from schemas.events import Extractor, Modality
from workers.corpora.examples import Examples
from workers.training.cross_validation import HeldOut, hold_out, speaker_folds
from workers.training.fit_calibration import clearly_lower, fold_losses
from workers.training.recipe import Recipe

PATIENCE = (1.0, 2.0, 4.0, 8.0)
"""Candidates for `Population.patience`. The first follows from the variances alone; others must be clearly better."""

FEWEST = 3
"""Minimum speakers of either label for a choice within a fold: one is held out, and of the others one again."""


def settled(examples: Examples, extractors: Mapping[Modality, Extractor], recipe: Recipe) -> Recipe:
    """The recipe with its open choices made, each by the cross-entropy of held-out speakers.

    patience: over all cold starts alike, above the smallest only if better by more than a standard error over the
    folds; apart: over memos without a baseline, between a head trained on every cold start and one trained on such
    memos only, which is population scoring. Neither of the two is simpler.
    """
    if recipe.cold_starts == (0,):
        return replace(recipe, patience=recipe.patience or 1.0, apart=False)
    plain = replace(recipe, kind="logistic", apart=False)
    tried = {
        patience: hold_out(examples, extractors, replace(plain, patience=patience))
        for patience in ([recipe.patience] if recipe.patience else PATIENCE)
    }
    losses = {patience: _losses(held_out, examples.labels) for patience, held_out in tried.items()}
    simplest, *others = losses
    candidates = [simplest, *(other for other in others if clearly_lower(losses[other], losses[simplest]))]
    patience = min(candidates, key=lambda candidate: losses[candidate].mean())
    apart = recipe.apart
    if apart is None and 0 in recipe.cold_starts:
        cold = replace(plain, patience=patience, cold_starts=(0,))
        first = recipe.cold_starts.index(0)
        shared = replace(tried[patience], raw=tried[patience].raw[first : first + 1])
        own = hold_out(examples, extractors, cold)
        apart = _losses(own, examples.labels).mean() < _losses(shared, examples.labels).mean()
    return replace(recipe, patience=patience, apart=bool(apart))


def settled_apart(
    examples: Examples,
    extractors: Mapping[Modality, Extractor],
    recipe: Recipe,
    made: Recipe,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[Recipe, ...] | None:
    """The recipe of each fold, with choices made without its speakers (nested cross-validation).

    recipe: with open choices; made: with choices made on all speakers, which biases their metrics slightly upwards.
    None if fewer than FEWEST speakers have either label: they allow no such choice.
    """
    folds = speaker_folds(examples, recipe.folds, recipe.seed)
    if recipe.cold_starts == (0,) or None not in (recipe.patience, recipe.apart):
        progress(len(folds))
        return (made,) * len(folds)
    positive = examples.labels > 0.5
    speakers = min(len(np.unique(examples.speakers[where])) for where in (positive, ~positive))
    if speakers < FEWEST:
        progress(len(folds))
        return None
    choices = []
    for held in folds:
        own = settled(examples.chosen(~held), extractors, recipe)
        choices.append(replace(made, patience=own.patience, apart=own.apart))
        progress(1)
    return tuple(choices)


def _losses(held_out: HeldOut, labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean cross-entropy of each fold over all cold starts, calibrated on the other folds: (folds,)."""
    starts = len(held_out.raw)
    rows = held_out.raw.ravel(), np.tile(labels, starts), np.ones(held_out.raw.size), np.tile(held_out.fold, starts)
    return fold_losses("temperature", *rows)
