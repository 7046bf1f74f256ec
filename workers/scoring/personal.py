"""What is normal for one person: running mean and variance of every feature, shrunk to the population. Pure.

A young baseline knows little, so it leans on the population, and leans less with every memo. With no memo at all a
deviation is the distance from the population's mean in its total standard deviation; with many it is the distance from
the person's own mean in their own. Everything is element by element: shapes may be (features,) or (memos, features).
Source of the model: the normal one-way random-effects model with conjugate priors (Gelman et al., Bayesian Data
Analysis, chapters 3 and 5); the strength of the priors is estimated from the training population (empirical Bayes).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from schemas.events import FloatArray

MEMORY = 90
"""Memos that a baseline remembers: past so many it follows slowly, as an exponential average does."""


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """The training population, per feature.

    mean: of all memos; within: variance of one person's memos; memos: how many memos of their own it takes to outweigh
    the population's mean (variance within over variance between people); freedom: how many degrees of freedom the
    population's variance within weighs. mean, within, memos: (features,) float32, within and memos above 0.
    """

    mean: FloatArray
    within: FloatArray
    memos: FloatArray
    freedom: float


@dataclass(frozen=True, slots=True, eq=False)
class PersonalNormal:
    """One person's memos so far, per feature: how many (at most MEMORY), their mean and mean squared deviation."""

    count: FloatArray
    mean: FloatArray
    variance: FloatArray

    @classmethod
    def empty(cls, features: int) -> "PersonalNormal":
        """Nothing known yet."""
        return cls(*np.zeros((3, features), np.float32))

    @property
    def memos(self) -> int:
        """Memos behind the best-known feature."""
        return int(self.count.max(initial=0))


def updated(normal: PersonalNormal, vector: FloatArray, memory: int = MEMORY) -> PersonalNormal:
    """The normal after one more memo. Features that are NaN or infinite in `vector` stay as they were.

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
    """The normal after at most MEMORY memos, in any order. vectors: (memos, features), NaN where undefined."""
    known = np.isfinite(vectors)
    count = known.sum(axis=0)
    filled = np.where(known, vectors, 0).astype(np.float64)
    mean = filled.sum(axis=0) / np.maximum(count, 1)
    variance = (np.where(known, filled - mean, 0) ** 2).sum(axis=0) / np.maximum(count, 1)
    return PersonalNormal(count.astype(np.float32), mean.astype(np.float32), variance.astype(np.float32))


def deviations(normal: PersonalNormal, population: Population, vector: FloatArray) -> FloatArray:
    """How far a memo lies from what was to be expected of this person, in standard deviations of that expectation.

    NaN where `vector` is. The expectation is the posterior predictive one: it is wider the less is known.
    """
    weight = normal.count + population.memos
    mean = (normal.count * normal.mean + population.memos * population.mean) / weight
    squares = normal.count * normal.variance + population.freedom * population.within
    variance = squares / (np.maximum(normal.count - 1, 0) + population.freedom) * (1 + 1 / weight)
    finite = np.where(np.isfinite(vector), vector, np.nan)
    away: FloatArray = ((finite - mean) / np.sqrt(variance)).astype(np.float32)
    return away


def stacked(normals: Sequence[PersonalNormal]) -> PersonalNormal:
    """Many normals as one of shape (memos, features), for `deviations` of a batch."""
    return PersonalNormal(
        np.stack([n.count for n in normals]),
        np.stack([n.mean for n in normals]),
        np.stack([n.variance for n in normals]),
    )
