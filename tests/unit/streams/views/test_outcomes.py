"""What became of memos that are waited for."""

from dataclasses import replace

from schemas import topics
from schemas.codec import Codec
from streams.views.outcomes import Outcomes, memo_of
from tests.unit.schemas.records import DEAD, FEATURES, SCORED, UPLOADED

CODEC = Codec()
MEMO = (SCORED.user_id, SCORED.memo_id)


def test_the_memo_of_a_dead_letter_is_that_of_its_record() -> None:
    for topic, record in ((topics.UPLOADED, UPLOADED), (topics.FEATURES, FEATURES), (topics.SCORED, SCORED)):
        letter = replace(DEAD, topic=topic.name, value=CODEC.encode(record))
        assert memo_of(letter, CODEC) == (record.user_id, record.memo_id)


def test_a_record_that_cannot_be_decoded_names_no_memo() -> None:
    for topic, value in ((topics.UPLOADED.name, b"milk"), (topics.UPLOADED.name, None), ("another", b"milk")):
        assert memo_of(replace(DEAD, topic=topic, value=value), CODEC) is None


def test_memos_are_missing_until_they_have_a_score_or_a_dead_letter() -> None:
    outcomes = Outcomes.of([MEMO, ("u", "2"), ("u", "3")])
    outcomes.add(MEMO, SCORED)
    outcomes.add(("u", "2"), DEAD)
    outcomes.add(("u", "of another submission"), SCORED)
    outcomes.add(None, DEAD)
    assert outcomes.missing == {("u", "3")}
    assert outcomes.found == {MEMO: SCORED, ("u", "2"): DEAD}


def test_a_score_replaces_a_dead_letter_and_never_the_other_way() -> None:
    outcomes = Outcomes.of([MEMO])
    for outcome in (DEAD, SCORED, DEAD):
        outcomes.add(MEMO, outcome)
    assert outcomes.found == {MEMO: SCORED}
