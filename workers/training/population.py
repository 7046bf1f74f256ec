"""Estimate population statistics and the strength of shrinkage from many people's memos. Pure."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from schemas.events import FloatArray
from workers.scoring.personal_baseline import LEAST_MEMOS, PersonalNormal, Population, strangeness

MEMOS_RANGE = (LEAST_MEMOS, 20.0)
"""Range of `Population.memos`: estimates outside come from too few people."""
FREEDOM_RANGE = (2.0, 50.0)
MOODS = 0.95
"""Share of memos whose strangeness is at most `Population.mood`."""
Floats = NDArray[np.float64]


def population_of(vectors: FloatArray, speakers: NDArray[np.str_]) -> Population:
    """Estimate the population of these memos. vectors: (memos, features), NaN where undefined; speakers: (memos,).

    Variances by the method of moments of the one-way random-effects model (Searle, Casella & McCulloch, Variance
    Components, chapter 3); degrees of freedom of personal variances as in limma (Smyth 2004,
    doi:10.2202/1544-6115.1027), median over features.
    """
    _, place = np.unique(speakers, return_inverse=True)
    columns = [
        _feature(column[known], place[known]) for column in vectors.T.astype(float) for known in [np.isfinite(column)]
    ]
    freedoms = [column.freedom for column in columns if np.isfinite(column.freedom)]
    return Population(
        mean=np.array([column.mean for column in columns], np.float32),
        within=np.array([column.within for column in columns], np.float32),
        memos=np.array([column.memos for column in columns], np.float32),
        freedom=float(np.clip(np.median(freedoms) if freedoms else 10.0, *FREEDOM_RANGE)),
    )


def with_mood(people: Population, vectors: FloatArray) -> Population:
    """The population with its mood estimated from these memos, of any label. vectors: (memos, features)."""
    known = np.isfinite(vectors)
    single = PersonalNormal(known.astype(np.float32), np.where(known, vectors, 0), np.zeros_like(vectors))
    mood = float(np.quantile(strangeness(single, people), MOODS))
    return replace(people, mood=float(np.float32(max(mood, 0.0))))


@dataclass(frozen=True, slots=True)
class _Feature:
    mean: float
    within: float
    memos: float
    freedom: float


def _feature(values: Floats, place: NDArray[np.int64]) -> _Feature:
    """Statistics of one feature. place: (memos,), the speaker's number."""
    if not len(values):
        return _Feature(0.0, 1.0, 1.0, np.nan)
    everyone = np.bincount(place)
    present = everyone > 0
    place = (np.cumsum(present) - 1)[place]
    counts = everyone[present].astype(np.float64)
    means = np.bincount(place, values) / counts
    squares = np.bincount(place, (values - means[place]) ** 2).astype(np.float64)
    grand = float(np.mean(means))
    floor = 1e-6 * (float(np.var(values)) + 1e-6)
    if len(counts) == 1 or counts.max() == 1:
        return _Feature(grand, max(float(np.var(values)), floor), 1.0, np.nan)
    within = max(float(squares.sum() / (len(values) - len(counts))), floor)
    spread = float((counts * (means - values.mean()) ** 2).sum() / (len(counts) - 1))
    size = (len(values) - float((counts**2).sum()) / len(values)) / (len(counts) - 1)
    between = max((spread - within) / size, 1e-12)
    return _Feature(grand, within, float(np.clip(within / between, *MEMOS_RANGE)), _freedom(squares, counts))


def _freedom(squares: Floats, counts: Floats) -> float:
    """Degrees of freedom of the prior on personal variances, from the excess variance of their logarithms."""
    known = (counts > 2) & (squares > 0)
    if known.sum() < 3:
        return np.nan
    free = counts[known] - 1
    logs = np.log(squares[known] / free) - special.digamma(free / 2) + np.log(free / 2)
    excess = float(np.var(logs, ddof=1) - _trigamma(free / 2).mean())
    low, high = FREEDOM_RANGE
    if excess <= _trigamma(high / 2):
        return high
    if excess >= _trigamma(low / 2):
        return low
    return float(optimize.brentq(lambda d: _trigamma(d / 2) - excess, low, high))


def _trigamma(x: Any) -> Any:
    """Bit-identical to scipy's `polygamma(1, x)`, and several times as fast."""
    return special.zeta(2, x)
