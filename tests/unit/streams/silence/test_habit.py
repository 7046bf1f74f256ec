"""Limits of habits: which pauses are usual, and that a budget, few pauses and bursts do what they should."""

from math import inf

import numpy as np
import pytest

from streams.silence.habit import (
    FEWEST,
    KEPT,
    SHORTEST_DAYS,
    days_of,
    limit_days,
    usual_days,
    with_pause,
)


def pauses_of(*days: float) -> bytes:
    stored = b""
    for each in days:
        stored = with_pause(stored, each)
    return stored


DAILY = pauses_of(*[1.0] * 50)
WEEKDAYS = pauses_of(*[1.0, 1.0, 1.0, 1.0, 3.0] * 10)
WEEKLY = pauses_of(*[6.5, 7.0, 7.5] * 15)


def test_pauses_are_kept_to_two_percent_from_half_a_day_to_two_years() -> None:
    given = [0.5, 0.9, 1.0, 3.0, 7.0, 30.0, 400.0]
    assert days_of(pauses_of(*given)) == pytest.approx(given, rel=0.02)
    assert days_of(pauses_of(5000.0)) == pytest.approx([790], rel=0.02)


def test_only_the_last_pauses_are_kept() -> None:
    stored = pauses_of(*[30.0] * KEPT, *[1.0] * KEPT)
    assert days_of(stored) == pytest.approx([1.0] * KEPT)


def test_memos_of_one_session_are_no_pauses() -> None:
    assert pauses_of(1.0, 0.01, 0.3, 1.0) == pauses_of(1.0, 1.0)


def test_few_pauses_are_no_habit() -> None:
    few = pauses_of(*[1.0] * (FEWEST - 1))
    assert limit_days(few, 0.5) == inf
    assert usual_days(few) == inf
    assert limit_days(with_pause(few, 1.0), 0.5) < inf


@pytest.mark.parametrize(
    ("pauses", "usual", "shortest", "longest"),
    [(DAILY, 1.0, SHORTEST_DAYS, 5.0), (WEEKDAYS, 3.0, 6.0, 10.0), (WEEKLY, 7.5, 15.0, 17.0)],
    ids=["daily", "weekdays", "weekly"],
)
def test_each_habit_has_a_limit_of_its_own(pauses: bytes, usual: float, shortest: float, longest: float) -> None:
    assert usual_days(pauses) == pytest.approx(usual, rel=0.02)
    assert shortest * 0.98 <= limit_days(pauses, 0.5) <= longest


def test_the_order_of_pauses_does_not_matter() -> None:
    assert limit_days(WEEKDAYS[::-1], 0.5) == limit_days(WEEKDAYS, 0.5)


def test_a_smaller_budget_and_fewer_pauses_need_a_longer_silence() -> None:
    irregular = pauses_of(*np.random.default_rng(1).exponential(2.0, KEPT))
    assert limit_days(irregular, 0.1) > limit_days(irregular, 0.5) > limit_days(irregular, 2.0)
    assert limit_days(pauses_of(*[1.0, 2.0] * 5), 0.5) > limit_days(pauses_of(*[1.0, 2.0] * 40), 0.5)


def test_a_budget_of_zero_raises_nothing() -> None:
    assert limit_days(DAILY, 0.0) == inf


def test_irregular_people_are_raised_about_as_often_as_the_budget_says() -> None:
    rng = np.random.default_rng(7)
    false, years, budget = 0, 0.0, 1.0
    for _ in range(60):
        pauses = b""
        for days in rng.exponential(4.0, 250):
            if len(pauses) >= KEPT // 2:
                false += days > limit_days(pauses, budget)
                years += days / 365.25
            pauses = with_pause(pauses, float(days))
    assert 0.2 * budget < false / years < budget
