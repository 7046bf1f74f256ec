"""People made of numbers: features with a planted change, no audio."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

from schemas.events import Extractor, Modality
from tests.unit.workers.scoring.toys import ACOUSTIC, EMBEDDING, NAMES, part
from workers.corpora.examples import EVERY, Examples
from workers.scoring.bundle import save
from workers.scoring.heads import NEURAL
from workers.training.fit_heads import uncalibrated
from workers.training.recipe import Recipe

EXTRACTORS: dict[Modality, Extractor] = {Modality.ACOUSTIC: ACOUSTIC, Modality.EMBEDDING: EMBEDDING}
RECIPE = Recipe(acoustic=NAMES, axes=2, penalty=10.0, folds=5, markers=NAMES[:3], patience=1.0, apart=False)


def people(speakers: int = 24, memos: int = 12, *, effect: float = 1.5, spread: float = 4.0, seed: int = 0) -> Examples:
    """Half of everyone's memos are positive: more pauses, less pitch movement, by `effect` SDs.

    spread: SD between people, in SDs within one; the embedding's first coordinate tells a little too.
    """
    rng = np.random.default_rng(seed)
    parts, labels, names = [], [], []
    for speaker in range(speakers):
        own = rng.normal(0, spread, len(NAMES))
        for memo in range(memos):
            label = memo % 2
            vector = own + rng.normal(size=len(NAMES)) + effect * label * np.array([-0.7, 1.0, 0.5, 0.0])
            windows = (vector + rng.normal(0, 0.3, (2, len(NAMES)))).astype(np.float32)
            embedding = rng.normal([label * 2.0, 0, 0], [3.0, 1.0, 0.1])
            parts.append(
                {
                    Modality.ACOUSTIC: part(Modality.ACOUSTIC, vector.tolist(), windows=windows),
                    Modality.EMBEDDING: part(Modality.EMBEDDING, embedding.tolist()),
                }
            )
            labels.append(float(label))
            names.append(f"s{speaker:02d}")
    return Examples(parts, np.array(labels), np.array(names), np.full(len(labels), np.nan))


def neural_ids(folder: Path, kinds: Sequence[str] = NEURAL, seed: int = 0) -> dict[str, str]:
    """The bundle's id, which is made of its bytes, for each kind of network after two epochs, saved below `folder`."""
    recipe = replace(RECIPE, seed=seed, cold_starts=(EVERY,))
    with mock.patch("workers.training.neural_trainer.EPOCHS", 2):
        made = {kind: uncalibrated(people(8, 6), EXTRACTORS, replace(recipe, kind=kind)) for kind in kinds}
    return {kind: save(replace(bundle, name=kind), folder / kind, "").id for kind, bundle in made.items()}
