"""A person's usual rate of a kind of word, and how far their latest words are from it: Gamma-Poisson. Pure.

Counts of one person are Poisson with a rate for each word that differs between people as a Gamma distribution does, so
the posterior of a rate is a Gamma distribution too (Gelman et al., Bayesian Data Analysis, chapter 2, "Poisson model
parameterized in terms of rate and exposure"). A word is of a kind or not, which is binomial: for rates up to 10 % the
Poisson variance is larger by at most a ninth, so deviations are a little too small rather than too large.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

MEMORY_WORDS = 90 * 140.0
"""Words that a baseline remembers: about as many as 90 memos of a minute, the memory of the baseline of markers."""
LEAST_WORDS = 400.0
"""Fewer words are not compared: among 400, absolutist words at 1.5 % instead of 1.0 % are one SD of chance away."""


@dataclass(frozen=True, slots=True)
class PopulationRate:
    """A rate for each word in the population. mean: over people; sd: between people; both above 0."""

    mean: float
    sd: float

    @property
    def words(self) -> float:
        """Own words that weigh as much as the population."""
        return self.mean / self.sd**2


@dataclass(frozen=True, slots=True)
class Counted:
    """Words of one kind, and all words that they are among."""

    count: float = 0.0
    words: float = 0.0

    def __add__(self, other: "Counted") -> "Counted":
        return Counted(self.count + other.count, self.words + other.words)

    def then(self, memo: "Counted", memory_words: float = MEMORY_WORDS) -> "Counted":
        """With one more memo: each word fades as `memory_words` others come after it, within a memo too, to 1/e.

        So a sum never holds more than `memory_words`, and a memo in parts is remembered as the whole.
        """
        kept = math.exp(-memo.words / memory_words)
        weight = (1 - kept) * memory_words / memo.words if memo.words else 1.0
        return Counted(self.count * kept + memo.count * weight, self.words * kept + memo.words * weight)


class Rate(NamedTuple):
    """What is known of a person's rate for each word: posterior mean and standard deviation."""

    mean: float
    sd: float


def usual_rate(baseline: Counted, population: PopulationRate) -> Rate:
    """The posterior of a person's rate; without words the population's.

    >>> usual_rate(Counted(), PopulationRate(0.08, 0.02))
    Rate(mean=0.08, sd=0.02)
    """
    words = population.words + baseline.words
    mean = (population.mean * population.words + baseline.count) / words
    return Rate(mean, math.sqrt(mean / words))


def latest(memos: Sequence[Counted], words: float = LEAST_WORDS) -> tuple[Sequence[Counted], Counted]:
    """The memos before the latest ones, and the sum of those: as few as have the given number of words.

    memos: oldest first. All of them where they have fewer.
    """
    total, first = Counted(), len(memos)
    while first > 0 and total.words < words:
        first -= 1
        total += memos[first]
    return memos[:first], total


def deviation_sd(
    recent: Counted, baseline: Counted, population: PopulationRate, least_words: float = LEAST_WORDS
) -> float:
    """How far the latest words are from a person's usual rate, in SDs of what chance alone does; NaN for too few words.

    recent: of memos that are not in `baseline`. The variance is that of a rate counted over as many words at the usual
    rate, plus that of the usual rate itself: that of the posterior predictive distribution, a negative binomial one.
    """
    if recent.words < least_words or recent.words <= 0:
        return math.nan
    usual = usual_rate(baseline, population)
    return (recent.count / recent.words - usual.mean) / math.sqrt(usual.mean / recent.words + usual.sd**2)
