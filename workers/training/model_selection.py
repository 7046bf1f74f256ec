"""What a corpus decides about its own training: choices that are made by speakers held out, never by the judge.

Logistic regression stands in for every head here: the choices are about people and their baselines, and a network would
take hours over them.
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
"""Candidates for `Population.patience`. The first is what the variances alone ask for; others must show their worth."""

FEWEST = 3
"""Speakers of either label without whom a fold has no choice: one is held out, and of the others one again."""


def settled(examples: Examples, extractors: Mapping[Modality, Extractor], recipe: Recipe) -> Recipe:
    """The recipe with every choice made that it leaves open, each by the cross-entropy of speakers held out.

    patience: over all cold starts alike, more than the least only where it is better by more than a standard error over
    the folds; apart: over memos without a baseline, which two heads would serve: one that has learnt from every start,
    and one that has learnt from such memos only, which is population scoring. Neither of the two is the plainer.
    """
    if recipe.cold_starts == (0,):
        return replace(recipe, patience=recipe.patience or 1.0, apart=False)
    plain = replace(recipe, kind="logistic", apart=False)
    tried = {
        patience: hold_out(examples, extractors, replace(plain, patience=patience))
        for patience in ([recipe.patience] if recipe.patience else PATIENCE)
    }
    losses = {patience: _losses(held_out, examples.labels) for patience, held_out in tried.items()}
    plainest, *others = losses
    worthy = [plainest, *(other for other in others if clearly_lower(losses[other], losses[plainest]))]
    patience = min(worthy, key=lambda candidate: losses[candidate].mean())
    apart = recipe.apart
    if apart is None and 0 in recipe.cold_starts:
        strangers = replace(plain, patience=patience, cold_starts=(0,))
        first = recipe.cold_starts.index(0)
        together = replace(tried[patience], raw=tried[patience].raw[first : first + 1])
        own = hold_out(examples, extractors, strangers)
        apart = _losses(own, examples.labels).mean() < _losses(together, examples.labels).mean()
    return replace(recipe, patience=patience, apart=bool(apart))


def settled_apart(
    examples: Examples,
    extractors: Mapping[Modality, Extractor],
    recipe: Recipe,
    made: Recipe,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[Recipe, ...] | None:
    """The recipe of each fold, with choices that its speakers had no part in: what a recipe is to be judged by.

    recipe: with choices left open; made: as all speakers together settled it, which flatters each of them a little.
    None where fewer than FEWEST speakers have either label: then there is no other choice to judge by.
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
    """Mean cross-entropy of each fold over all cold starts, calibrated by the other folds: (folds,)."""
    starts = len(held_out.raw)
    rows = held_out.raw.ravel(), np.tile(labels, starts), np.ones(held_out.raw.size), np.tile(held_out.fold, starts)
    return fold_losses("temperature", *rows)
