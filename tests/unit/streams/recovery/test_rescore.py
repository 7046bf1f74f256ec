"""Which memos are sent again because their score lacks a modality."""

from dataclasses import replace
from datetime import timedelta

from aiokafka import ConsumerRecord, TopicPartition

from schemas.events import MemoUploaded, RiskScored
from streams.recovery.rescore import Plan, Provisional, plan
from tests.unit.streams.scores import START, scored

HOUR = timedelta(hours=1)
PROCESSED = {TopicPartition("memos.uploaded", 0): 100, TopicPartition("memos.uploaded", 1): 50}


def lacking(memo: str, user: str = "u") -> RiskScored:
    return replace(scored(None, 0, memo=memo), user_id=user, reasons=("quality:noisy", "missing:embedding"))


def found(*scores: tuple[RiskScored, timedelta], until: timedelta = 9 * HOUR) -> set[tuple[str, str]]:
    provisional = Provisional(START + until)
    for score, after in scores:
        provisional.add(score, round((START + after).timestamp() * 1000))
    return provisional.memos()


def upload(memo: str, offset: int, partition: int = 0, user: str = "u") -> tuple[MemoUploaded, ConsumerRecord]:
    event = MemoUploaded(memo, user, START, START, "memory://a")
    return event, ConsumerRecord("memos.uploaded", partition, offset, offset, 0, None, memo.encode(), None, 0, 1, ())


def test_a_memo_lacks_its_score_until_one_without_the_reason_comes_in_whatever_order() -> None:
    full = scored(0.5, 0, memo="m")
    assert found((lacking("m"), HOUR)) == {("u", "m")}
    assert found((lacking("m"), HOUR), (full, 2 * HOUR)) == set()
    assert found((full, HOUR), (lacking("m"), 2 * HOUR)) == set()
    assert found((lacking("m"), HOUR), (full, 20 * HOUR)) == set()


def test_an_abstention_for_another_reason_is_a_score() -> None:
    assert found((scored(None, 0, memo="m"), HOUR)) == set()
    assert found((lacking("m"), HOUR), (scored(None, 0, memo="m"), 2 * HOUR)) == set()


def test_memos_after_the_end_are_left_alone() -> None:
    assert found((lacking("a"), HOUR), (lacking("b"), 9 * HOUR)) == {("u", "a")}


def test_the_same_memo_id_of_another_user_is_another_memo() -> None:
    assert found((lacking("m", "one"), HOUR), (replace(scored(0.5, 0, memo="m"), user_id="two"), HOUR)) == {
        ("one", "m")
    }


def test_the_last_upload_of_each_memo_is_sent_in_the_order_of_the_topic() -> None:
    memos = {("u", "a"), ("u", "b"), ("v", "a")}
    uploads = [upload("b", 9), upload("a", 1), upload("a", 20), upload("a", 4, 1, "v")]
    kept = plan(memos, uploads, PROCESSED)
    assert [(r.partition, r.offset) for r in kept.uploads] == [(1, 4), (0, 9), (0, 20)]
    assert (kept.under_way, kept.gone) == (0, 0)


def test_a_memo_that_a_worker_has_yet_to_process_and_one_without_an_upload_are_counted() -> None:
    memos = {("u", "a"), ("u", "b"), ("u", "c")}
    uploads = [upload("a", 1), upload("a", 100), upload("b", 50, 1)]
    assert plan(memos, uploads, PROCESSED) == Plan((), under_way=2, gone=1)
