"""Lengths that containers declare: a truncated file is told from one written as a stream."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audio_files import encodings, spoken
from workers.containers.lengths import W64_GUID_END, container_end, ends_early

SECONDS = 3.0
SIGNAL = spoken(SECONDS)
ENCODINGS = encodings(SIGNAL)
KINDS = {
    "aiff": "aiff",
    "caf": "caf",
    "m4a": "mov",
    "3gp": "mov",
    "webm": "matroska",
    "vorbis": "ogg",
    "opus": "ogg",
}
STARTS = {
    "au": [b".snd"],
    "w64": [b"riff" + b"\0" * 36],
    "aiff": [b"FORM"],
    "caf": [b"caff\0\1\0\0"],
    "mov": [b"", b"\0\0\0\1mdat"],
    "matroska": [b"\x18\x53\x80\x67"],
    "ogg": [b"OggS"],
}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_a_whole_file_does_not_end_early_and_half_a_file_does(name: str, kind: str) -> None:
    data = ENCODINGS[name]
    assert not ends_early(data, kind)
    assert ends_early(data[: len(data) // 2], kind)


def declaring(kind: str, size: int) -> bytes:
    """The headers of a file whose content has `size` bytes."""
    before, inner = b"\0" * 24, b"\0" * 50
    return {
        "au": struct.pack(">4sIIIII", b".snd", 24, size, 3, 8000, 1),
        "w64": b"riff" + b"\0" * 36 + b"data" + W64_GUID_END + struct.pack("<Q", size + 24),
        "aiff": b"FORM" + struct.pack(">I", size),
        "caf": b"caff\0\1\0\0" + struct.pack(">4sQ", b"desc", 50) + inner + struct.pack(">4sQ", b"data", size),
        "mov": struct.pack(">I4s", 32, b"ftyp") + before + struct.pack(">I4s", size + 8, b"mdat"),
        "mov of 64 bits": struct.pack(">I4s", 32, b"ftyp") + before + struct.pack(">I4sQ", 1, b"mdat", size + 16),
        "matroska": b"\x1aE\xdf\xa3" + before + b"\x18\x53\x80\x67" + (1 << 56 | size).to_bytes(8, "big"),
        "matroska of few bytes": b"\x18\x53\x80\x67" + (1 << 21 | size).to_bytes(3, "big"),
    }[kind]


@pytest.mark.parametrize(
    "kind", ["au", "w64", "aiff", "caf", "mov", "mov of 64 bits", "matroska", "matroska of few bytes"]
)
def test_a_file_may_lack_64_bytes_and_a_hundredth_of_its_content_and_no_more(kind: str) -> None:
    size = 10_000
    header, format_name = declaring(kind, size), kind.split(" ")[0]
    assert not ends_early(header + b"\0" * (size - 164), format_name)
    assert ends_early(header + b"\0" * (size - 165), format_name)


@pytest.mark.parametrize("lacking", [0, 70, 71, 200])
def test_the_last_page_of_ogg_declares_its_segments(lacking: int) -> None:
    page = b"OggS" + b"\0" * 22 + bytes([3, 255, 255, 90])
    whole = b"OggS" + b"\0" * 200 + page + b"\0" * 600
    assert ends_early(whole[: len(whole) - lacking], "ogg") == (lacking > 64 + 6)


@pytest.mark.parametrize("name", ["caf", "aiff"])
def test_slightly_wrong_sizes_are_accepted(name: str) -> None:
    assert not ends_early(ENCODINGS[name][:-60], KINDS[name])
    assert ends_early(ENCODINGS[name][:-4000], KINDS[name])


@pytest.mark.parametrize("kind", ["mp3", "flac", "amr", ""])
def test_a_format_without_sizes_never_ends_early(kind: str) -> None:
    assert not ends_early(ENCODINGS["caf"][:1000], kind)


def test_files_written_as_a_stream_declare_no_length() -> None:
    for size in (0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF - 36):
        assert not ends_early(struct.pack(">4sIIIII", b".snd", 24, size, 3, 8000, 1) + b"\0" * 1000, "au")
    assert not ends_early(ENCODINGS["mp4_fragmented"], "mov")


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_bytes_behind_a_file_are_no_truncation(name: str, kind: str) -> None:
    for behind in (b"TAG" + b"\xff" * 125, b"--boundary--\r\n" * 3, bytes(600)):
        assert kind == "ogg" or not ends_early(ENCODINGS[name] + behind, kind)


@pytest.mark.parametrize(("name", "kind"), [("aiff", "aiff"), ("caf", "caf")])
def test_a_file_that_declares_its_length_ends_where_it_says(name: str, kind: str) -> None:
    data = ENCODINGS[name]
    assert container_end(data + b"caff" * 20, kind) == len(data)
    assert container_end(data[:-100], kind) == len(data) - 100


@given(st.sampled_from([(kind, start) for kind, starts in STARTS.items() for start in starts]), st.binary(max_size=200))
def test_no_bytes_raise(begin: tuple[str, bytes], rest: bytes) -> None:
    kind, start = begin
    assert ends_early(start + rest, kind) in {True, False}
    assert 0 <= container_end(start + rest, kind) <= len(start + rest)


def test_a_truncated_last_ogg_page_is_detected() -> None:
    data = ENCODINGS["opus"]
    page = data.rindex(b"OggS")
    for kept in (page + 4, page + 26, page + 27):
        assert ends_early(data[:kept], "ogg")
