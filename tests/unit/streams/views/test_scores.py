"""Scores as a person reads them."""

from dataclasses import replace
from datetime import timedelta

from schemas.events import Band, Evidence
from streams.views.scores import evidence_text, latest_of_memos, probability_text, sentence
from tests.unit.schemas.records import SCORED
from tests.unit.streams.scores import daily


def test_a_memo_is_shown_once_by_its_last_score_and_the_last_scored_comes_first() -> None:
    first, second = daily([0.0, 1.0])
    revised = replace(first, score_id="revised", scored_at=first.scored_at + timedelta(days=9))
    assert latest_of_memos([first, second, second, revised]) == [revised, second]


def test_two_users_may_use_the_same_memo_id() -> None:
    assert len(latest_of_memos([SCORED, replace(SCORED, user_id="another")])) == 2


def test_a_line_says_what_a_person_asks_first() -> None:
    evidence = (
        Evidence("jitter", 0.02, 2.14, contribution=0.318),
        Evidence("pause_share", 0.4, -1.06),
        Evidence("shimmer", 0.1, 1.0),
    )
    score = replace(SCORED, probability=0.314, band=Band.INDETERMINATE, reasons=("undecided",), evidence=evidence)
    assert sentence(score) == (
        "2026-03-01 12:30 user=user-1 indeterminate (undecided) probability=0.31, "
        "jitter +0.32 (+2.1 SD), pause_share -1.1 SD"
    )
    assert probability_text(replace(score, probability=None)) == "-"
    assert evidence_text(replace(score, evidence=())) == ""
