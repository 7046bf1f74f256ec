"""Every recording of a file is found, whatever its kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Poison
from tests.audio_files import encodings, spoken
from workers.containers import links as module
from workers.containers.links import links

ENCODINGS = encodings(spoken(1.0))
KINDS = {
    "wav": "wav", "flac": "flac", "vorbis": "ogg", "opus": "ogg", "mp3": "mp3", "m4a": "mov", "mp4_fragmented": "mov",
    "webm": "matroska", "amr": "amr", "caf": "caf", "aiff": "aiff",
}  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_one_recording_is_one_link(name: str, kind: str) -> None:
    (link,) = links(ENCODINGS[name])
    assert (link.kind, link.truncated) == (kind, False)


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_two_joined_recordings_are_two_links(name: str, kind: str) -> None:
    (one,) = links(ENCODINGS[name])
    assert list(links(ENCODINGS[name] * 2)) == [one, one]


def test_kinds_that_declare_their_end_may_be_followed_by_others() -> None:
    data = ENCODINGS["wav"] + ENCODINGS["aiff"] + ENCODINGS["flac"]
    assert [link.kind for link in links(data)] == ["wav", "aiff", "flac"]


@pytest.mark.parametrize("name", ["wav", "aiff", "caf"])
@pytest.mark.parametrize("behind", [b"TAG" + bytes(125), b"\r\n--boundary--\r\n", bytes(512), b"\xff\xfb\x90\0" * 100])
def test_bytes_behind_a_recording_are_left_out(name: str, behind: bytes) -> None:
    assert list(links(ENCODINGS[name] + behind)) == list(links(ENCODINGS[name]))


@pytest.mark.parametrize("data", [b"text", b"#EXTM3U\n", b"\xff\xfb" + b"text" * 400, b"ID3" + bytes(500)])
def test_an_unknown_format_is_poison(data: bytes) -> None:
    with pytest.raises(Poison, match="unknown"):
        list(links(data))


def test_a_file_of_very_many_recordings_is_poison(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINKS_MAX", 3)
    with pytest.raises(Poison, match="more than 3"):
        list(links(ENCODINGS["flac"] * 4))


def test_a_movie_with_two_headers_is_poison() -> None:
    data = ENCODINGS["m4a"]
    with pytest.raises(Poison, match="movie headers"):
        list(links(data + data[data.index(b"moov") - 4 :]))


@given(st.sampled_from(sorted(KINDS)), st.integers(0, 400), st.binary(max_size=100))
def test_no_bytes_raise_anything_but_poison(name: str, kept: int, rest: bytes) -> None:
    try:
        found = list(links(ENCODINGS[name][:kept] + rest))
    except Poison:
        return
    assert found
