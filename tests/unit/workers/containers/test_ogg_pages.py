"""Pages of Ogg files: chains, and what is missing from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audio_files import encodings, spoken
from workers.containers.ogg_pages import ogg_links, ogg_pages

ENCODINGS = encodings(spoken(6.0))
VORBIS, OPUS = ENCODINGS["vorbis"], ENCODINGS["opus"]


def test_pages_cover_the_file() -> None:
    pages = list(ogg_pages(OPUS))
    assert [page.start for page in pages] == [0, *(page.end for page in pages[:-1])]
    assert pages[-1].end == len(OPUS)
    assert [page.number for page in pages] == list(range(len(pages)))
    assert [page.begins for page in pages] == [True] + [False] * (len(pages) - 1)


@pytest.mark.parametrize("chain", [[OPUS], [OPUS, OPUS], [VORBIS, OPUS, VORBIS]])
def test_a_chain_is_divided_into_its_recordings(chain: list[bytes]) -> None:
    data = b"".join(chain)
    assert [data[start:end] for start, end, _ in ogg_links(data)] == chain
    assert not any(lacks for _, _, lacks in ogg_links(data))


def test_a_missing_page_is_noticed_but_not_behind_the_headers() -> None:
    pages = list(ogg_pages(OPUS))
    assert len(pages) > 4
    without_third, without_fifth = (OPUS[: pages[n].start] + OPUS[pages[n].end :] for n in (2, 4))
    assert [lacks for _, _, lacks in ogg_links(without_third)] == [False], "a recording of a running stream"
    assert [lacks for _, _, lacks in ogg_links(without_fifth)] == [True]


def test_two_streams_that_begin_together_are_one_recording() -> None:
    first, *rest = ogg_pages(OPUS)
    begin = OPUS[first.start : first.end]
    other = begin[:14] + b"abcd" + begin[18:]
    assert len(list(ogg_links(other + OPUS))) == 1
    assert len(rest) > 1


@given(st.binary(max_size=300))
def test_no_bytes_raise(rest: bytes) -> None:
    data = b"OggS" + rest
    spans = [(start, end) for start, end, _ in ogg_links(data)]
    assert spans[0][0] == 0
    assert spans[-1][1] == len(data)
