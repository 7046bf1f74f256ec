"""What one person's speaking leaves behind, with wrong clocks, repetitions and old recordings."""

import struct
from math import inf

import pytest

from streams.silence.habit import days_of, limit_days
from streams.silence.quiet import DAY_S, Quiet, due_s, heard, opened

START_S, BUDGET, COOLDOWN_S = 1.75e9, 0.5, 7 * DAY_S


def said(quiet: Quiet, day: float, uploaded_s: float | None = None, memo: str | None = None) -> Quiet:
    at_s = START_S + day * DAY_S
    name = f"memo-{day}" if memo is None else memo
    return heard(quiet, name, at_s if uploaded_s is None else uploaded_s, at_s, BUDGET, COOLDOWN_S)


def daily(days: int = 30) -> Quiet:
    quiet = Quiet()
    for day in range(days):
        quiet = said(quiet, day)
    return quiet


def test_silence_is_due_after_the_limit_of_the_habit() -> None:
    quiet = daily()
    assert due_s(quiet, BUDGET) == START_S + 29 * DAY_S + DAY_S * limit_days(quiet.pauses, BUDGET)
    assert due_s(daily(5), BUDGET) == inf


def test_a_repeated_record_changes_nothing() -> None:
    quiet = daily()
    for day in (29, 3, 0):
        assert said(quiet, day) is quiet


def test_a_memo_uploaded_long_ago_that_arrives_again_postpones_the_silence_and_nothing_else() -> None:
    quiet = daily()
    again = said(quiet, 31.0, uploaded_s=START_S)
    assert again == quiet._replace(arrived_s=START_S + 31 * DAY_S)


def test_an_archive_that_is_uploaded_at_once_is_no_habit() -> None:
    quiet = Quiet()
    for number in range(100):
        quiet = said(quiet, number * 1e-4)
    assert quiet.pauses == b""
    assert due_s(quiet, BUDGET) == inf


def test_the_uploaders_clock_is_bounded_by_the_arrival_and_ignored_where_it_was_never_set() -> None:
    assert said(Quiet(), 1, uploaded_s=START_S + 900 * DAY_S).heard_s == START_S + DAY_S
    assert said(Quiet(), 1, uploaded_s=12.0).heard_s == START_S + DAY_S


def test_the_next_memo_ends_an_episode_and_the_silence_is_learnt_as_its_limit() -> None:
    quiet = daily()
    silent, limit = opened(quiet, "someone"), limit_days(quiet.pauses, BUDGET)
    back = said(silent, 80)
    assert silent.key
    assert back.key == ""
    assert days_of(back.pauses)[-1] == pytest.approx(limit, rel=0.02)
    assert back.rests_until_s == START_S + 80 * DAY_S + COOLDOWN_S


def test_the_state_after_a_memo_is_the_same_whether_its_silence_was_raised_or_not() -> None:
    quiet = daily()
    assert said(opened(quiet, "someone"), 80) == said(quiet, 80)


def test_an_episode_has_the_key_of_its_last_memo() -> None:
    assert opened(daily(), "someone").key == opened(daily(), "someone").key
    assert opened(daily(), "someone").key != opened(daily(31), "someone").key != opened(daily(31), "other").key


@pytest.mark.parametrize("quiet", [Quiet(), daily(), opened(said(daily(), 30, memo="ä" * 128), "someone")])
def test_states_are_read_as_they_were_written(quiet: Quiet) -> None:
    assert Quiet.from_bytes(quiet.to_bytes()) == quiet


@pytest.mark.parametrize("data", [b"\0", daily().to_bytes()[:-1], daily().to_bytes() + b"\0", b"\xff" * 60])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises((struct.error, ValueError)):
        Quiet.from_bytes(data)


def test_times_of_a_clock_that_was_ahead_are_brought_back() -> None:
    quiet = daily()._replace(rests_until_s=START_S + 900 * DAY_S)
    limit_s = START_S + 10 * DAY_S
    assert quiet.until(limit_s, COOLDOWN_S) == quiet._replace(
        heard_s=limit_s, arrived_s=limit_s, rests_until_s=limit_s + COOLDOWN_S
    )
    assert daily().until(START_S + 40 * DAY_S, COOLDOWN_S) == daily()
