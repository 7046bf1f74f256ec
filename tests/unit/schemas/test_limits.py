"""Every field of every record has a limit, and the codec keeps it both ways."""

import time
import tracemalloc
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import pytest

from schemas.codec import Codec, DecodeError
from schemas.events import RECORDS, DeadLetter, FloatArray, MemoFeatures, MemoUploaded
from schemas.limits import FIELDS, RECORD_BYTES, RECORD_VALUES, LimitError, check, check_size
from schemas.topics import TOPICS
from tests.unit.schemas.records import ALERT, DEAD, EXAMPLES, FEATURES, SCORED, UPLOADED

CODEC = Codec()

OUTSIDE: list[tuple[Any, str]] = [
    (replace(UPLOADED, user_id="u" * 2_000_000), "MemoUploaded.user_id must be 1 to 128 bytes"),
    (replace(UPLOADED, memo_id=""), "MemoUploaded.memo_id must be"),
    (replace(UPLOADED, memo_id="two\nlines"), "MemoUploaded.memo_id must be"),
    (replace(UPLOADED, user_id="\u202eanna"), "MemoUploaded.user_id must be"),
    (replace(UPLOADED, recorded_at=datetime(9999, 12, 31, tzinfo=UTC)), "recorded_at must be a time of the years"),
    (replace(UPLOADED, uploaded_at=datetime(1, 1, 1, tzinfo=UTC)), "uploaded_at must be a time of the years"),
    (replace(UPLOADED, audio_uri="f" * 5000), "audio_uri must be at most 4,096 bytes"),
    (replace(UPLOADED, sha256="abc"), "sha256 must be null, or 64 hexadecimal digits"),
    (replace(SCORED, probability=float("nan")), "RiskScored.probability must be null, or a number from 0 to 1"),
    (replace(SCORED, probability=1.5), "RiskScored.probability"),
    (replace(SCORED, reasons=("r",) * 100_000), "RiskScored.reasons must be at most 64 items"),
    (replace(SCORED, reasons=("a reason",)), "RiskScored.reasons"),
    (replace(SCORED, evidence=(replace(SCORED.evidence[0], value=float("inf")),)), "RiskScored.evidence must be"),
    (replace(FEATURES, duration_s=0.0), "MemoFeatures.duration_s must be a number above 0"),
    (replace(FEATURES, windows=np.full((1, 1), np.inf, np.float32)), "MemoFeatures.windows must be"),
    (replace(FEATURES, summary=np.array([np.inf, 0], np.float32)), "MemoFeatures.summary must be"),
    (replace(FEATURES, quality=replace(FEATURES.quality, clipped=2.0)), "MemoFeatures.quality.clipped must be"),
    (replace(ALERT, baseline=replace(ALERT.baseline, sd=-1.0)), "RiskAlert.baseline.sd must be a number from 0"),
    (replace(DEAD, stage="a\x1b[2J"), "DeadLetter.stage must be"),
    (replace(DEAD, offset=-1), "DeadLetter.offset must be a whole number"),
]


def is_enum(hint: Any) -> bool:
    """Whether a field is of an enum, or null."""
    kinds = [each for each in get_args(hint) or (hint,) if each is not NoneType]
    return all(isinstance(each, type) and issubclass(each, StrEnum) for each in kinds)


def test_every_field_that_is_no_enum_has_a_limit() -> None:
    for kind in FIELDS:
        hints = get_type_hints(kind, localns={"FloatArray": FloatArray})
        enums = {f.name for f in fields(kind) if is_enum(hints[f.name])}
        assert set(FIELDS[kind]) == {f.name for f in fields(kind)} - enums
        for name, hint in hints.items():
            inner = get_args(hint)[0] if get_origin(hint) is tuple else hint
            if is_dataclass(inner):
                assert FIELDS[kind][name].part is inner
                assert inner in FIELDS
    assert set(RECORD_BYTES) == set(RECORDS) <= set(FIELDS)


def test_a_record_fits_into_its_topic() -> None:
    assert all(RECORD_BYTES[topic.record] <= topic.max_bytes for topic in TOPICS)


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda r: type(r).__name__)
def test_an_ordinary_record_is_within_its_limits(record: Any) -> None:
    check(record)


