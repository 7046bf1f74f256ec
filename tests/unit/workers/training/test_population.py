"""The population is estimated as it was planted, and anything that too few people say about it is bounded."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from schemas.events import FloatArray
from tests.unit.workers.scoring.toys import f32
from workers.scoring.personal_baseline import Population, normal_of, strangeness
from workers.training.population import FREEDOM_RANGE, MEMOS_RANGE, MOODS, _trigamma, population_of, with_mood


def test_the_population_is_estimated_as_it_was_planted() -> None:
    rng = np.random.default_rng(3)
    speakers = np.repeat([f"s{n}" for n in range(400)], 10)
    own = np.repeat(rng.normal(5, 2, 400), 10)
    vectors = (own + rng.normal(0, 1, 4000))[:, None].astype(np.float32)
    found = population_of(vectors, speakers)
    assert found.mean[0] == pytest.approx(5, abs=0.3)
    assert found.within[0] == pytest.approx(1, rel=0.1)
    assert found.memos[0] == pytest.approx(1 / 4, rel=0.2)
    assert found.freedom > 20


def test_people_who_differ_in_their_variance_make_it_weigh_little() -> None:
    rng = np.random.default_rng(4)
    speakers = np.repeat([f"s{n}" for n in range(500)], 15)
    sd = np.repeat(1 / np.sqrt(rng.chisquare(6, 500) / 6), 15)
    found = population_of(rng.normal(0, sd)[:, None].astype(np.float32), speakers)
    assert found.freedom == pytest.approx(6, rel=0.35)


def cohort(people: int, memos: int, *, between: float = 1.0, within: float = 1.0, seed: int = 1) -> FloatArray:
    """One feature of this many memos of each of this many people; variances between and within them."""
    rng = np.random.default_rng(seed)
    own = np.repeat(rng.normal(0, np.sqrt(between), people), memos)
    return (own + rng.normal(0, np.sqrt(within), people * memos))[:, None].astype(np.float32)


def names(people: int, memos: int) -> np.ndarray:
    return np.repeat([f"s{number:03d}" for number in range(people)], memos)


@pytest.mark.parametrize(("between", "bound"), [(1e-6, MEMOS_RANGE[1]), (1e4, MEMOS_RANGE[0])])
def test_what_a_population_s_mean_outweighs_is_bounded(between: float, bound: float) -> None:
    found = population_of(cohort(40, 8, between=between), names(40, 8))
    assert found.memos[0] == pytest.approx(bound)


def test_people_weigh_alike_in_the_mean_however_many_memos_they_left() -> None:
    vectors = f32([[0.0]] * 30 + [[10.0], [10.2]])
    speakers = np.array(["a"] * 30 + ["b"] * 2)
    assert population_of(vectors, speakers).mean[0] == pytest.approx(5.05, abs=0.01)


def test_memos_without_a_feature_do_not_count_for_it() -> None:
    whole, speakers = cohort(30, 6), names(30, 6)
    holed = np.concatenate([whole, whole], axis=1)
    holed[::3, 1] = np.nan
    found = population_of(holed, speakers)
    kept = np.isfinite(holed[:, 1])
    alone = population_of(holed[kept, 1:], speakers[kept])
    assert found.mean[1] == alone.mean[0]
    assert found.within[1] == alone.within[0]
    assert found.mean[0] == population_of(whole, speakers).mean[0]


def test_a_speaker_without_any_value_is_nobody_for_that_feature() -> None:
    vectors, speakers = cohort(10, 6), names(10, 6)
    vectors[:6] = np.nan
    found, others = population_of(vectors, speakers), population_of(vectors[6:], speakers[6:])
    assert (found.mean[0], found.within[0], found.memos[0]) == (others.mean[0], others.within[0], others.memos[0])


def test_a_feature_that_nobody_has_and_one_that_never_changes_stay_finite() -> None:
    vectors = np.column_stack([np.full(24, np.nan), np.full(24, 3.0), np.arange(24.0)]).astype(np.float32)
    found = population_of(vectors, names(4, 6))
    for values in (found.mean, found.within, found.memos):
        assert np.isfinite(values).all()
    assert (found.within > 0).all()
    assert (found.memos > 0).all()
    assert found.mean.tolist()[:2] == [0.0, 3.0]


@pytest.mark.parametrize("speakers", [["a"] * 6, list("abcdef")], ids=["one speaker", "one memo each"])
def test_who_cannot_show_what_differs_between_people_leaves_one_memo_its_worth(speakers: list[str]) -> None:
    vectors = f32([[1], [2], [4], [8], [9], [12]])
    found = population_of(vectors, np.array(speakers))
    assert found.memos[0] == 1.0
    assert found.within[0] == pytest.approx(np.var(vectors), rel=1e-5)
    assert found.freedom == 10.0


def test_the_freedom_of_variances_is_bounded() -> None:
    rng = np.random.default_rng(2)
    sd = np.repeat(np.exp(rng.normal(0, 3, 60)), 8)
    assert population_of(rng.normal(0, sd)[:, None].astype(np.float32), names(60, 8)).freedom == FREEDOM_RANGE[0]
    alike = np.tile([-1.0, 1.0], 240)[:, None].astype(np.float32)
    assert population_of(alike, names(60, 8)).freedom == FREEDOM_RANGE[1]


def test_a_mood_explains_nineteen_of_twenty_memos() -> None:
    vectors, speakers = np.concatenate([cohort(60, 10, seed=s) for s in (1, 2, 3)], axis=1), names(60, 10)
    people = with_mood(population_of(vectors, speakers), vectors)
    alone = np.array([strangeness(normal_of(vector[None]), people)[0] for vector in vectors])
    assert np.mean(alone <= people.mood + 1e-6) == pytest.approx(MOODS, abs=2 / len(alone))
    assert people.mood > 0


def test_memos_like_the_population_leave_no_mood() -> None:
    people = Population(f32([0.0]), f32([1.0]), f32([1.0]), freedom=5.0)
    assert with_mood(people, f32([[0.0]] * 20)).mood == 0.0
    assert with_mood(replace(people, mood=9.0), f32([[0.0]] * 20)).mood == 0.0


def test_the_fast_trigamma_is_scipy_s() -> None:
    x = np.linspace(0.5, 100, 200)
    np.testing.assert_array_equal(_trigamma(x), special.polygamma(1, x))
