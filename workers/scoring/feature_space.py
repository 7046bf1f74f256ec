"""The features that a bundle scores, and how to build their vector from the parts of a memo. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from schemas.errors import Poison
from schemas.events import Extractor, FloatArray, MemoFeatures, Modality

Parts = Mapping[Modality, MemoFeatures]


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSpace:
    """The coordinates of a memo's vector: selected acoustic features, then the embedding on a few principal axes.

    extractors: required extractor of each modality, in the order of the vector; acoustic: names; centre: (d,), axes:
    (d, p) of the embedding's summary, both with zero columns if the embedding is not used; equivalents: extractors that
    were shown to give the same scores. Baselines do not tell them apart: that they may go on is what was shown. Without
    that, workers in another precision stop at their start, and name the command that shows it.
    """

    extractors: Mapping[Modality, Extractor]
    acoustic: tuple[str, ...]
    centre: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    axes: FloatArray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    equivalents: Mapping[Modality, tuple[Extractor, ...]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the vector's coordinates."""
        return _names(self.acoustic, self.axes.shape[1])

    def vector(self, parts: Parts) -> FloatArray:
        """(features,) float32, NaN where a feature is undefined or its modality is missing.

        Raises Poison `features:mismatch` when a part has another extractor, version or weights than the bundle's, or
        lacks a feature that the bundle scores: values of two extractors are not comparable.
        """
        for modality, part in parts.items():
            self._check(modality, part)
        vector = np.full(len(self.acoustic) + self.axes.shape[1], np.nan, np.float32)
        acoustic, embedding = parts.get(Modality.ACOUSTIC), parts.get(Modality.EMBEDDING)
        if acoustic is not None and self.acoustic:
            vector[: len(self.acoustic)] = acoustic.summary[list(_places(acoustic.names, self.acoustic))]
        if embedding is not None and self.axes.size:
            vector[len(self.acoustic) :] = (embedding.summary - self.centre) @ self.axes
        return vector

    def missing(self, parts: Parts) -> tuple[Modality, ...]:
        """Modalities that the bundle needs and the memo lacks."""
        return tuple(modality for modality in self.extractors if modality not in parts)

    def _check(self, modality: Modality, part: MemoFeatures) -> None:
        wanted = self.extractors.get(modality)
        if wanted is None:
            return
        if part.extractor != wanted and part.extractor not in self.equivalents.get(modality, ()):
            raise Poison(
                "features:mismatch",
                f"the {modality} features are from {part.extractor.label}, but the bundle was trained on "
                f"{wanted.label}; run workers and agents with the same bundle, and with the same equivalents.json",
            )
        expected = len(part.names) if modality is Modality.ACOUSTIC else len(self.centre)
        if part.summary.shape != (expected,):
            raise Poison(
                "features:mismatch", f"the {modality} summary has shape {part.summary.shape}, expected ({expected},)"
            )


@lru_cache(maxsize=16)
def _names(acoustic: tuple[str, ...], axes: int) -> tuple[str, ...]:
    return (*acoustic, *(f"embedding_{axis:02d}" for axis in range(axes)))


@lru_cache(maxsize=16)
def _places(names: Sequence[str], chosen: Sequence[str]) -> tuple[int, ...]:
    place = {name: index for index, name in enumerate(names)}
    absent = [name for name in chosen if name not in place]
    if absent:
        raise Poison("features:mismatch", f"the acoustic features lack {absent[0]} and {len(absent) - 1} more")
    return tuple(place[name] for name in chosen)
