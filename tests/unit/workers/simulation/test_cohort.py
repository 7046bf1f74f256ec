"""A cohort is the same every time, holds the courses it promises, and is heard as it was scripted."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from schemas.settings import Settings
from workers.audio.decode import Decoded
from workers.audio.memo import SAMPLING_RATE
from workers.audio.quality import Thresholds, assess
from workers.simulation.cohort import Course, ScriptedUser, cohort, severity_at, sound_of, voice_at
from workers.simulation.source_filter import Voice

START = datetime(2026, 1, 5, tzinfo=UTC)
COHORT = cohort(7, 6, 35, START)


def of(course: Course) -> list[ScriptedUser]:
    return [user for user in COHORT if user.course is course]


def mean_severity(user: ScriptedUser, first_day: int, last_day: int) -> float:
    first, last = START + timedelta(days=first_day), START + timedelta(days=last_day)
    return float(np.mean([memo.severity for memo in user.memos if first <= memo.recorded_at < last]))


def test_two_get_worse_one_of_them_recovers_the_others_stay() -> None:
    assert [len(of(course)) for course in Course] == [4, 1, 1]
    for user in of(Course.STABLE):
        assert max(memo.severity for memo in user.memos) < 0.4
    worse, recovered = of(Course.WORSENS)[0], of(Course.RECOVERS)[0]
    assert mean_severity(worse, 0, 14) < 0.25 < 0.6 < mean_severity(worse, 24, 35)
    assert mean_severity(recovered, 17, 22) > 0.6
    assert mean_severity(recovered, 30, 35) < 0.25


def test_everyone_speaks_once_a_day_in_order() -> None:
    for user in COHORT:
        days = [(memo.recorded_at - START).days for memo in user.memos]
        assert days == list(range(35))
        assert all(8.0 <= memo.seconds <= 14.0 for memo in user.memos)


def test_more_memos_a_day_are_spread_over_it() -> None:
    memos = cohort(7, 6, 28, START, memos_per_day=3.0)[0].memos
    times = [memo.recorded_at for memo in memos]
    assert len(memos) == 84
    assert times == sorted(set(times))
    assert times[-1] < START + timedelta(days=28)


def test_a_cohort_is_its_seed_and_a_user_does_not_depend_on_the_others() -> None:
    assert cohort(7, 6, 35, START) == COHORT
    assert cohort(7, 9, 35, START)[:6] == COHORT
    assert cohort(8, 6, 35, START) != COHORT
    (one, truth), (other, again) = (sound_of(COHORT[0], COHORT[0].memos[0]) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(truth.f0_hz, again.f0_hz)


@pytest.mark.parametrize(("users", "days"), [(5, 35), (6, 27)])
def test_too_small_a_cohort_is_refused(users: int, days: int) -> None:
    with pytest.raises(ValueError, match="at least 6 users and 28 days"):
        cohort(0, users, days, START)


def test_severity_moves_the_voice_the_way_it_says() -> None:
    for user in COHORT:
        calm, heavy = (
            [voice_at(user.voice, severity, np.random.default_rng(seed)) for seed in range(20)]
            for severity in (0.1, 0.8)
        )
        lower = {
            field.name
            for field in fields(Voice)
            if np.mean([getattr(v, field.name) for v in heavy]) < np.mean([getattr(v, field.name) for v in calm]) - 1e-9
        }
        assert lower == {"f0_hz", "f0_range_st", "level_db", "syllables_per_s", "hnr_db", "level_sd_db"}


@pytest.mark.parametrize("course", Course)
def test_courses_start_low(course: Course) -> None:
    assert severity_at(course, 0.0) == pytest.approx(0.1, abs=0.01)


def test_scripted_memos_pass_the_quality_gate() -> None:
    thresholds = Thresholds.of(Settings())
    for user in COHORT:
        for memo in user.memos[::17]:
            signal, _ = sound_of(user, memo)
            assert len(signal) == round(memo.seconds * SAMPLING_RATE)
            assert assess(Decoded(signal, 0.0, SAMPLING_RATE), thresholds).reasons == ()
