"""Labelled features as arrays, and each speaker's baseline at the time of each memo. Pure except for `rng`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.events import FloatArray
from workers.scoring.feature_space import FeatureSpace, Parts
from workers.scoring.personal_baseline import MEMORY, PersonalNormal, Population, deviations, normal_of, stacked

EVERY = -1
"""All memos of the speaker."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Memos with labels. labels: (memos,) 0 to 1; speakers: (memos,); times: (memos,) seconds, NaN where unknown."""

    parts: Sequence[Parts]
    labels: NDArray[np.float64]
    speakers: NDArray[np.str_]
    times: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of memos."""
        return len(self.parts)

    def chosen(self, where: NDArray[np.bool_]) -> "Examples":
        """The memos where `where` is True."""
        kept = [part for part, keep in zip(self.parts, where, strict=True) if keep]
        return Examples(kept, self.labels[where], self.speakers[where], self.times[where])

    def vectors(self, space: FeatureSpace) -> FloatArray:
        """(memos, features). Raises Poison `features:mismatch`."""
        return np.stack([space.vector(part) for part in self.parts])


def default_memos(examples: Examples) -> int:
    """Memos in each speaker's baseline: EVERY, or 0 if no speaker has memos of both labels."""
    for speaker in np.unique(examples.speakers):
        own = examples.labels[examples.speakers == speaker] > 0.5
        if own.any() and not own.all():
            return EVERY
    return 0


def normals(
    vectors: FloatArray, examples: Examples, memos: int, rng: np.random.Generator
) -> tuple[PersonalNormal, NDArray[np.int64]]:
    """For each memo a baseline from up to `memos` others of its speaker, and their number.

    Where times are known only earlier memos count, otherwise all others. If there are more, `rng` draws a sample.
    """
    baselines: list[PersonalNormal] = []
    counts = np.zeros(len(vectors), np.int64)
    for index in range(len(vectors)):
        others = _others(examples, index)
        wanted = min(len(others), MEMORY if memos == EVERY else memos)
        if wanted < len(others):
            others = rng.choice(others, wanted, replace=False)
        counts[index] = wanted
        baselines.append(normal_of(vectors[others]) if wanted else PersonalNormal.empty(vectors.shape[1]))
    return stacked(baselines), counts


def deviations_after(
    vectors: FloatArray, examples: Examples, people: Population, memos: int, rng: np.random.Generator
) -> FloatArray:
    """(memos, features): deviations from a baseline of up to `memos` memos of the speaker."""
    normal, _ = normals(vectors, examples, memos, rng)
    return deviations(normal, people, vectors)


def _others(examples: Examples, index: int) -> NDArray[np.int64]:
    same = examples.speakers == examples.speakers[index]
    same[index] = False
    if np.isfinite(examples.times[index]):
        same &= examples.times < examples.times[index]
    return np.flatnonzero(same)
