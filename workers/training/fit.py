"""From labelled features to a bundle: space, population, head, calibration and bands, none of which sees its own test.

Everything random comes from the recipe's seed: the same examples and recipe give the same bundle.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ConfigurationError
from schemas.events import Extractor, FloatArray, MemoFeatures, Modality
from workers.acoustic.names import FEATURE_NAMES, MARKER_NAMES
from workers.scoring.bundle import Bundle, First
from workers.scoring.calibration import Calibration
from workers.scoring.features import FeatureSpace
from workers.scoring.heads import SEQUENTIAL, Head, HeadInput
from workers.scoring.personal import deviations
from workers.scoring.scorer import head_input, logits, memo_windows
from workers.training.calibrating import FITS, Calibrated, Method, better_method, choose_bands
from workers.training.examples import EVERY, Examples, away, normals
from workers.training.population import population_of, with_mood
from workers.training.trainers import TrainingSet, train_head

COLD_STARTS = (0, 1, 3, 8, EVERY)
"""Memos of their own that speakers have had in training, one round each."""
DROPPED = 0.15
"""Share of training memos that lose one modality."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    kind: of the head; acoustic: names of the features to use; axes: principal axes of the embedding; penalty: the
    inverse of logistic regression's C; folds: speaker-disjoint, for calibration and bands; calibration: None for
    whichever predicts held-out folds better; undecided: share of memos in the undecided band; controls: whether the
    population is that of memos with a label under 0.5; cold_starts: how many memos of their own speakers have, one
    training round each, an established baseline last (0 among others trains a head of its own); markers: features that
    may be named as evidence; silent: features that the heads do not hear.
    """

    kind: str = "logistic"
    seed: int = 0
    acoustic: tuple[str, ...] = FEATURE_NAMES
    axes: int = 16
    penalty: float = 30.0
    folds: int = 10
    calibration: Method | None = None
    undecided: float = 0.2
    controls: bool = False
    cold_starts: tuple[int, ...] = COLD_STARTS
    markers: tuple[str, ...] = MARKER_NAMES
    silent: tuple[str, ...] = ()

    @property
    def established(self) -> tuple[int, ...]:
        """The cold starts that train the head of people with a baseline: all, where there is no other head."""
        return tuple(memos for memos in self.cold_starts if memos != 0) or self.cold_starts

    @property
    def apart(self) -> bool:
        """Whether people without a baseline have a head of their own."""
        return self.established != self.cold_starts


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Logits of every memo by a model that had not seen its speaker, before calibration.

    raw: (cold starts, memos), by `Recipe.cold_starts`; known: as raw, whether the speaker had a baseline; fold:
    (memos,), which fold held the memo out.
    """

    raw: NDArray[np.float64]
    known: NDArray[np.bool_]
    fold: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A bundle, not yet saved, and what its kind does on speakers held out."""

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
    """A bundle trained on all examples, calibrated on logits of models that had not seen the speaker.

    progress: told 1 after each fold, and after the last fit. Raises ConfigurationError when there are too few speakers
    or only one class.
    """
    _check(examples)
    held_out = hold_out(examples, extractors, recipe, progress)
    found = calibrated(held_out, examples.labels, np.ones(len(examples), bool), recipe)
    bundle = _uncalibrated(examples, extractors, recipe)
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


def hold_out(
    examples: Examples,
    extractors: Mapping[Modality, Extractor],
    recipe: Recipe,
    progress: Callable[[int], None] = lambda _: None,
) -> HeldOut:
    """Train once without each fold of speakers, and score that fold."""
    raw = np.zeros((len(recipe.cold_starts), len(examples)))
    known = np.zeros(raw.shape, bool)
    fold = np.zeros(len(examples), np.int64)
    for number, held in enumerate(speaker_folds(examples, recipe.folds, recipe.seed)):
        bundle = _uncalibrated(examples.chosen(~held), extractors, recipe)
        rng = np.random.default_rng([recipe.seed, 2])
        for row, memos in enumerate(recipe.cold_starts):
            raw[row, held], known[row, held] = _raw_logits(bundle, examples.chosen(held), memos, rng)
        fold[held] = number
        progress(1)
    return HeldOut(raw, known, fold)


def calibrated(held_out: HeldOut, labels: NDArray[np.float64], where: NDArray[np.bool_], recipe: Recipe) -> Calibrated:
    """Calibration of either head, and bands, fitted to held-out logits. where: (memos,), which to use.

    Memos with an established baseline count as much as all colder starts together: most memos have one.
    """
    raw, known, was = held_out.raw[:, where], held_out.known[:, where], np.tile(labels[where], (len(held_out.raw), 1))
    folds = np.tile(held_out.fold[where], (len(raw), 1))

    def fitted(cells: NDArray[np.bool_], weights: NDArray[np.float64]) -> Calibration:
        given = raw[cells], was[cells], weights[cells]
        return FITS[recipe.calibration or better_method(*given, folds[cells])](*given)

    colder = np.array([memos in recipe.established for memos in recipe.cold_starts[:-1]])
    weights = np.ones(raw.shape)
    weights[:-1] = 1 / max(int(colder.sum()), 1)
    if not recipe.apart or len(np.unique(was[known] > 0.5)) < 2:
        own = first = fitted(np.ones(raw.shape, bool), weights)
    else:
        own, first = fitted(known, weights), fitted(~known, np.ones(raw.shape) / np.maximum((~known).sum(axis=0), 1))
    found = Calibrated(own, first, choose_bands(np.array([0.5]), np.array([0.5])))
    warm = found.probability(raw[-1], known[-1])
    return replace(found, bands=choose_bands(warm, labels[where], recipe.undecided))


def _raw_logits(
    bundle: Bundle, examples: Examples, memos: int, rng: np.random.Generator
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Uncalibrated logits of memos after `memos` others of their speaker, (memos,), and whether there was any other."""
    vectors = examples.vectors(bundle.space)
    together, _ = normals(vectors, examples, memos, rng)
    found = logits(bundle, deviations(together, bundle.population, vectors), examples.parts, together.known)
    return found.raw, together.known


