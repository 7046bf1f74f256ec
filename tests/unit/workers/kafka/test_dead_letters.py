from datetime import UTC, datetime

import pytest

from schemas.codec import Codec
from schemas.errors import DeadLetterCapReached, Poison
from schemas.events import DeadLetter
from workers.kafka.dead_letters import DeadLetterCap, dead_letter
from workers.kafka.record import Source

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def test_a_dead_letter_has_the_unchanged_record() -> None:
    source = Source("memos.uploaded", 2, 17, b"user", b"\xff\x00", {"traceparent": b"00"})
    found = dead_letter(source, Poison("audio:empty", "the file has no bytes"), "acoustic", NOW)
    assert (found.topic, found.partition, found.offset) == ("memos.uploaded", 2, 17)
    assert (found.key, found.value, found.headers) == (b"user", b"\xff\x00", {"traceparent": b"00"})
    assert (found.reason, found.stage) == ("audio:empty", "acoustic")


def test_a_null_header_is_kept_as_an_empty_one() -> None:
    source = Source("t", 0, 1, None, None, {"null": None, "ce_id": b"1"})  # type: ignore[dict-item]  # as clients give it
    found = dead_letter(source, Poison("r", "d"), "acoustic", NOW)
    assert Codec().decode(Codec().encode(found), DeadLetter).headers == {"null": b"", "ce_id": b"1"}


def test_the_same_record_gives_the_same_id_and_another_stage_another() -> None:
    source, poison = Source("t", 0, 1, None, None), Poison("r", "d")
    first, again = (dead_letter(source, poison, "acoustic", NOW) for _ in range(2))
    other = dead_letter(source, poison, "embedding", NOW)
    assert first.dead_letter_id == again.dead_letter_id != other.dead_letter_id


def test_a_run_of_poison_trips_the_cap() -> None:
    cap = DeadLetterCap(max_share=1.0, window=1000, max_run=3)
    for _ in range(3):
        cap.record(poisoned=True)
    with pytest.raises(DeadLetterCapReached, match="4 records in a row"):
        cap.record(poisoned=True)


def test_a_share_of_poison_trips_the_cap_once_the_window_is_full() -> None:
    cap = DeadLetterCap(max_share=0.25, window=8, max_run=100)
    for poisoned in (True, False, True, False, True, False, True):
        cap.record(poisoned=poisoned)
    with pytest.raises(DeadLetterCapReached, match="4 of the last 8"):
        cap.record(poisoned=False)


def test_one_percent_of_poison_never_trips_the_cap() -> None:
    cap = DeadLetterCap(max_share=0.25, window=100, max_run=20)
    for number in range(10_000):
        cap.record(poisoned=number % 100 == 0)


def test_one_user_alone_never_trips_the_cap() -> None:
    cap = DeadLetterCap(max_share=0.25, window=100, max_run=20)
    for _ in range(1000):
        cap.record(poisoned=True, user="one phone")
    assert cap.share == 1.0


def test_of_one_user_at_most_a_quarter_of_the_cap_counts() -> None:
    cap = DeadLetterCap(max_share=1.0, window=1000, max_run=8)
    for _ in range(50):
        cap.record(poisoned=True, user="one phone")
    for number in range(6):
        cap.record(poisoned=True, user=number)
    with pytest.raises(DeadLetterCapReached, match="57 records in a row"):
        cap.record(poisoned=True, user="one more")


def test_a_user_who_fails_between_others_trips_no_share() -> None:
    cap = DeadLetterCap(max_share=0.25, window=100, max_run=20)
    for number in range(1000):
        cap.record(poisoned=number % 2 == 0, user="one phone" if number % 2 == 0 else number)


def test_a_deployment_that_fails_for_a_few_users_trips_the_cap() -> None:
    cap = DeadLetterCap(max_share=0.25, window=100, max_run=20)
    for number in range(20):
        cap.record(poisoned=True, user=number % 6)
    with pytest.raises(DeadLetterCapReached):
        cap.record(poisoned=True, user=0)
