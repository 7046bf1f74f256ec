"""WAVE files as recorders leave them: what is there is read, and only what is clearly missing is truncation."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audio_files import encodings, spoken, wave_header
from workers.containers.riff_wave import Wave, declared_s, is_placeholder, normalised, read_wave

SECONDS = 2.0
ENCODINGS = encodings(spoken(SECONDS))
SAMPLES = ENCODINGS["wav"][44:]
FORMATS = ["wav", "wav_u8", "wav_8k", "wav_48k_24bit_stereo", "wav_float", "wav_extensible"]
TAG = b"TAG" + b"\xff" * 125


def wave(data: bytes) -> Wave:
    found = read_wave(data)
    assert found is not None
    return found


def samples(data: bytes) -> bytes:
    start, end = wave(data).samples
    return data[start:end]


def with_size(size: int, riff_size: int | None = None) -> bytes:
    """The file whose header declares `size` bytes of samples."""
    header = bytearray(wave_header(len(SAMPLES)))
    struct.pack_into("<I", header, 40, size)
    struct.pack_into("<I", header, 4, min(size + 36, 2**32 - 1) if riff_size is None else riff_size)
    return bytes(header) + SAMPLES


@pytest.mark.parametrize("name", FORMATS)
def test_a_whole_file_declares_its_seconds_and_half_a_file_is_truncated(name: str) -> None:
    data = ENCODINGS[name]
    assert declared_s(data, wave(data)) == pytest.approx(SECONDS, abs=1e-3)
    assert not wave(data).truncated
    assert wave(data[: len(data) // 2]).truncated
    assert declared_s(data[:5000], wave(data[:5000])) == pytest.approx(SECONDS, abs=1e-3)


@pytest.mark.parametrize(
    "size",
    [0, 0x7FFFFFFF, 0x80000000, 0x80000000 - 44, 0x7FFFF000, 0x7FFF0000, 2**32 - 1, 2**32 - 36, 0xFFFFFFFF - 36],
)
def test_a_placeholder_stands_for_the_samples_that_are_there(size: int) -> None:
    data = with_size(size)
    assert samples(data) == SAMPLES
    assert wave(data).declared is None
    assert not wave(data).truncated
    assert declared_s(data, wave(data)) is None


@pytest.mark.parametrize("size", [0x70000000, 0x90000000, 0xF0000000, 2 * len(SAMPLES)])
def test_other_sizes_that_exceed_the_file_are_truncation(size: int) -> None:
    assert not is_placeholder(size)
    assert wave(with_size(size)).truncated


def test_an_empty_file_is_empty() -> None:
    assert samples(wave_header(0)) == b""
    note = b"LIST" + struct.pack("<I", 8) + b"INFOabcd"
    assert samples(wave_header(0)[:4] + struct.pack("<I", 36 + len(note)) + wave_header(0)[8:] + note) == b""


@pytest.mark.parametrize("behind", [TAG, b"\r\n--boundary--\r\n", b"\0", bytes(100_000), b"LIST\x08\0\0\0INFOabcd"])
def test_bytes_behind_the_samples_are_neither_samples_nor_missing(behind: bytes) -> None:
    data = ENCODINGS["wav"] + behind
    assert samples(data) == SAMPLES
    assert not wave(data).truncated


@pytest.mark.parametrize("padding", [b"", b"\0"])
@pytest.mark.parametrize("first", ["wav", "odd"])
def test_a_file_behind_a_file_is_found_with_and_without_padding(first: str, padding: bytes) -> None:
    one = ENCODINGS["wav"] if first == "wav" else wave_header(31) + bytes(31)
    if first == "wav":
        padding = b""
    data = one + padding + ENCODINGS["flac"]
    assert data[wave(data).end :] == ENCODINGS["flac"]


def test_a_file_behind_samples_of_unknown_size_is_found() -> None:
    data = with_size(0xFFFFFFFF) + ENCODINGS["wav"]
    assert samples(data) == SAMPLES
    assert data[wave(data).end :] == ENCODINGS["wav"]


def test_chunks_of_odd_size_are_padded_or_not() -> None:
    head, rest = wave_header(len(SAMPLES))[:36], wave_header(len(SAMPLES))[36:] + SAMPLES
    for note in (b"note\x03\0\0\0abc\0", b"note\x03\0\0\0abc"):
        assert samples(head + note + rest) == SAMPLES


def test_wrong_rates_in_the_header_are_put_right() -> None:
    data = bytearray(ENCODINGS["wav"])
    struct.pack_into("<IH", data, 28, 7, 0)
    assert declared_s(bytes(data), wave(bytes(data))) == SECONDS
    assert normalised(bytes(data), wave(bytes(data))) == ENCODINGS["wav"]


def test_a_header_of_big_endian_numbers_is_read() -> None:
    body = struct.pack(">4sIHHIIHH4sI", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", 32000)
    data = b"RIFX" + struct.pack(">I", 36 + 32000) + b"WAVE" + body
    assert declared_s(data, wave(data)) == 2.0


def test_a_header_of_more_than_4_gb_is_read() -> None:
    five_hours = 18_000 * 2 * 3 * 48_000
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, five_hours + 72, five_hours, five_hours // 6, 0)
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, 48_000, 288_000, 6, 24)
    header = b"RF64" + struct.pack("<I", 2**32 - 1) + b"WAVE" + ds64 + fmt + struct.pack("<4sI", b"data", 2**32 - 1)
    assert declared_s(header, wave(header)) == 18_000
    assert wave(header + b"\0" * 1000).truncated


def test_a_header_of_64_bits_with_a_small_file_is_normalised() -> None:
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, 0, len(SAMPLES), 0, 0)
    data = b"RF64" + b"\xff" * 4 + b"WAVE" + ds64 + wave_header(2**32 - 1)[12:] + SAMPLES
    found = normalised(data, wave(data))
    assert found[:4] == b"RIFF"
    assert samples(found) == SAMPLES


@pytest.mark.parametrize("data", [b"", b"RIFF", wave_header(32_000)[:30]])
def test_half_a_header_has_no_samples(data: bytes) -> None:
    assert read_wave(data) is None


@given(st.sampled_from([b"RIFF", b"RIFX", b"RF64"]), st.binary(max_size=300))
def test_no_bytes_raise(magic: bytes, rest: bytes) -> None:
    data = magic + b"\0\0\0\0WAVE" + rest
    if (found := read_wave(data)) is not None:
        declared_s(data, found)
        normalised(data, found)
        assert 0 <= found.samples[0] <= found.samples[1] <= len(data)
        assert found.end > 0
