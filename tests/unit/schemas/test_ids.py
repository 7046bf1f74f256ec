from datetime import timedelta, timezone
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import dead_letter_id, derived_id, memo_id, score_id
from tests.unit.schemas.records import AT

words = st.text(max_size=8)


@given(st.lists(words, max_size=4), st.lists(words, max_size=4))
def test_ids_are_the_same_for_the_same_causes_and_no_other(one: list[str], other: list[str]) -> None:
    assert derived_id("kind", *one) == derived_id("kind", *one)
    assert (derived_id("kind", *one) == derived_id("kind", *other)) == (one == other)


def test_causes_that_join_alike_and_kinds_stay_apart() -> None:
    assert derived_id("memo", "ab", "c") != derived_id("memo", "a", "bc")
    assert derived_id("memo", "a") != derived_id("score", "a")
    assert derived_id("memo", "1:a") != derived_id("memo", "", "a")


def test_ids_stay_what_they_were() -> None:
    """Ids outlive processes and releases: a replay next year must name everything as this year did."""
    assert memo_id("user-1", "ab" * 32, AT) == "3e0cfdf8-50f2-5b30-b163-aa1a9987921a"
    assert score_id("user-1", "memo-1", "demo-1") == "9b4e1559-aec1-5cf3-8d49-8e5966989a26"
    assert dead_letter_id("acoustic", "memos.uploaded", 3, 17) == "19f7f135-cf8f-502e-b604-6eb77bbc18a8"


def test_two_users_memos_of_one_id_have_scores_of_different_ids() -> None:
    assert score_id("anna", "1", "demo-1") != score_id("bert", "1", "demo-1")
    assert score_id("a", "bc", "demo-1") != score_id("ab", "c", "demo-1")


def test_ids_are_uuids_of_version_five() -> None:
    assert UUID(memo_id("user-1", "ab" * 32, AT)).version == 5


def test_the_same_memo_is_the_same_wherever_its_clock_stood() -> None:
    there = AT.astimezone(timezone(timedelta(hours=9)))
    assert memo_id("user-1", "ab" * 32, AT) == memo_id("user-1", "ab" * 32, there)
    assert memo_id("user-1", "ab" * 32, AT) == memo_id("user-1", "ab" * 32, AT + timedelta(microseconds=999))
    assert memo_id("user-1", "ab" * 32, AT) != memo_id("user-1", "ab" * 32, AT + timedelta(milliseconds=1))
