"""One person's silence, and everybody's."""

import struct

import numpy as np
import pytest

from streams.silence.habit import with_pause
from streams.silence.platform import SCALES_DAYS, Outages, surveyed
from streams.silence.quiet import DAY_S, Quiet

NOW_S = 1.75e9


def person(last_days_ago: float, *pauses: float, key: str = "") -> Quiet:
    stored = b""
    for days in pauses * 20:
        stored = with_pause(stored, days)
    at_s = NOW_S - last_days_ago * DAY_S
    return Quiet(at_s, at_s, 0.0, key, "memo", stored)


def test_one_silent_person_among_many_is_no_outage() -> None:
    survey = surveyed([person(0.5, 1.0)] * 5 + [person(9.0, 1.0)], NOW_S)
    scale = survey.scale_of(4.0)
    assert scale is not None
    assert not survey.fell_silent(scale)
    assert not Outages().seen(survey, NOW_S).last_s[scale]


@pytest.mark.parametrize("others", [0, 1, 50])
def test_when_most_fell_silent_it_is_an_outage(others: int) -> None:
    survey = surveyed([person(2.5, 1.0)] * (others + 1) + [person(0.1, 1.0)] * (others // 3), NOW_S)
    scale = survey.scale_of(4.0)
    assert scale is not None
    assert survey.fell_silent(scale)
    assert Outages().seen(survey, NOW_S).last_s[scale] == NOW_S


def test_an_outage_is_remembered_after_people_are_heard_again() -> None:
    during = Outages().seen(surveyed([person(3.0, 1.0)] * 9, NOW_S), NOW_S)
    later = during.seen(surveyed([person(0.1, 1.0)] * 9, NOW_S), NOW_S + DAY_S)
    assert later == during
    assert max(later.last_s) == NOW_S


def test_weekdays_are_compared_over_three_days_so_a_weekend_is_no_outage() -> None:
    sunday = surveyed([person(2.6, 1.0, 1.0, 1.0, 1.0, 3.0)] * 30, NOW_S)
    scale = sunday.scale_of(5.0)
    assert scale is not None
    assert SCALES_DAYS[scale] >= 3.0
    assert not sunday.fell_silent(scale)


def test_people_who_speak_every_week_say_nothing_about_two_days() -> None:
    weekly = surveyed([person(5.0, 7.0)] * 30, NOW_S)
    assert weekly.comparable[0] == 0
    assert not any(weekly.fell_silent(scale) for scale in range(len(SCALES_DAYS)))
    assert weekly.scale_of(4.0) == next(i for i, days in enumerate(SCALES_DAYS) if days >= 7.1)


def test_people_without_a_habit_or_with_an_open_silence_do_not_count() -> None:
    survey = surveyed([Quiet(), person(50.0, 1.0, key="open")], NOW_S)
    assert not any(survey.comparable)
    assert survey.scale_of(4.0) is None


def test_outages_are_read_as_they_were_written() -> None:
    outages = Outages().seen(surveyed([person(3.0, 1.0)], NOW_S), NOW_S)
    assert Outages.from_bytes(outages.to_bytes()) == outages


@pytest.mark.parametrize("data", [b"", b"\0" * 8, np.full(len(SCALES_DAYS), np.nan).tobytes()])
def test_other_bytes_are_no_outages(data: bytes) -> None:
    with pytest.raises((struct.error, ValueError)):
        Outages.from_bytes(data)
