from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.unit.workers.scoring.toys import f32
from workers.scoring.personal_baseline import (
    PersonalNormal,
    Population,
    deviations,
    normal_of,
    prior_memos,
    stacked,
    updated,
)

PEOPLE = Population(mean=f32([10.0, 0.0]), within=f32([4.0, 1.0]), memos=f32([0.5, 2.0]), freedom=6.0)


def after(vectors: np.ndarray, memory: int = 90) -> PersonalNormal:
    normal = PersonalNormal.empty(vectors.shape[1])
    for vector in vectors:
        normal = updated(normal, vector, memory)
    return normal


@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 40), st.just(3)), elements=st.floats(-100, 100, width=32)))
def test_running_statistics_are_those_of_all_memos(vectors: np.ndarray) -> None:
    normal = after(vectors)
    np.testing.assert_allclose(normal.mean, vectors.mean(axis=0, dtype=float), atol=1e-3)
    np.testing.assert_allclose(normal.variance, vectors.var(axis=0, dtype=float), atol=0.05, rtol=1e-3)
    together = normal_of(vectors)
    np.testing.assert_allclose(together.variance, vectors.var(axis=0, dtype=float), atol=1e-3, rtol=1e-4)
    assert normal.memos == together.memos == len(vectors)


def test_without_memos_a_deviation_is_the_distance_from_the_population_in_its_total_sd() -> None:
    total = np.sqrt(PEOPLE.within * (1 + 1 / PEOPLE.memos))
    vector = f32([13.0, -2.0])
    np.testing.assert_allclose(
        deviations(PersonalNormal.empty(2), PEOPLE, vector), (vector - PEOPLE.mean) / total, rtol=1e-6
    )


def test_with_many_memos_a_deviation_is_the_distance_from_ones_own_mean_in_ones_own_sd() -> None:
    rng = np.random.default_rng(0)
    normal = normal_of(rng.normal([20.0, 5.0], [1.0, 3.0], (5000, 2)).astype(np.float32))
    np.testing.assert_allclose(deviations(normal, PEOPLE, f32([22.0, 8.0])), [2.0, 1.0], atol=0.05)


def test_patience_leans_on_the_population_and_is_as_unsure_as_that_makes_it() -> None:
    patient = replace(PEOPLE, patience=8.0)
    young = normal_of(np.full((1, 2), [12.0, 0.0], np.float32))
    rng = np.random.default_rng(3)
    own = 10 + np.sqrt(4 / 0.5) * rng.normal(size=200_000)
    first, second = own + 2 * rng.normal(size=(2, len(own)))
    weight = 1 / (1 + 8 * 0.5)
    missed = second - (weight * first + (1 - weight) * 10)
    expected = (11 - (10 + weight * 2)) / missed.std()
    assert deviations(young, patient, f32([11.0, 0.0]))[0] == pytest.approx(expected, rel=0.01)
    stranger, long_known = PersonalNormal.empty(2), normal_of(np.full((5000, 2), [12.0, 0.0], np.float32))
    for normal in (stranger, long_known):
        found, plain = (deviations(normal, people, f32([11.0, 1.0])) for people in (patient, PEOPLE))
        np.testing.assert_allclose(found, plain, rtol=0.01)


def test_a_young_baseline_lies_between_population_and_person() -> None:
    vector = f32([12.0, 0.0])
    stranger, known = PersonalNormal.empty(2), normal_of(np.full((30, 2), [12.0, 0.0], np.float32))
    young = normal_of(np.full((1, 2), [12.0, 0.0], np.float32))
    far, near, between = (deviations(n, PEOPLE, vector)[0] for n in (stranger, known, young))
    assert near < between < far
    assert between == pytest.approx((12 - (12 + 0.5 * 10) / 1.5) / np.sqrt(4 * (1 + 1 / 1.5)), rel=1e-5)


def test_someone_from_elsewhere_is_held_against_themselves_from_the_first_memo() -> None:
    one_room = Population(mean=np.zeros(40, np.float32), within=f32([1] * 40), memos=f32([10] * 40), freedom=20.0)
    rng = np.random.default_rng(2)
    here, elsewhere = (rng.normal(0, sd, 40).astype(np.float32) for sd in (0.3, 6.0))
    memos = np.repeat([here, elsewhere], 3, axis=0) + rng.normal(size=(6, 40)).astype(np.float32)
    usual, usual_elsewhere = (normal_of(memos[rows]) for rows in (slice(0, 2), slice(3, 5)))
    assert np.median(prior_memos(usual, one_room)) > 5
    assert prior_memos(usual_elsewhere, one_room).max() < 0.2
    assert np.abs(deviations(usual_elsewhere, one_room, memos[5])).mean() < 1.5
    stranger = deviations(PersonalNormal.empty(40), one_room, memos[5])
    assert np.abs(stranger).mean() > 3
    np.testing.assert_array_equal(prior_memos(PersonalNormal.empty(40), one_room), one_room.memos)


def test_one_odd_feature_does_not_make_a_stranger_but_is_trusted_less() -> None:
    people = Population(mean=np.zeros(40, np.float32), within=f32([1] * 40), memos=f32([2] * 40), freedom=20.0)
    odd = np.zeros((8, 40), np.float32)
    odd[:, 7] = 9.0
    leaning = prior_memos(normal_of(odd), people)
    assert leaning[7] < 0.3 * leaning[6]
    assert leaning[6] > 0.5


def test_what_is_undefined_teaches_nothing_and_deviates_by_nothing() -> None:
    normal = after(f32([[1.0, 5.0], [np.nan, 7.0], [3.0, np.inf]]))
    assert normal.count.tolist() == [2, 2]
    assert normal.mean.tolist() == [2, 6]
    away = deviations(normal, PEOPLE, f32([np.nan, np.inf]))
    assert np.isnan(away).all()


def test_a_long_baseline_follows_slowly() -> None:
    normal = after(np.zeros((200, 1), np.float32), memory=10)
    assert normal.memos == 10
    moved = updated(normal, f32([1.0]), memory=10)
    assert moved.mean[0] == pytest.approx(0.1)


def test_a_batch_gives_what_each_gives_alone() -> None:
    rng = np.random.default_rng(1)
    normals = [normal_of(rng.normal(size=(n, 2)).astype(np.float32)) for n in (1, 2, 9)]
    vectors = rng.normal(size=(3, 2)).astype(np.float32)
    batch = deviations(stacked(normals), PEOPLE, vectors)
    for row, normal, vector in zip(batch, normals, vectors, strict=True):
        np.testing.assert_array_equal(row, deviations(normal, PEOPLE, vector))


def test_most_memos_of_the_population_are_within_its_usual_range() -> None:
    rng = np.random.default_rng(4)
    between = np.sqrt(PEOPLE.within / PEOPLE.memos)
    own = PEOPLE.mean + between * rng.normal(size=(4000, 2))
    memos = own + np.sqrt(PEOPLE.within) * rng.normal(size=own.shape)
    low, high = PEOPLE.usual_range(0.8)
    assert ((memos > low) & (memos < high)).mean() == pytest.approx(0.8, abs=0.02)
