"""Fit an uncalibrated bundle to labelled features: feature space, population and heads.

All randomness comes from the recipe's seed: the same examples and recipe give the same bundle.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from schemas.events import Extractor, FloatArray, MemoFeatures, Modality
from workers.corpora.examples import Examples, deviations_after
from workers.scoring.bundle import Bundle, First
from workers.scoring.calibration import Calibration
from workers.scoring.feature_space import FeatureSpace
from workers.scoring.head import Contributions, Head, HeadInput
from workers.scoring.heads import SEQUENTIAL
from workers.scoring.scorer import head_input, memo_windows
from workers.training.fit_calibration import choose_bands
from workers.training.logistic_trainer import TrainingSet, train_head
from workers.training.population import population_of, with_mood
from workers.training.recipe import Recipe

DROPPED = 0.15
"""Share of training memos that lose one modality."""


def uncalibrated(examples: Examples, extractors: Mapping[Modality, Extractor], recipe: Recipe) -> Bundle:
    """A bundle with heads fitted to all examples. recipe: without open choices (`model_selection.settled`)."""
    space = space_of(examples, extractors, recipe)
    vectors = examples.vectors(space)
    healthy = examples.labels < 0.5 if recipe.controls else np.ones(len(examples), bool)
    people = population_of(vectors[healthy], examples.speakers[healthy])
    people = replace(with_mood(people, vectors), patience=recipe.patience or 1.0)
    windows = _window_statistics(examples, space) if recipe.kind in SEQUENTIAL else (np.zeros(0, np.float32),) * 2
    blank = Bundle(
        name="",
        space=space,
        markers=tuple(marker for marker in recipe.markers if marker in space.acoustic),
        silent=tuple(name for name in recipe.silent if name in space.acoustic),
        population=people,
        head=_Unfitted(recipe.kind),
        calibration=Calibration("temperature"),
        bands=choose_bands(np.array([0.5]), np.array([0.5])),
        window_mean=windows[0],
        window_sd=windows[1],
        window_s=next(iter(examples.parts[0].values())).window_s,
    )

    def trained(cold_starts: tuple[int, ...]) -> Head:
        data = _training_set(blank, vectors, examples, replace(recipe, cold_starts=cold_starts))
        return train_head(recipe.kind, data, recipe.seed, recipe.penalty)

    first = First(trained((0,)), Calibration("temperature")) if recipe.apart else None
    return replace(blank, head=trained(recipe.established), first=first)


@dataclass(frozen=True, slots=True)
class _Unfitted:
    """Placeholder for the head while its inputs are computed."""

    kind: str

    def logits(self, inputs: HeadInput) -> FloatArray:
        """Raises ValueError: there is no head yet."""
        raise ValueError("the head of this bundle is not fitted")

    def contributions(self, inputs: HeadInput) -> Contributions:
        """Raises ValueError: there is no head yet."""
        raise ValueError("the head of this bundle is not fitted")

    def config(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def weights(self) -> dict[str, np.ndarray]:
        """Empty."""
        return {}


def _training_set(bundle: Bundle, vectors: FloatArray, examples: Examples, recipe: Recipe) -> TrainingSet:
    rng = np.random.default_rng([recipe.seed, 3])
    rounds = []
    for memos in recipe.cold_starts:
        deviations = deviations_after(vectors, examples, bundle.population, memos, rng)
        rounds.append(head_input(bundle, _with_dropout(deviations, bundle.space, rng), examples.parts))
    times = len(rounds)
    return TrainingSet(
        HeadInput(
            np.concatenate([r.deviations for r in rounds]),
            np.concatenate([r.windows for r in rounds]),
            np.concatenate([r.mask for r in rounds]),
        ),
        labels=np.tile(examples.labels, times),
        speakers=np.tile(examples.speakers, times),
        rounds=times,
    )


def _with_dropout(deviations: FloatArray, space: FeatureSpace, rng: np.random.Generator) -> FloatArray:
    """Drop one modality of some memos, so that the head works with the other alone."""
    split = len(space.acoustic)
    if not 0 < split < deviations.shape[1]:
        return deviations
    draw = rng.random(len(deviations))
    dropped = deviations.copy()
    dropped[draw < DROPPED / 2, :split] = np.nan
    dropped[draw > 1 - DROPPED / 2, split:] = np.nan
    return dropped


def space_of(examples: Examples, extractors: Mapping[Modality, Extractor], recipe: Recipe) -> FeatureSpace:
    """The recipe's acoustic features, and the embedding's principal axes in these examples, with unit variance."""
    if Modality.EMBEDDING not in extractors:
        return FeatureSpace(extractors, recipe.acoustic)
    acoustic = recipe.acoustic if Modality.ACOUSTIC in extractors else ()
    summaries = np.stack([part[Modality.EMBEDDING].summary for part in examples.parts]).astype(np.float64)
    centre = summaries.mean(axis=0)
    _, sizes, directions = np.linalg.svd(summaries - centre, full_matrices=False)
    spread = sizes / np.sqrt(len(summaries))
    count = min(recipe.axes, int((spread > 1e-4 * spread[0]).sum()))
    # The sign of an axis is arbitrary; fixed, so that the same examples give the same bytes.
    signs = np.sign(directions[np.arange(count), np.abs(directions[:count]).argmax(axis=1)])
    axes = (directions[:count] * (signs / spread[:count])[:, None]).T
    return FeatureSpace(extractors, acoustic, centre.astype(np.float32), np.ascontiguousarray(axes, np.float32))


def _window_statistics(examples: Examples, space: FeatureSpace) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of every window feature."""
    modalities = tuple(space.extractors)
    first: list[MemoFeatures] = [examples.parts[0][modality] for modality in modalities]
    width = sum(part.windows.shape[1] for part in first)
    rows = np.concatenate([memo_windows(parts, modalities, width) for parts in examples.parts])
    sd = np.nanstd(rows, axis=0)
    return np.nanmean(rows, axis=0).astype(np.float32), np.maximum(sd, 1e-6 + 1e-3 * sd.max()).astype(np.float32)
