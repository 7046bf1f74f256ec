"""Boxes of MP4 and QuickTime files: joined files, and claims that no file of this size can keep."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import audio_bombs
from tests.audio_files import encodings, spoken
from workers.containers.boxes import boxes, claims_too_many_samples, has_several_movies, mov_links, top_level_boxes

ENCODINGS = encodings(spoken(1.0))
FILES = [ENCODINGS["m4a"], ENCODINGS["3gp"], ENCODINGS["mp4_fragmented"]]


@pytest.mark.parametrize("data", FILES)
def test_boxes_cover_the_file(data: bytes) -> None:
    *_, (_, start, size) = boxes(data)
    assert start + size == len(data)
    assert [name for name, _, _ in boxes(data)] == [name for name, _, _ in top_level_boxes(data)]


@pytest.mark.parametrize("data", FILES)
def test_joined_files_are_divided(data: bytes) -> None:
    assert [(data + data)[start:end] for start, end in mov_links(data + data)] == [data, data]
    assert list(mov_links(data)) == [(0, len(data))]


def test_bytes_behind_a_file_are_no_boxes() -> None:
    data = ENCODINGS["m4a"]
    assert list(top_level_boxes(data + b"--boundary--")) == list(top_level_boxes(data))


def test_a_second_movie_header_is_noticed() -> None:
    data = ENCODINGS["m4a"]
    second = data[data.index(b"moov") - 4 :]
    assert has_several_movies(data + second)
    assert not has_several_movies(data)


@pytest.mark.parametrize("data", FILES)
def test_honest_tables_are_accepted(data: bytes) -> None:
    assert not claims_too_many_samples(data)


@pytest.mark.parametrize("make", [audio_bombs.many_claimed_samples, audio_bombs.many_claimed_fragment_samples])
def test_tables_that_the_file_cannot_hold_are_claims(make: Callable[[], bytes]) -> None:
    assert claims_too_many_samples(make())


@pytest.mark.parametrize("name", [b"stts", b"ctts"])
def test_run_lengths_are_summed(name: bytes) -> None:
    table = struct.pack(">I4sIIIIII", 32, name, 0, 2, 2**31, 1, 2**31, 1)
    assert claims_too_many_samples(table)


@given(st.binary(max_size=300))
def test_no_bytes_raise(rest: bytes) -> None:
    for data in (rest, b"\0\0\1\0moov" + rest, b"\0\0\0\1mdat" + rest):
        assert list(mov_links(data))[-1][1] == len(data)
        claims_too_many_samples(data)
        has_several_movies(data)
