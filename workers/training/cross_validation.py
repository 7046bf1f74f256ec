"""Cross-validate over speakers: held-out scores for calibration, bands and model selection."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from schemas.events import Extractor, FloatArray, Modality
from workers.corpora.examples import Examples, normals
from workers.scoring.bundle import Bundle
from workers.scoring.personal_baseline import deviations
from workers.scoring.scorer import logits
from workers.training.fit_heads import uncalibrated
from workers.training.recipe import Recipe


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Logits of every memo by a model not trained on its speaker, before calibration.

    raw: (cold starts, memos), by `Recipe.cold_starts`; known: as raw, whether the speaker had a baseline; fold:
    (memos,), the fold that held the memo out; recipe: of the models, without open choices.
    """

    raw: NDArray[np.float64]
    known: NDArray[np.bool_]
    fold: NDArray[np.int64]
    recipe: Recipe


def hold_out(
    examples: Examples,
    extractors: Mapping[Modality, Extractor],
    recipe: Recipe,
    progress: Callable[[int], None] = lambda _: None,
) -> HeldOut:
    """Train once without each fold of speakers, and score that fold. recipe: without open choices."""
    raw = np.zeros((len(recipe.cold_starts), len(examples)))
    known = np.zeros(raw.shape, bool)
    fold = np.zeros(len(examples), np.int64)
    for number, held in enumerate(speaker_folds(examples, recipe.folds, recipe.seed)):
        raw[:, held], known[:, held] = _fold(examples, held, extractors, recipe)
        fold[held] = number
        progress(1)
    return HeldOut(raw, known, fold, recipe)


def held_out_by(
    choices: Sequence[Recipe], held_out: HeldOut, examples: Examples, extractors: Mapping[Modality, Extractor]
) -> HeldOut:
    """The same memos, with one recipe per fold; folds with the recipe of `held_out` stay unchanged."""
    raw, known = held_out.raw.copy(), held_out.known.copy()
    for number, recipe in enumerate(choices):
        held = held_out.fold == number
        if recipe != held_out.recipe:
            raw[:, held], known[:, held] = _fold(examples, held, extractors, recipe)
    return replace(held_out, raw=raw, known=known)


def _fold(
    examples: Examples, held: NDArray[np.bool_], extractors: Mapping[Modality, Extractor], recipe: Recipe
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """`raw` and `known` of the memos where `held` (memos,) is True, by a model trained on the others."""
    bundle = uncalibrated(examples.chosen(~held), extractors, recipe)
    rng = np.random.default_rng([recipe.seed, 2])
    rows = [_raw_logits(bundle, examples.chosen(held), memos, rng) for memos in recipe.cold_starts]
    return np.stack([raw for raw, _ in rows]).astype(np.float64), np.stack([known for _, known in rows])


def _raw_logits(
    bundle: Bundle, examples: Examples, memos: int, rng: np.random.Generator
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Uncalibrated logits of memos after `memos` others of their speaker, (memos,), and whether there was any other."""
    vectors = examples.vectors(bundle.space)
    baselines, _ = normals(vectors, examples, memos, rng)
    found = logits(bundle, deviations(baselines, bundle.population, vectors), examples.parts, baselines.known)
    return found.raw, baselines.known


def speaker_folds(examples: Examples, folds: int, seed: int) -> list[NDArray[np.bool_]]:
    """The memos that each fold holds out: whole speakers, with both classes spread evenly over the folds."""
    speakers = np.unique(examples.speakers)
    shares = np.array([examples.labels[examples.speakers == speaker].mean() for speaker in speakers])
    shuffled = np.random.default_rng([seed, 1]).permutation(len(speakers))
    ranked = shuffled[np.argsort(shares[shuffled], kind="stable")]
    count = min(folds, len(speakers))
    return [np.isin(examples.speakers, speakers[ranked[start::count]]) for start in range(count)]
