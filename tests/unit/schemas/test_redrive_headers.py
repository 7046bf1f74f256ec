from dataclasses import replace
from datetime import UTC, datetime

import pytest

from schemas.events import DeadLetter
from schemas.redrive_headers import HISTORY, REDRIVES, history_of, redriven_headers, redrives_of

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


@pytest.mark.parametrize("value", [b"", b"many", b"-3", b"\xff"])
def test_a_count_that_is_none_of_ours_is_none(value: bytes) -> None:
    assert redrives_of({REDRIVES: value}) == 0


@pytest.mark.parametrize("value", [b"", b"not JSON", b"[1]", b"{}", b'[{"stage": "acoustic"}]', b"7"])
def test_a_history_that_cannot_be_read_is_empty(value: bytes) -> None:
    assert history_of({HISTORY: value}) == ()