@pytest.mark.parametrize(("record", "message"), OUTSIDE, ids=[message.split()[0] for _, message in OUTSIDE])
def test_a_record_outside_is_neither_written_nor_read(
    record: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LimitError, match=message) as caught:
        CODEC.encode(record)
    assert len(str(caught.value)) < 200
    with monkeypatch.context() as other_writer:
        other_writer.setattr("schemas.codec.check", lambda _: None)
        other_writer.setattr("schemas.codec.check_size", lambda *_: None)
        data = CODEC.encode(record)
    with pytest.raises(DecodeError) as refused:
        CODEC.decode(data, type(record))
    assert len(str(refused.value)) < 200


def test_a_record_that_is_too_large_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(LimitError, match="a MemoUploaded of 70,000 bytes is larger than the maximum of 65,536"):
        check_size(MemoUploaded, 70_000)
    with pytest.raises(DecodeError, match="larger than the maximum"):
        CODEC.decode(CODEC.encode(UPLOADED) + bytes(70_000), MemoUploaded)


def zigzag(number: int) -> bytes:
    number, out = (number << 1) ^ (number >> 63), b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


SIZE = 4_000_000
LARGE = zigzag(2**31 - 1)
FRAME = CODEC.encode(FEATURES)[:10]
BEFORE_SHAPE = FRAME + CODEC.encode(FEATURES)[10:].partition(b"\x00\x04\x04\x06")[0]
"""A features record up to the element type of its windows."""


def letter_before_headers() -> bytes:
    data = CODEC.encode(replace(DEAD, headers={}))
    return data[: data.index(DEAD.value or b"") + len(DEAD.value or b"")]


HEAVY: dict[str, tuple[type[Any], bytes]] = {
    "an array of ones": (MemoFeatures, BEFORE_SHAPE + b"\x00" + zigzag(SIZE) + b"\x02" * SIZE),
    "an array of large numbers": (MemoFeatures, BEFORE_SHAPE + b"\x00" + zigzag(SIZE // 5) + LARGE * (SIZE // 5)),
    "blocks of one": (MemoFeatures, BEFORE_SHAPE + b"\x00" + b"\x02\x02" * (SIZE // 2)),
    "negative blocks": (MemoFeatures, BEFORE_SHAPE + b"\x00" + zigzag(-SIZE) + zigzag(SIZE) + b"\x02" * SIZE),
    "a count of 2^62": (MemoFeatures, BEFORE_SHAPE + b"\x00" + zigzag(2**62) + b"\x02" * SIZE),
    "a number without an end": (MemoFeatures, BEFORE_SHAPE + b"\x00" + b"\xff" * SIZE),
    "empty headers": (DeadLetter, letter_before_headers() + zigzag(SIZE // 2) + b"\x00\x00" * (SIZE // 2)),
    "zeros": (MemoFeatures, FRAME + bytes(SIZE)),
    "a shape of few numbers": (MemoFeatures, BEFORE_SHAPE + b"\x00" + zigzag(5000) + LARGE * 5000 + b"\x00\x00"),
}  # fmt: skip


@pytest.mark.parametrize("name", HEAVY)
def test_reading_takes_time_and_memory_in_proportion_to_the_bytes(name: str) -> None:
    kind, data = HEAVY[name]
    tracemalloc.start()
    began = time.thread_time()
    try:
        with pytest.raises(DecodeError) as refused:
            CODEC.decode(data, kind)
        took_s, (_, peak) = time.thread_time() - began, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(str(refused.value)) < 200
    assert peak < 2 * len(data) + 20_000_000
    assert took_s < 2.0  # the slowest of these took minutes


def test_more_values_than_any_record_needs_are_refused_unread() -> None:
    for name in ("an array of ones", "blocks of one", "empty headers"):
        with pytest.raises(DecodeError, match=f"more than {RECORD_VALUES:,} values in one record"):
            CODEC.decode(HEAVY[name][1], HEAVY[name][0])
