"""What each memo contributes to a plot."""

import json
from dataclasses import replace

import pytest

from schemas.events import Band
from streams.drift.replay import parse
from streams.views.marks import Judged, judged_of, latest_marks, mark_of, mark_of_letter, mark_of_line, silence_sentence
from tests.unit.schemas.records import DEAD, UPLOADED
from tests.unit.streams.scores import daily, scored


@pytest.mark.parametrize(
    ("band", "probability", "reasons", "judged"),
    [
        (Band.LOW, 0.2, (), Judged.SCORED),
        (Band.HIGH, 0.8, (), Judged.SCORED),
        (Band.INDETERMINATE, 0.5, ("undecided",), Judged.UNDECIDED),
        (Band.INDETERMINATE, 0.5, (), Judged.UNDECIDED),
        (Band.INDETERMINATE, 0.5, ("undecided", "quality:noisy"), Judged.UNUSABLE),
        (Band.INDETERMINATE, None, ("features:undefined",), Judged.UNUSABLE),
        (Band.INDETERMINATE, None, ("missing:embedding",), Judged.INCOMPLETE),
        (Band.INDETERMINATE, None, ("of a newer version",), Judged.UNUSABLE),
        (Band.LOW, None, (), Judged.UNDECIDED),
    ],
)
def test_a_memo_is_judged_or_says_why_not(
    band: Band, probability: float | None, reasons: tuple[str, ...], judged: Judged
) -> None:
    assert judged_of(band, probability, reasons) is judged


def test_a_line_of_json_may_have_reasons() -> None:
    fields = {"user_id": "u", "memo_id": "m", "recorded_at": "2026-05-01T08:30:00Z", "probability": None}
    for given, reasons in (({}, ()), ({"reasons": ["quality:noisy"]}, ("quality:noisy",)), ({"reasons": None}, ())):
        text = json.dumps({**fields, "band": "indeterminate", **given})
        mark = mark_of_line(text, parse(text))
        assert (mark.memo_id, mark.reasons) == ("m", reasons)
        assert mark.judged is (Judged.UNUSABLE if reasons else Judged.UNDECIDED)


def test_a_dead_letter_is_a_memo_without_a_score() -> None:
    mark = mark_of_letter(UPLOADED, DEAD)
    assert (mark.memo_id, mark.probability, mark.judged) == (UPLOADED.memo_id, None, Judged.FAILED)
    assert mark.reasons == (DEAD.reason,)


def test_of_each_memo_the_last_mark_counts_in_the_order_of_recording() -> None:
    late, early = mark_of(scored(0.0, 5, memo="late")), mark_of(scored(None, 1, memo="early"))
    revised = mark_of(scored(1.0, 1, memo="early"))
    assert latest_marks([late, early, revised]) == [revised, late]


def test_the_sentence_counts_what_was_not_judged() -> None:
    scores = [*daily([0.0]), *daily([None] * 54, first_day=1)]
    assert silence_sentence([mark_of(score) for score in scores]) == (
        "54 of 55 memos were not judged, most of them (54) for: quality:noise"
    )
    bare = [mark_of(replace(score, reasons=())) for score in scores]
    assert silence_sentence(bare).endswith("for: undecided")
    assert silence_sentence([mark_of(scores[0])]) == ""
