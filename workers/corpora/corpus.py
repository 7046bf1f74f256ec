"""A corpus: labelled recordings, their split into sides, and their features; leaking splits are rejected."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.events import Modality
from schemas.settings import Settings
from workers.corpora.features import LabelledFeatures, labelled_features
from workers.corpora.leakage import content_hashes, refuse_leaks
from workers.corpora.manifest import Sample, chronological

Progress = Callable[[int], None]
LATER = 0.3
"""Share of each speaker's memos that a chronological split holds out."""
TRAIN, TEST = "train", "test"


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """Samples, the digest of each one's recording, and its side of the split."""

    samples: Sequence[Sample]
    hashes: Sequence[str]
    sides: Sequence[str]
    by_time: bool = False

    @property
    def digest(self) -> str:
        """Digest of recordings, spans, labels and sides, independent of file names."""
        rows = sorted(
            [digest, sample.speaker, sample.label, str(sample.spans), side]
            for sample, digest, side in zip(self.samples, self.hashes, self.sides, strict=True)
        )
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def corpus_of(samples: Sequence[Sample]) -> Corpus:
    """The corpus with its own splits. Raises ConfigurationError when they leak."""
    return _guarded(Corpus(samples, content_hashes(samples), [sample.split or TRAIN for sample in samples]))


def corpus_by_time(samples: Sequence[Sample]) -> Corpus:
    """The corpus with the last memos of each speaker held out. Raises ConfigurationError when it leaks."""
    _, later = chronological(samples, LATER)
    sides = [TEST if index in set(later) else TRAIN for index in range(len(samples))]
    return _guarded(Corpus(samples, content_hashes(samples), sides, by_time=True))


def _guarded(corpus: Corpus) -> Corpus:
    refuse_leaks(corpus.samples, corpus.sides, corpus.hashes, by_time=corpus.by_time)
    return corpus


def features_of(
    corpus: Corpus, settings: Settings, modalities: Sequence[Modality], folder: Path | None, progress: Progress
) -> LabelledFeatures:
    """Features of the whole corpus. progress: called with the number of memos done."""
    return labelled_features(corpus.samples, corpus.hashes, settings, modalities, folder, progress)


def sides_of(corpus: Corpus, features: LabelledFeatures) -> NDArray[np.str_]:
    """The side of the split of each memo with features, (memos,)."""
    side = {id(sample): side for sample, side in zip(corpus.samples, corpus.sides, strict=True)}
    return np.array([side[id(sample)] for sample in features.kept])


def groups_of(features: LabelledFeatures) -> list[Mapping[str, str]]:
    """The subgroups of each memo with features, by name."""
    return [sample.groups for sample in features.kept]
