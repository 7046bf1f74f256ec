"""The frame of sealed values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import CONFLUENT_MAGIC, SINGLE_OBJECT_MAGIC, DecodeError
from schemas.sealed_frame import OVERHEAD_BYTES, SEALED_MAGIC, TAG_BYTES, build, is_sealed, parse

FRAME = build(bytes(range(16)), 323, b"n" * 12, b"content" + b"t" * 16)


@given(
    st.binary(min_size=16, max_size=16),
    st.integers(0, 0xFFFF),
    st.binary(min_size=12, max_size=12),
    st.binary(min_size=TAG_BYTES, max_size=100),
)
def test_what_is_built_is_parsed(subject: bytes, epoch: int, nonce: bytes, body: bytes) -> None:
    value = build(subject, epoch, nonce, body)
    assert is_sealed(value)
    assert parse(value) == (1, subject, epoch, nonce, body)
    assert len(value) == len(body) - TAG_BYTES + OVERHEAD_BYTES


def test_the_bytes_are_those_of_the_published_format() -> None:
    assert FRAME.hex() == (
        "c35301" + bytes(range(16)).hex() + "0143" + (b"n" * 12).hex() + b"content".hex() + (b"t" * 16).hex()
    )


@pytest.mark.parametrize("other", [None, b"", b"\xc3", SINGLE_OBJECT_MAGIC + bytes(20), CONFLUENT_MAGIC + bytes(20)])
def test_other_framings_are_not_sealed(other: bytes | None) -> None:
    assert not is_sealed(other)


@given(st.binary(max_size=80))
def test_any_bytes_are_parsed_or_refused(tail: bytes) -> None:
    try:
        parse(SEALED_MAGIC + tail)
    except DecodeError:
        return
    assert tail[0] == 1
    assert len(tail) + 2 >= OVERHEAD_BYTES


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (FRAME[: OVERHEAD_BYTES - 1], "at least"),
        (FRAME[:2] + b"\x02" + FRAME[3:], "version 2"),
        (b"\xc3\x01" + FRAME[2:], "not sealed"),
    ],
)
def test_a_refusal_names_the_fault(value: bytes, said: str) -> None:
    with pytest.raises(DecodeError, match=said):
        parse(value)


@pytest.mark.parametrize(("subject", "nonce", "body"), [(15, 12, 16), (16, 11, 16), (16, 12, 15)])
def test_parts_of_a_wrong_length_make_no_frame(subject: int, nonce: int, body: int) -> None:
    with pytest.raises(ValueError, match="16 bytes of subject"):
        build(bytes(subject), 1, bytes(nonce), bytes(body))
