"""What a baseline is worth while it is young: AUC by how many memos of their own the speakers have."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.corpora.examples import EVERY, Examples, normals
from workers.evaluation import metrics
from workers.scoring.bundle import Bundle
from workers.scoring.personal_baseline import deviations
from workers.scoring.scorer import logits

COLD_STARTS = (0, 1, 2, 4, 8, 16)
"""Memos of their own that speakers have."""
RESAMPLED = 5
"""The share of an AUC's resamplings that a gain gets: each of its own is as many AUCs as there were draws."""


@dataclass(frozen=True, slots=True)
class ColdStart:
    """By number of memos, the last of them `all`.

    auc: the mean over draws of which memos; gain: 95 % interval of what that is above no memo at all, which has none;
    the same speakers stand on both sides, so that it is narrower than the interval of either.
    """

    auc: dict[str, float]
    gain: dict[str, tuple[float, float]]


def cold_start(
    bundle: Bundle,
    examples: Examples,
    judged: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    rounds: int = 1000,
    draws: int = 5,
) -> ColdStart:
    """The curve over the memos that `judged` (memos,) names; the others only make baselines."""
    vectors, labels = examples.vectors(bundle.space), examples.labels > 0.5
    said: dict[str, list[metrics.Floats]] = {}
    for memos in (*COLD_STARTS, EVERY):
        found = said.setdefault("all" if memos == EVERY else str(memos), [])
        for _ in range(1 if memos in (0, EVERY) else draws):
            together, _ = normals(vectors, examples, memos, rng)
            away = deviations(together, bundle.population, vectors)
            found.append(logits(bundle, away, examples.parts, together.known).calibrated[judged])
    was, speakers = labels[judged], examples.speakers[judged]
    (alone,) = said["0"]
    again = np.random.default_rng(rng.integers(2**63))
    return ColdStart(
        {memos: float(np.mean([metrics.auc(was, draw) for draw in found])) for memos, found in said.items()},
        {
            memos: metrics.gain_interval(was, found, alone, speakers, again, max(rounds // RESAMPLED, 1))
            for memos, found in said.items()
            if memos != "0"
        },
    )
