"""The last memos of a user: in order, few, and the same bytes however they came."""

import struct
from contextlib import suppress
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Band, Evidence
from schemas.markers import MARKER_NAMES
from streams.reasons.recent_memos import (
    LONGEST_NAME,
    MARKERS_A_MEMO,
    MEMOS,
    NONE,
    Memo,
    recent_memos,
    sound,
    until,
    with_memo,
)

PAUSES = Evidence("pause_share", 0.5, 2.25, fragile=False, contribution=0.125, usual=0.25)


def memo(at_s: float, band: Band = Band.LOW, evidence: tuple[Evidence, ...] = (PAUSES,)) -> Memo:
    return Memo(at_s, None if band is Band.INDETERMINATE else 0.3, band, evidence)


def of(memos: list[Memo]) -> bytes:
    recent = NONE
    for each in memos:
        recent = with_memo(recent, each)
    return recent


def test_memos_come_back_as_they_went_in() -> None:
    every = [
        memo(1.0),
        memo(2.0, Band.INDETERMINATE, ()),
        memo(3.25, Band.HIGH, (replace(PAUSES, name="a.marker", fragile=True), replace(PAUSES, usual=None))),
        memo(4.0, evidence=(Evidence("hnr", -3.5, -1.5),)),
        *(memo(5.0 + number, evidence=(replace(PAUSES, name=name),)) for number, name in enumerate(MARKER_NAMES[:5])),
    ]
    assert recent_memos(of(every)) == every
    assert recent_memos(NONE) == []


def test_only_the_last_ones_are_kept() -> None:
    every = [memo(float(at)) for at in range(MEMOS + 3)]
    assert recent_memos(of(every)) == every[3:]
    early = with_memo(of(every), memo(0.5))
    assert early == of(every)


def test_the_order_of_arrival_does_not_matter() -> None:
    every = [memo(1.0), memo(2.0, evidence=()), memo(2.0, Band.HIGH), memo(3.0)]
    assert {of(list(order)) for order in permutations(every)} == {of(every)}


def test_a_score_takes_the_place_of_the_abstention_before_it() -> None:
    revised = [memo(2.0, Band.INDETERMINATE, ()), memo(3.0), memo(2.0)]
    for order in permutations(revised):
        assert recent_memos(of(list(order))) == [memo(2.0), memo(3.0)]


def test_times_after_a_limit_are_dropped() -> None:
    recent = of([memo(1.0), memo(2.0), memo(3.0)])
    assert recent_memos(until(recent, 2.0)) == [memo(1.0), memo(2.0)]
    assert until(recent, 3.0) is recent
    assert until(recent, 0.0) == NONE == until(NONE, 5.0)


def test_what_is_too_much_is_left_out() -> None:
    huge = Evidence("jitter", 1e39, -1e39, contribution=1e39, usual=-1e39)
    long = replace(PAUSES, name="x" * (LONGEST_NAME + 1))
    (kept,) = recent_memos(of([memo(1.0, evidence=(huge, long, PAUSES))]))
    assert [each.name for each in kept.evidence] == ["jitter", "pause_share"]
    assert kept.evidence[0].value == pytest.approx(3.4e38)
    (few,) = recent_memos(of([memo(1.0, evidence=(PAUSES,) * 64)]))
    assert len(few.evidence) == MARKERS_A_MEMO


def test_the_largest_state_is_small() -> None:
    named = tuple(replace(PAUSES, name=f"{number}" * LONGEST_NAME) for number in range(9))
    assert len(of([memo(float(at), evidence=named) for at in range(20)])) < 4200
    usual = tuple(replace(PAUSES, name=name) for name in MARKER_NAMES[:5])
    assert len(of([memo(float(at), evidence=usual) for at in range(20)])) == 9 + MEMOS * (19 + 5 * 17)


@given(st.binary(max_size=300))
def test_other_bytes_are_refused_and_never_harm(data: bytes) -> None:
    with suppress(ValueError, struct.error, IndexError):
        assert len(recent_memos(sound(data))) <= MEMOS