def speaker_folds(examples: Examples, folds: int, seed: int) -> list[NDArray[np.bool_]]:
    """Which memos each fold holds out: whole speakers, both classes spread evenly over the folds."""
    speakers = np.unique(examples.speakers)
    shares = np.array([examples.labels[examples.speakers == speaker].mean() for speaker in speakers])
    shuffled = np.random.default_rng([seed, 1]).permutation(len(speakers))
    ranked = shuffled[np.argsort(shares[shuffled], kind="stable")]
    count = min(folds, len(speakers))
    return [np.isin(examples.speakers, speakers[ranked[start::count]]) for start in range(count)]


def _check(examples: Examples) -> None:
    positive = examples.labels > 0.5
    if positive.all() or not positive.any():
        raise ConfigurationError("training needs memos of both labels")
    if len(np.unique(examples.speakers)) < 4:
        raise ConfigurationError("training needs at least 4 speakers: fewer cannot be split without leaking")


def _uncalibrated(examples: Examples, extractors: Mapping[Modality, Extractor], recipe: Recipe) -> Bundle:
    space = space_of(examples, extractors, recipe)
    vectors = examples.vectors(space)
    healthy = examples.labels < 0.5 if recipe.controls else np.ones(len(examples), bool)
    people = with_mood(population_of(vectors[healthy], examples.speakers[healthy]), vectors)
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
    )

    def trained(cold_starts: tuple[int, ...]) -> Head:
        data = _training_set(blank, vectors, examples, replace(recipe, cold_starts=cold_starts))
        return train_head(recipe.kind, data, recipe.seed, recipe.penalty)

    first = First(trained((0,)), Calibration("temperature")) if recipe.apart else None
    return replace(blank, head=trained(recipe.established), first=first)


@dataclass(frozen=True, slots=True)
class _Unfitted:
    """Stands where the head will be, so that its inputs can be made."""

    kind: str

    def logits(self, inputs: HeadInput) -> FloatArray:
        """No head yet."""
        raise ValueError("the head of this bundle has not been fitted")

    def config(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def weights(self) -> dict[str, np.ndarray]:
        """Nothing."""
        return {}


def _training_set(bundle: Bundle, vectors: FloatArray, examples: Examples, recipe: Recipe) -> TrainingSet:
    rng = np.random.default_rng([recipe.seed, 3])
    rounds = []
    for memos in recipe.cold_starts:
        deviations = away(vectors, examples, bundle.population, memos, rng)
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
    """Some memos lose one modality, so that the head makes do with the other."""
    split = len(space.acoustic)
    if not 0 < split < deviations.shape[1]:
        return deviations
    draw = rng.random(len(deviations))
    dropped = deviations.copy()
    dropped[draw < DROPPED / 2, :split] = np.nan
    dropped[draw > 1 - DROPPED / 2, split:] = np.nan
    return dropped


def space_of(examples: Examples, extractors: Mapping[Modality, Extractor], recipe: Recipe) -> FeatureSpace:
    """The recipe's acoustic features, and the embedding's principal axes among these examples, of unit variance."""
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
    """Mean and SD of every window feature."""
    modalities = tuple(space.extractors)
    first: list[MemoFeatures] = [examples.parts[0][modality] for modality in modalities]
    width = sum(part.windows.shape[1] for part in first)
    rows = np.concatenate([memo_windows(parts, modalities, width) for parts in examples.parts])
    sd = np.nanstd(rows, axis=0)
    return np.nanmean(rows, axis=0).astype(np.float32), np.maximum(sd, 1e-6 + 1e-3 * sd.max()).astype(np.float32)
