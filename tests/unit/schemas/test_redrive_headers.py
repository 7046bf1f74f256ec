import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from schemas.events import DeadLetter
from schemas.redrive_headers import (
    HISTORY,
    HISTORY_MOST,
    REDRIVES,
    REVISION,
    history_of,
    redriven_headers,
    redrives_of,
    rescored_headers,
    revision_of,
)

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
LETTER = DeadLetter(
    "id-1", "acoustic", "memos.uploaded", 2, 17, b"user", b"\xff", {"ce_id": b"1"}, "audio:missing", "not there", NOW
)


def test_a_record_that_is_sent_back_keeps_its_headers_and_tells_of_its_failure() -> None:
    headers = dict(redriven_headers(LETTER, 1))
    assert headers["ce_id"] == b"1"
    assert redrives_of(headers) == 1
    (failure,) = history_of(headers)
    assert (failure.stage, failure.reason, failure.dead_letter_id) == ("acoustic", "audio:missing", "id-1")
    assert (failure.topic, failure.partition, failure.offset) == ("memos.uploaded", 2, 17)
    assert datetime.fromisoformat(failure.at) == NOW


def test_nothing_of_an_earlier_history_is_lost() -> None:
    letter = LETTER
    for attempt in range(1, 6):
        headers = dict(redriven_headers(letter, attempt))
        letter = replace(letter, dead_letter_id=f"id-{attempt + 1}", offset=17 + attempt, headers=headers)
    assert [failure.dead_letter_id for failure in history_of(letter.headers)] == [f"id-{n}" for n in range(1, 6)]
    assert [failure.offset for failure in history_of(letter.headers)] == [17, 18, 19, 20, 21]
    assert redrives_of(letter.headers) == 5


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"many",
        b"-3",
        b"\xff",
        b"99999999999999999999",
        b"9" * 100_000,
        b"1001",
        b" 1",
        b"1_0",
        b"\xd9\xa3",
        b"1\n",
    ],
)
def test_a_count_that_is_none_of_ours_is_none(value: bytes) -> None:
    assert redrives_of({REDRIVES: value}) == 0


def failure(**changes: object) -> bytes:
    entry = {"dead_letter_id": "i", "stage": "s", "reason": "r", "topic": "t", "partition": 0, "offset": 1, "at": "now"}
    return json.dumps([{**entry, **changes}]).encode()


def test_a_history_ends_with_the_newest_failures_and_stays_readable() -> None:
    letter = LETTER
    for attempt in range(1, HISTORY_MOST + 10):
        headers = dict(redriven_headers(letter, attempt))
        letter = replace(letter, dead_letter_id=f"{attempt:0128}", reason="r" * 128, headers=headers)
    history = history_of(dict(redriven_headers(letter, 99)))
    assert len(history) == HISTORY_MOST
    assert history[-1].dead_letter_id == letter.dead_letter_id


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"not JSON", b"[1]", b"{}", b'[{"stage": "acoustic"}]', b"7", b"\xff", b"null"),
        *(b"[" * 20_000, b'{"a":' * 10_000, failure(stage={"deep": []}), failure(offset="1"), failure(partition=True)),
        failure(reason="x" * 70_000),
    ],
)
def test_a_history_that_cannot_be_read_is_empty(value: bytes) -> None:
    assert history_of({HISTORY: value}) == ()


def test_an_upload_that_is_sent_again_counts_once_more_and_keeps_the_rest() -> None:
    once = dict(rescored_headers({"traceparent": b"00", REDRIVES: b"2"}))
    assert (once["traceparent"], redrives_of(once), revision_of(once)) == (b"00", 3, 1)
    twice = dict(rescored_headers(once))
    assert (redrives_of(twice), revision_of(twice)) == (4, 2)
    most = dict(rescored_headers({REDRIVES: b"1000", REVISION: b"1000"}))
    assert (redrives_of(most), revision_of(most)) == (1000, 1000)


@pytest.mark.parametrize(
    ("value", "count"), [(b"3", 3), (b"", 0), (b"-1", 0), (b"x", 0), (b"\xb2", 0), (b"9" * 5000, 0), (b"1001", 0)]
)
def test_a_revision_is_a_small_number(value: bytes, count: int) -> None:
    assert revision_of({REVISION: value}) == count
