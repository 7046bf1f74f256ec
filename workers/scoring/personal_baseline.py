"""A person's baseline: running mean and variance of every feature, shrunk towards the population. Pure.

A new baseline is shrunk strongly, and less with every memo. Without memos a deviation is the distance from the
population's mean in its total standard deviations; with many it is the distance from the person's own mean in their own
standard deviations. People unlike the population (another microphone, room or language) are shrunk less from the first
memo. Shapes may be (features,) or (memos, features).
Source of the model: the normal one-way random-effects model with conjugate priors (Gelman et al., Bayesian Data
Analysis, chapters 3 and 5); the strength of the priors is estimated from the training population (empirical Bayes).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.events import FloatArray

MEMORY = 90
"""Memos that a baseline remembers: after this many it is an exponential moving average."""
LEAST_MEMOS = 0.1
"""Smallest `Population.memos`. In a feature that is at it people differ by more, as in the pitch of voice."""
FARTHEST = 400.0
"""Maximum squared distance of one feature from the population, in variances within a person."""


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """The training population, per feature.

    mean: of all memos; within: variance of one person's memos; memos: number of own memos that weigh as much as the
    population's mean (variance within over variance between people); freedom: degrees of freedom of the population's
    variance within; mood: upper bound of `strangeness` from one memo alone, in 19 of 20 memos; patience: factor on
    `memos` in a head's input, 1 for deviations from the posterior mean. mean, within, memos: (features,) float32,
    within and memos above 0.
    """

    mean: FloatArray
    within: FloatArray
    memos: FloatArray
    freedom: float
    mood: float = 0.0
    patience: float = 1.0

    def usual_range(self, share: float = 0.8) -> tuple[FloatArray, FloatArray]:
        """Between which values the given share of all memos of the population lies, if they are normally distributed.

        Over people and over their memos: the variance between people is that within one over `memos`.
        """
        half = NormalDist().inv_cdf((1 + share) / 2) * np.sqrt(self.within * (1 + 1 / self.memos))
        return (self.mean - half).astype(np.float32), (self.mean + half).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class PersonalNormal:
    """One person's memos so far, per feature: count (at most MEMORY), mean and mean squared deviation."""

    count: FloatArray
    mean: FloatArray
    variance: FloatArray

    @classmethod
    def empty(cls, features: int) -> "PersonalNormal":
        """A baseline without memos."""
        return cls(*np.zeros((3, features), np.float32))

    @property
    def memos(self) -> int:
        """Memos of the feature that has most."""
        return int(self.count.max(initial=0))

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether there is any memo: (memos,) for stacked baselines."""
        return np.asarray(self.count.max(axis=-1, initial=0) > 0)


class Expectation(NamedTuple):
    """Mean and standard deviation expected of every feature of a memo: (features,) or (memos, features)."""

    mean: NDArray[np.floating[Any]]
    sd: NDArray[np.floating[Any]]


def updated(normal: PersonalNormal, vector: FloatArray, memory: int = MEMORY) -> PersonalNormal:
    """The baseline after one more memo. Features that are NaN or infinite in `vector` stay unchanged.

    >>> normal = updated(updated(PersonalNormal.empty(1), np.float32([1.0])), np.float32([3.0]))
    >>> float(normal.mean[0]), float(normal.variance[0])
    (2.0, 1.0)
    """
    known = np.isfinite(vector)
    count = np.where(known, np.minimum(normal.count + 1, memory), normal.count).astype(np.float32)
    rate = np.where(known, 1 / np.maximum(count, 1), 0).astype(np.float32)
    step = np.where(known, vector, normal.mean) - normal.mean
    return PersonalNormal(
        count=count,
        mean=(normal.mean + rate * step).astype(np.float32),
        variance=((1 - rate) * (normal.variance + rate * step**2)).astype(np.float32),
    )


def normal_of(vectors: FloatArray) -> PersonalNormal:
    """The baseline after at most MEMORY memos, in any order. vectors: (memos, features), NaN where undefined."""
    known = np.isfinite(vectors)
    count = known.sum(axis=0)
    filled = np.where(known, vectors, 0).astype(np.float64)
    mean = filled.sum(axis=0) / np.maximum(count, 1)
    variance = (np.where(known, filled - mean, 0) ** 2).sum(axis=0) / np.maximum(count, 1)
    return PersonalNormal(count.astype(np.float32), mean.astype(np.float32), variance.astype(np.float32))


def deviations(normal: PersonalNormal, population: Population, vector: FloatArray) -> FloatArray:
    """Distance of a memo from the expectation for this person, in standard deviations of that expectation.

    NaN where `vector` is. See `expectation`.
    """
    return away(vector, expectation(normal, population))


def away(vector: FloatArray, expected: Expectation) -> FloatArray:
    """Distance of a memo from an expectation in its standard deviations; NaN where `vector` is NaN or infinite."""
    finite = np.where(np.isfinite(vector), vector, np.nan)
    distance: FloatArray = ((finite - expected.mean) / expected.sd).astype(np.float32)
    return distance


def expectation(normal: PersonalNormal, population: Population) -> Expectation:
    """What the next memo of this person is expected to be: the posterior predictive distribution of every feature.

    It is wider with fewer memos; patience moves its mean towards the population and widens it accordingly.
    """
    prior = prior_memos(normal, population)
    own = normal.count / (normal.count + population.patience * prior)
    mean = own * normal.mean + (1 - own) * population.mean
    squares = normal.count * normal.variance + population.freedom * population.within
    within = squares / (np.maximum(normal.count - 1, 0) + population.freedom)
    variance = within * (1 + own**2 / np.maximum(normal.count, 1) + (1 - own) ** 2 / prior)
    return Expectation(mean, np.sqrt(variance))


def prior_memos(normal: PersonalNormal, population: Population) -> FloatArray:
    """Weight of the population's mean in memos: `population.memos`, fewer for people unlike the population.

    People of one corpus share a microphone, a room and a language, so it cannot show how far these shift a baseline.
    The person's own memos can, beyond the effect of moods (which one or two memos may be, so their threshold is
    higher): the variance between people grows by the mean of the feature's own distance from the population and the
    distance over all features.
    """
    memos = np.maximum(normal.count.max(axis=-1, keepdims=True, initial=0), 1)
    moods = population.mood / memos * (1 + 2 / memos)
    overall = np.maximum(strangeness(normal, population) - moods, 0)
    own = np.maximum(_beyond(normal, population), 0)
    foreign = np.where(normal.count > 0, (overall + own) / 2 * overall / (1 + overall), 0)
    weight: FloatArray = (1 / (1 / population.memos + foreign)).astype(np.float32)
    return weight


def strangeness(normal: PersonalNormal, population: Population) -> FloatArray:
    """Excess distance of a person's mean from the population, over all features: (..., 1), about 0 for its members.

    In variances within a person; each feature is weighted by the precision of its expected mean (method of moments).
    """
    expected = 1 / np.maximum(normal.count, 1) + 1 / population.memos
    weight = np.where(normal.count > 0, expected**-2.0, 0)
    total = np.maximum(weight.sum(axis=-1, keepdims=True), 1e-9)
    found: FloatArray = (weight * _beyond(normal, population)).sum(axis=-1, keepdims=True) / total
    return found


def _beyond(normal: PersonalNormal, population: Population) -> FloatArray:
    """Squared distance of every mean from the population's, minus its expectation, in variances within."""
    expected = 1 / np.maximum(normal.count, 1) + 1 / population.memos
    squares = (normal.mean - population.mean) ** 2 / population.within
    beyond: FloatArray = np.where(normal.count > 0, np.minimum(squares, FARTHEST) - expected, 0)
    return beyond


def stacked(normals: Sequence[PersonalNormal]) -> PersonalNormal:
    """Many baselines as one of shape (memos, features), for `deviations` of a batch."""
    return PersonalNormal(
        np.stack([n.count for n in normals]),
        np.stack([n.mean for n in normals]),
        np.stack([n.variance for n in normals]),
    )
