"""Personal rates: properties, and the number of words after which planted changes show."""

import math
from itertools import accumulate, count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from workers.text.rates import MEMORY_WORDS, Counted, PopulationRate, deviation_sd, latest, usual_rate

PEOPLE = PopulationRate(0.02, 0.01)

populations = st.builds(PopulationRate, st.floats(1e-3, 0.2), st.floats(1e-4, 0.1))


@st.composite
def counts(draw: st.DrawFn, least: int = 0) -> Counted:
    words = draw(st.integers(least, 5000))
    return Counted(draw(st.integers(0, words)), words)


@given(counts(), populations)
def test_a_usual_rate_is_between_the_population_s_and_the_person_s_own(own: Counted, people: PopulationRate) -> None:
    rate = usual_rate(own, people)
    ends = sorted((people.mean, own.count / own.words if own.words else people.mean))
    assert ends[0] - 1e-12 <= rate.mean <= ends[1] + 1e-12
    assert rate.sd > 0


@given(counts(), populations)
def test_the_posterior_is_the_gamma_distribution_of_the_textbook(own: Counted, people: PopulationRate) -> None:
    shape, inverse_scale = (people.mean / people.sd) ** 2 + own.count, people.mean / people.sd**2 + own.words
    expected = stats.gamma(shape, scale=1 / inverse_scale)
    assert usual_rate(own, people) == pytest.approx((expected.mean(), expected.std()), rel=1e-9)


@settings(max_examples=50)
@given(counts(), populations, st.integers(1, 3000))
def test_the_variance_of_a_deviation_is_that_of_the_posterior_predictive_distribution(
    own: Counted, people: PopulationRate, words: int
) -> None:
    shape, inverse_scale = (people.mean / people.sd) ** 2 + own.count, people.mean / people.sd**2 + own.words
    predicted = stats.nbinom(shape, inverse_scale / (inverse_scale + words))
    one_sd_above = Counted(predicted.mean() + predicted.std(), words)
    assert deviation_sd(one_sd_above, own, people, least_words=1) == pytest.approx(1.0, rel=1e-6)


@given(counts(), counts(least=400), populations)
def test_a_deviation_is_finite_and_grows_with_the_count(own: Counted, recent: Counted, people: PopulationRate) -> None:
    found = deviation_sd(recent, own, people)
    assert math.isfinite(found)
    assert deviation_sd(recent + Counted(1), own, people) > found


@given(counts(), st.integers(0, 399))
def test_too_few_words_are_not_compared(own: Counted, words: int) -> None:
    assert math.isnan(deviation_sd(Counted(0, words), own, PEOPLE))


@given(st.lists(counts(), max_size=60))
def test_a_baseline_forgets_words_and_counts_alike(memos: list[Counted]) -> None:
    baseline = list(accumulate(memos, Counted.then, initial=Counted()))[-1]
    assert 0 <= baseline.count <= baseline.words + 1e-9
    assert baseline.words <= min(MEMORY_WORDS, sum(memo.words for memo in memos)) * (1 + 1e-12)


@given(st.integers(1, 400), st.integers(1, 10))
def test_a_memo_in_parts_is_remembered_as_the_whole_of_its_words(words: int, parts: int) -> None:
    whole = Counted(1000.0, 10000.0).then(Counted(words * 0.1, words))
    baseline = Counted(1000.0, 10000.0)
    for _ in range(parts):
        baseline = baseline.then(Counted(words * 0.1 / parts, words / parts))
    assert (baseline.count, baseline.words) == pytest.approx((whole.count, whole.words))


def test_a_new_rate_replaces_the_old_one_within_the_memory() -> None:
    baseline = Counted(800.0, 10000.0)
    for _ in range(round(2 * MEMORY_WORDS / 140)):
        baseline = baseline.then(Counted(140 * 0.02, 140))
    assert baseline.count / baseline.words == pytest.approx(0.02, abs=0.01)


def test_the_latest_memos_are_as_few_as_have_enough_words() -> None:
    memos = [Counted(1, 300), Counted(2, 150), Counted(3, 0), Counted(4, 250)]
    assert latest(memos) == (memos[:1], Counted(9, 400))
    assert latest(memos, words=250) == (memos[:3], Counted(4, 250))
    assert latest(memos[:1]) == ([], Counted(1, 300))
    assert latest([]) == ([], Counted())


@pytest.mark.parametrize(
    ("before", "after", "expected", "binomial"),
    [(0.010, 0.015, 401, 396), (0.08, 0.09, 802, 736), (0.02, 0.03, 201, 196)],
    ids=["absolutist", "first person", "negative"],
)
def test_a_planted_change_is_one_sd_away_after_about_as_many_words_as_counting_noise_demands(
    before: float, after: float, expected: int, binomial: int
) -> None:
    """A person's rate is well known, and their words change.

    binomial: words until the change is one SD of counting noise alone, before × (1 - before) / (after - before)².
    """
    people, baseline = PopulationRate(before, before / 2), Counted(400_000 * before, 400_000)

    def deviation(count: float, words: int) -> float:
        return deviation_sd(Counted(count, words), baseline, people, least_words=1)

    assert next(words for words in count(1) if deviation(after * words, words) >= 1.0) == expected
    assert round(before * (1 - before) / (after - before) ** 2) == binomial
    assert expected == pytest.approx(binomial, rel=0.1)
    drawn = np.random.default_rng(7).binomial(expected, after, 20_000)
    assert np.mean([deviation(found, expected) for found in drawn.tolist()]) == pytest.approx(1.0, abs=0.03)


def test_chance_alone_moves_a_rate_by_one_sd_on_average() -> None:
    """Persons from the population, of whom few words are known: the uncertainty of their usual rate counts too."""
    random = np.random.default_rng(3)
    shape, scale = (PEOPLE.mean / PEOPLE.sd) ** 2, PEOPLE.sd**2 / PEOPLE.mean
    deviations = []
    for known in (0, 140, 1400):
        for rate in random.gamma(shape, scale, 2000):
            baseline = Counted(float(random.poisson(rate * known)), known)
            deviations.append(deviation_sd(Counted(float(random.poisson(rate * 500)), 500), baseline, PEOPLE))
    assert np.mean(deviations) == pytest.approx(0.0, abs=0.05)
    assert np.std(deviations) == pytest.approx(1.0, abs=0.05)
