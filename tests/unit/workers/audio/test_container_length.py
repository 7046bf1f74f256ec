"""Lengths that containers declare: a truncated file is told from one written as a stream."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audio_files import encodings, spoken, wave_header
from workers.audio.container_length import UNKNOWN_SIZES, declares_mpeg_frames, ends_early, wave_seconds

SECONDS = 3.0
SIGNAL = spoken(SECONDS)
ENCODINGS = encodings(SIGNAL)
KINDS = {
    "wav": "wav",
    "wav_48k_24bit_stereo": "wav",
    "wav_extensible": "wav",
    "aiff": "aiff",
    "caf": "caf",
    "m4a": "mov",
    "3gp": "mov",
    "webm": "matroska",
    "vorbis": "ogg",
    "opus": "ogg",
}
STARTS = {
    "wav": [b"RIFF\0\0\0\0WAVE", b"RIFX\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEds64"],
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
        "wav": wave_header(size),
        "aiff": b"FORM" + struct.pack(">I", size),
        "caf": b"caff\0\1\0\0" + struct.pack(">4sQ", b"desc", 50) + inner + struct.pack(">4sQ", b"data", size),
        "mov": struct.pack(">I4s", 32, b"ftyp") + before + struct.pack(">I4s", size + 8, b"mdat"),
        "mov of 64 bits": struct.pack(">I4s", 32, b"ftyp") + before + struct.pack(">I4sQ", 1, b"mdat", size + 16),
        "matroska": b"\x1aE\xdf\xa3" + before + b"\x18\x53\x80\x67" + (1 << 56 | size).to_bytes(8, "big"),
        "matroska of few bytes": b"\x18\x53\x80\x67" + (1 << 21 | size).to_bytes(3, "big"),
    }[kind]


@pytest.mark.parametrize("kind", ["wav", "aiff", "caf", "mov", "mov of 64 bits", "matroska", "matroska of few bytes"])
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


@pytest.mark.parametrize("name", ["wav", "caf", "aiff"])
def test_slightly_wrong_sizes_are_accepted(name: str) -> None:
    assert not ends_early(ENCODINGS[name][:-60], KINDS[name])
    assert ends_early(ENCODINGS[name][:-4000], KINDS[name])


@pytest.mark.parametrize("kind", ["mp3", "flac", "amr", ""])
def test_a_format_without_sizes_never_ends_early(kind: str) -> None:
    assert not ends_early(ENCODINGS["wav"][:1000], kind)


def test_files_written_as_a_stream_declare_no_length() -> None:
    for size in (size for size in UNKNOWN_SIZES if size < 2**32):
        stream = wave_header(size) + b"\0" * 1000
        assert not ends_early(stream, "wav")
        assert wave_seconds(stream) is None
    fragmented = ENCODINGS["mp4_fragmented"]
    assert not ends_early(fragmented, "mov")


@pytest.mark.parametrize("name", ["wav", "wav_u8", "wav_8k", "wav_48k_24bit_stereo", "wav_float", "wav_extensible"])
def test_a_wave_header_declares_its_seconds_for_every_sample_format(name: str) -> None:
    assert wave_seconds(ENCODINGS[name]) == pytest.approx(SECONDS, abs=1e-3)
    assert wave_seconds(ENCODINGS[name][:5000]) == pytest.approx(SECONDS, abs=1e-3), "also when truncated"


def test_a_header_of_big_endian_numbers_is_read() -> None:
    body = struct.pack(">4sIHHIIHH4sI", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", 32000)
    assert wave_seconds(b"RIFX" + struct.pack(">I", 36 + 32000) + b"WAVE" + body) == 2.0


def test_a_header_of_more_than_4_gb_is_read() -> None:
    five_hours = 18_000 * 2 * 3 * 48_000
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, five_hours + 72, five_hours, five_hours // 6, 0)
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, 48_000, 288_000, 6, 24)
    header = b"RF64" + struct.pack("<I", 2**32 - 1) + b"WAVE" + ds64 + fmt + struct.pack("<4sI", b"data", 2**32 - 1)
    assert wave_seconds(header) == 18_000
    assert ends_early(header + b"\0" * 1000, "wav")


def test_chunks_of_odd_size_are_padded() -> None:
    head, data = wave_header(32_000)[:36], wave_header(32_000)[36:]
    note = struct.pack("<4sI", b"note", 3) + b"abc\0"
    assert wave_seconds(head + note + data + b"\0" * 32_000) == 1.0


@pytest.mark.parametrize("data", [b"", b"RIFF", wave_header(32_000)[:30], b"RIFF\0\0\0\0WAVE" + wave_header(8)[36:]])
def test_half_a_header_declares_nothing(data: bytes) -> None:
    assert wave_seconds(data) is None


def test_an_mpeg_stream_with_an_index_is_told_from_one_without() -> None:
    assert declares_mpeg_frames(ENCODINGS["mp3"])
    assert not declares_mpeg_frames(b"\xff\xfb\x90\x00" + b"\0" * 100_000 + b"Xing")


@given(st.sampled_from([(kind, start) for kind, starts in STARTS.items() for start in starts]), st.binary(max_size=200))
def test_no_bytes_raise(begin: tuple[str, bytes], rest: bytes) -> None:
    kind, start = begin
    assert ends_early(start + rest, kind) in {True, False}
    assert wave_seconds(start + rest) is None or wave_seconds(start + rest) >= 0  # type: ignore[operator]


def test_a_truncated_last_ogg_page_is_detected() -> None:
    data = ENCODINGS["opus"]
    page = data.rindex(b"OggS")
    for kept in (page + 4, page + 26, page + 27):
        assert ends_early(data[:kept], "ogg")
