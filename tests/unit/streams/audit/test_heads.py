"""Heads as bytes and lines."""

import json
from dataclasses import replace

import pytest

from streams.audit.heads import Head, PartitionHead, SignedHead
from tests.unit.streams.audit.trails import SIGNER, trail

HEAD = Head(3, 1_777_624_200_123, "ab" * 32, 7, {0: PartitionHead(4, 6, bytes(32), (b"12345678", b"abcdefgh"))}, "key")


def test_a_head_is_read_as_it_was_signed() -> None:
    assert Head.parsed(HEAD.signed_bytes()) == HEAD
    signed = trail(12, 2, 0).heads[-1]
    assert SignedHead.of_line(signed.line()) == signed
    assert b"\n" not in signed.line()


def test_the_signed_form_is_the_one_that_is_published() -> None:
    marks = b"12345678abcdefgh".hex()
    assert HEAD.signed_bytes().decode() == (
        '{"at":1777624200123,"events":7,"key":"key","number":3,"partitions":{"0":{"digest":"'
        f'{"0" * 64}","first":4,"marks":"{marks}","next":6}}}},"previous":"{"ab" * 32}","version":1}}'
    )


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"1", b'{"partitions":[]}', b"\xff"])
def test_what_is_no_head_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # of json, of decoding, or our own
        Head.parsed(data)
    with pytest.raises(ValueError):  # noqa: PT011
        SignedHead.of_line(data)


def test_another_form_of_the_same_head_is_refused() -> None:
    spaced = json.dumps(json.loads(HEAD.signed_bytes())).encode()
    with pytest.raises(ValueError, match="canonical"):
        Head.parsed(spaced)


def test_the_digest_is_of_what_is_signed_alone() -> None:
    signed = trail(12, 2, 0).heads[-1]
    assert replace(signed, stamp=b"later").digest == signed.digest
    assert signed.head.key == SIGNER.key
