"""Markers along the time: which are shown first, and in which words."""

from dataclasses import replace

import pytest

from schemas.events import Evidence
from streams.web.person.evidence import marker_series
from streams.web.person.timeline import Memo, timeline
from tests.unit.streams.scores import RULES, START, daily


def memos(*evidence: tuple[Evidence, ...]) -> tuple[Memo, ...]:
    scores = [
        replace(score, evidence=each) for score, each in zip(daily([-1.0] * len(evidence)), evidence, strict=True)
    ]
    return timeline(scores, RULES, None, START.replace(year=2027)).memos


PAUSES = Evidence("pause_share", 0.4, 2.4, contribution=0.8)
SPEECH = Evidence("voiced_rate", 2.0, -1.6, contribution=0.3)
NOISE = Evidence("hnr", 9.0, -4.0, fragile=True, contribution=2.0)


def test_the_marker_that_moves_the_score_most_is_first_and_fragile_ones_last() -> None:
    found = marker_series(memos((PAUSES, SPEECH, NOISE), (PAUSES, SPEECH, NOISE)))
    assert [series.name for series in found] == ["pause_share", "voiced_rate", "hnr"]
    assert [series.fragile for series in found] == [False, False, True]
    assert [series.title for series in found] == ["pause share", "rate of speech", "clearness of voice"]
    assert [len(series.points) for series in found] == [2, 2, 2]


def test_words_are_of_the_last_days_alone() -> None:
    calm = replace(PAUSES, deviation_sd=0.1)
    (series,) = marker_series(memos(*[(calm,)] * 10, (PAUSES,)))
    assert series.lately == 7
    assert series.lately_sd == pytest.approx((6 * 0.1 + 2.4) / 7)
    (old, *_) = [s for s in marker_series(memos((NOISE,), *[(PAUSES,)] * 9)) if s.name == "hnr"]
    assert (old.lately, old.lately_sd, old.words) == (0, None, "not among the strongest lately")


def test_a_marker_of_a_newer_bundle_has_its_name_and_plain_words() -> None:
    (series,) = marker_series(memos((Evidence("new_marker", 1.0, 3.0),)))
    assert (series.title, series.words, series.lately_contribution) == ("new marker", "more than usual", None)


def test_nobody_has_no_markers() -> None:
    assert marker_series(()) == ()
