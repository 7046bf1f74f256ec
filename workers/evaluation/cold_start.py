"""Cold start: AUC by the number of memos in the speakers' baselines."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.corpora.examples import EVERY, Examples, normals
from workers.evaluation import metrics
from workers.scoring.bundle import Bundle
from workers.scoring.personal_baseline import deviations
from workers.scoring.scorer import logits

COLD_STARTS = (0, 1, 2, 4, 8, 16)
"""Memos in a speaker's baseline."""
LEAST_SPEAKERS = 4
"""The curve ends where fewer speakers have so many memos: beyond, it would repeat what fewer memos give."""
RESAMPLED = 5
"""Divides a gain's number of bootstrap rounds: each of them computes as many AUCs as there were draws."""


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Results by number of memos, the last of them `all`.

    auc: mean over random draws of memos; gain: 95 % interval of its difference from no memo, which itself has none;
    both use the same speakers, so the interval is narrower than either one's own; speakers: those with so many other
    memos, for `all` with any.
    """

    auc: dict[str, float]
    gain: dict[str, tuple[float, float]]
    speakers: dict[str, int]


def cold_start(
    bundle: Bundle,
    examples: Examples,
    judged: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    rounds: int = 1000,
    draws: int = 5,
) -> ColdStart:
    """The curve over the memos where `judged` (memos,) is True; the others only enter baselines.

    It ends at the most memos that LEAST_SPEAKERS speakers have.
    """
    vectors, labels = examples.vectors(bundle.space), examples.labels > 0.5
    _, others = normals(vectors, examples, EVERY, rng)
    having = {
        memos: len(np.unique(examples.speakers[judged & (others >= (1 if memos == EVERY else memos))]))
        for memos in (*COLD_STARTS, EVERY)
    }
    kept = [memos for memos, speakers in having.items() if memos in (0, EVERY) or speakers >= LEAST_SPEAKERS]
    scores: dict[str, list[metrics.Floats]] = {}
    for memos in kept:
        found = scores.setdefault(_name(memos), [])
        for _ in range(1 if memos in (0, EVERY) else draws):
            baselines, _ = normals(vectors, examples, memos, rng)
            sds = deviations(baselines, bundle.population, vectors)
            found.append(logits(bundle, sds, examples.parts, baselines.known).calibrated[judged])
    truth, speakers = labels[judged], examples.speakers[judged]
    (cold,) = scores["0"]
    bootstrap = np.random.default_rng(rng.integers(2**63))
    return ColdStart(
        {memos: float(np.mean([metrics.auc(truth, draw) for draw in found])) for memos, found in scores.items()},
        {
            memos: metrics.gain_interval(truth, found, cold, speakers, bootstrap, max(rounds // RESAMPLED, 1))
            for memos, found in scores.items()
            if memos != "0"
        },
        {_name(memos): having[memos] for memos in kept},
    )


def _name(memos: int) -> str:
    return "all" if memos == EVERY else str(memos)
