"""A dead letter counts for nothing by itself: anyone who writes to its topic may have made it up."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from schemas.codec import Codec
from schemas.events import DeadLetter
from schemas.ids import dead_letter_id
from schemas.redrive_headers import REDRIVES, REDRIVES_MOST
from schemas.sealed_frame import build
from schemas.trimmed_letters import VALUE_SHA256
from streams.recovery.evidence import READS, doubt, refusal
from streams.recovery.originals import Original
from tests.unit.schemas.records import SCORED, UPLOADED

CODEC = Codec()
MEMO = CODEC.encode(UPLOADED)
KEY = UPLOADED.user_id.encode()


def letter(stage: str = "acoustic", topic: str = "memos.uploaded", value: bytes | None = MEMO) -> DeadLetter:
    id_ = dead_letter_id(stage, topic, 1, 7)
    return DeadLetter(id_, stage, topic, 1, 7, KEY, value, {}, "audio:missing", "d", datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(("stage", "topic"), READS.items())
def test_a_dead_letter_of_a_stage_and_its_topic_may_be_redriven(stage: str, topic: str) -> None:
    assert refusal(letter(stage, topic)) is None


@pytest.mark.parametrize(
    ("forged", "why"),
    [
        (letter("acoustic", "risk.alerts"), "no stage acoustic that reads risk.alerts"),
        (letter("acoustic", "risk.scored"), "no stage acoustic that reads risk.scored"),
        (letter("drift", "memos.uploaded"), "no stage drift that reads memos.uploaded"),
        (letter("letters", "memos.dead"), "no stage letters that reads memos.dead"),
        (letter("[/x]", "memos.uploaded"), "no stage"),
        (letter("acoustic", "orders"), "no stage"),
        (replace(letter(), offset=8), "its id is not that of"),
        (replace(letter(), dead_letter_id="any"), "its id is not that of"),
        (replace(letter(), value=None, headers={VALUE_SHA256: b"ab"}), "its record is at memos.uploaded 1:7"),
        (replace(letter(), headers={REDRIVES: str(REDRIVES_MOST).encode()}), "redriven 1000 times"),
    ],
)
def test_any_other_is_refused_by_name(forged: DeadLetter, why: str) -> None:
    assert why in (refusal(forged) or "")


def test_a_dead_letter_is_believed_whose_record_is_the_same() -> None:
    for stage, topic in READS.items():
        for value in (MEMO, b"\xff", None):
            assert doubt(letter(stage, topic, value), Original(KEY, value), CODEC) is None


@pytest.mark.parametrize("original", [Original(KEY, b"other"), Original(b"other", MEMO), Original(None, None)])
def test_a_dead_letter_whose_record_is_another_is_not(original: Original) -> None:
    assert "the record at memos.uploaded 1:7 is another one" in (doubt(letter(), original, CODEC) or "")


def test_a_memo_is_believed_after_its_record_has_expired() -> None:
    assert doubt(letter(), None, CODEC) is None
    assert "key is wrong" in (doubt(replace(letter(), key=b"other"), None, CODEC) or "")


@pytest.mark.parametrize("value", [None, b"", b"garbage", CODEC.encode(SCORED)])
def test_other_bytes_are_not_believed_without_their_record(value: bytes | None) -> None:
    assert "its value is not a memo" in (doubt(letter(value=value), None, CODEC) or "")


def test_nothing_but_memos_is_redriven_without_its_record() -> None:
    for stage, topic in (("fusion", "memos.features"), ("drift", "risk.scored")):
        forged = letter(stage, topic, CODEC.encode(SCORED))
        assert "shows that it is genuine" in (doubt(forged, None, CODEC) or "")


SEALED = build(bytes(range(16)), 300, bytes(12), bytes(40))


def test_a_sealed_letter_is_believed_whose_record_is_the_same_once_its_key_is_known() -> None:
    """Its key was unknown for hours: the key directory was an older one."""
    kept = replace(letter(value=SEALED), key=None)
    assert refusal(kept) is None
    assert doubt(kept, Original(KEY, MEMO, SEALED), CODEC) is None
    assert "does not open" in (doubt(kept, Original(None, None, SEALED, unknown=True), CODEC) or "")
    assert "is another one" in (doubt(kept, Original(KEY, MEMO, SEALED + b"x"), CODEC) or "")
    assert "its value is not a memo" in (doubt(kept, None, CODEC) or "")
