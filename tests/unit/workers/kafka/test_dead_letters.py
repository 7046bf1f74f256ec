from datetime import UTC, datetime
from hashlib import sha256

import pytest

from schemas.codec import Codec
from schemas.errors import DeadLetterCapReached, Poison
from schemas.events import DeadLetter
from schemas.headers import headers_of
from schemas.sealed_frame import build
from schemas.topics import DEAD
from schemas.trimmed_letters import HEADERS_MOST_BYTES, KEY_MOST, VALUE_BYTES, VALUE_MOST, VALUE_SHA256, kafka_key
from workers.kafka.dead_letters import DeadLetterCap, dead_letter
from workers.kafka.record import Source, Unread

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


HOSTILE: dict[str, Source] = {
    "a large value": Source("memos.uploaded", 0, 1, b"k", bytes(9_000_000)),
    "a large key": Source("memos.uploaded", 0, 1, bytes(3_000_000), b"v"),
    "many headers": Source("memos.uploaded", 0, 1, b"k", b"v", {f"h{n}": b"x" for n in range(10_000)}),
    "large headers": Source("memos.uploaded", 0, 1, b"k", b"v", {f"h{n}": bytes(300_000) for n in range(3)}),
    "a header that is no text": Source("memos.uploaded", 0, 1, b"k", b"v", {"\udcff": b"x", "\x1b\n": b"y"}),
    "a long tracestate": Source("memos.uploaded", 0, 1, b"k", b"v", {"tracestate": bytes(900_000)}),
    "all that the topic takes": Source(
        "memos.uploaded", 0, 1, bytes(KEY_MOST), bytes(VALUE_MOST), {"x": bytes(HEADERS_MOST_BYTES - 1)}
    ),
    "an unread value": Source("memos.uploaded", 0, 1, b"k", Unread.too_large(bytes(100), 10)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_dead_letter_fits_its_topic_whatever_the_record(name: str) -> None:
    source = HOSTILE[name]
    found = dead_letter(source, Poison("event:undecodable", "d\n" * 10_000), "acoustic", NOW)
    encoded = Codec().encode(found)
    headers = headers_of(found, "acoustic", source.headers)
    key = kafka_key(source.key)
    assert len(encoded) + len(key or b"") + sum(len(n) + len(v) for n, v in headers) + 1024 < DEAD.max_bytes
    assert Codec().decode(encoded, DeadLetter) == found
    assert found.detail.isprintable()
    if len(source.value or b"") > VALUE_MOST:
        assert found.value is None
        assert found.headers[VALUE_SHA256].decode() == sha256(source.value or b"").hexdigest()
        assert int(found.headers[VALUE_BYTES]) == len(source.value or b"")


def test_a_value_that_was_not_read_is_known_by_its_digest_and_size() -> None:
    found = dead_letter(HOSTILE["an unread value"], Poison("event:too_large", "d"), "acoustic", NOW)
    assert found.value is None
    assert found.headers == {VALUE_SHA256: sha256(bytes(100)).hexdigest().encode(), VALUE_BYTES: b"100"}


def test_a_sealed_value_that_did_not_open_is_kept_as_it_is() -> None:
    """Nothing else is left of it once its topic has dropped it, and it says nothing of anybody."""
    value = build(bytes(16), 300, bytes(12), bytes(40))
    unread = Unread.because("record:forged", "d", value)
    found = dead_letter(Source("t", 0, 1, None, unread), Poison("record:forged", "d"), "acoustic", NOW)
    assert found.value == value
    assert VALUE_SHA256 not in found.headers


def test_a_reason_is_a_code_whatever_raised_it() -> None:
    assert dead_letter(Source("t", 0, 1, None, None), Poison("defect:Ünknown\n" + "x" * 200, "d"), "s", NOW).reason == (
        "defect:?nknown?" + "x" * 113
    )
    assert dead_letter(Source("t", 0, 1, None, None), Poison("", "d"), "s", NOW).reason == "unknown"


@pytest.mark.parametrize("character", ["d", "\n", "\U0001f600", "\U000e0001"])
def test_a_detail_of_any_characters_is_within_its_limit(character: str) -> None:
    found = dead_letter(Source("t", 0, 1, None, None), Poison("r", character * 10_000), "s", NOW)
    assert Codec().decode(Codec().encode(found), DeadLetter) == found


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
