"""Files that are frames only: joined, tagged anywhere, with leftovers before them, cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audio_bombs import id3
from tests.audio_files import encodings, ffmpeg, spoken
from workers.containers.frames import (
    HEADERS,
    adts_header,
    amr_streams,
    declares_frames,
    framed_streams,
    frames_kind,
    mpeg_header,
    tag_length,
)
from workers.containers.kinds import without_leading_tags

SIGNAL = spoken(2.0)
MP3 = without_leading_tags(ffmpeg(SIGNAL, container="mp3", codec="libmp3lame", rate=44100))
AAC, AMR = (encodings(SIGNAL)[name] for name in ("aac", "amr"))
TAGS = [id3(bytes(300)), b"TAG" + bytes(125), b"APETAGEX" + b"\xd0\x07\0\0\x20\0\0\0" + bytes(16)]
FILES = {"mp3": MP3, "aac": AAC}


def ends(data: bytes, kind: str) -> list[int]:
    """Where frames end, one after another."""
    at, found = 0, [0]
    while frame := HEADERS[kind](data, at):
        at += frame[0]
        found.append(at)
    return found


def streams(data: bytes, kind: str) -> list[bytes]:
    found = list(framed_streams(data, kind))
    assert not any(stream.truncated for stream in found)
    return [stream.data for stream in found]


@pytest.mark.parametrize("kind", FILES)
def test_headers_lead_from_frame_to_frame_to_the_end(kind: str) -> None:
    assert ends(FILES[kind], kind)[-1] == len(FILES[kind])
    assert frames_kind(FILES[kind]) == kind


@pytest.mark.parametrize(("rate", "expected"), [(44100, 417), (22050, 208), (48000, 384), (24000, 192)])
def test_the_length_of_a_frame_follows_from_version_and_rate(rate: int, expected: int) -> None:
    version, index = (3, {44100: 0, 48000: 1}) if rate > 30_000 else (2, {22050: 0, 24000: 1})
    bits = 9 if version == 3 else 8  # 128 or 64 kbit/s
    head = bytes([0xFF, 0xE0 | version << 3 | 1 << 1 | 1, bits << 4 | index[rate] << 2, 0])
    frame = mpeg_header(head, 0)
    assert frame is not None
    assert frame[0] == expected


@pytest.mark.parametrize(
    "head", [b"", b"\xff\xfb", b"\xff\xeb\x90\0", b"\xff\xf9\x90\0", b"\xff\xfb\xf0\0", b"\xff\xfb\x9c\0"]
)
def test_reserved_values_are_no_frame(head: bytes) -> None:
    assert mpeg_header(head, 0) is None


def test_an_adts_frame_has_at_least_its_header() -> None:
    assert adts_header(b"\xff\xf1\x50\x80\0\x1f\xfc", 0) is None
    assert adts_header(b"\xff\xf1\x50\x80\x01\x1f\xfc", 0) == (8, b"\xf0\x50\x80")


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("junk", [b"\0" * 999, b"HTTP/1.1 200 OK\r\n\r\n", b"\xff" * 50, b"\xff\xfb\x90\x00 no frame"])
def test_bytes_before_the_first_frame_are_left_out(kind: str, junk: bytes) -> None:
    assert frames_kind(junk + FILES[kind]) == kind
    assert b"".join(streams(junk + FILES[kind], kind)) == FILES[kind]


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("tag", TAGS)
def test_tags_between_frames_are_left_out(kind: str, tag: bytes) -> None:
    data = FILES[kind]
    middle = ends(data, kind)[20]
    assert streams(data[:middle] + tag + data[middle:], kind) == [data]
    assert streams(data + tag, kind) == [data]


def test_a_file_that_begins_with_an_index_is_a_stream_of_its_own() -> None:
    assert streams(MP3 + id3(bytes(20)) + MP3, "mp3") == [MP3, MP3]
    assert streams(MP3 + MP3, "mp3") == [MP3, MP3]
    assert streams(AAC + AAC, "aac") == [AAC + AAC]


def test_an_index_is_told_from_the_same_letters_elsewhere() -> None:
    assert declares_frames(MP3)
    assert not any(declares_frames(MP3, at) for at in ends(MP3, "mp3")[1:-1])
    second, third = ends(MP3, "mp3")[1:3]
    letters = MP3[second : third - 4] + b"Info"
    assert len(streams(MP3 + letters + MP3[third:], "mp3")) == 1
    assert not declares_frames(letters + MP3[third:])


def test_another_sampling_rate_is_another_stream() -> None:
    other = without_leading_tags(ffmpeg(SIGNAL, container="mp3", codec="libmp3lame", rate=22050))
    assert streams(MP3 + other, "mp3") == [MP3, other]


@pytest.mark.parametrize("kind", FILES)
def test_a_cut_frame_is_truncation(kind: str) -> None:
    data = FILES[kind]
    assert [stream.truncated for stream in framed_streams(data[:-150], kind)][-1]


@pytest.mark.parametrize("kind", FILES)
def test_many_unknown_bytes_between_frames_are_lost_audio(kind: str) -> None:
    data = FILES[kind]
    middle = ends(data, kind)[20]
    assert not any(s.truncated for s in framed_streams(data[:middle] + bytes(100) + data[middle:], kind))
    assert any(s.truncated for s in framed_streams(data[:middle] + bytes(9000) + data[middle:], kind))


def test_joined_amr_files_are_two_streams() -> None:
    assert [stream.data for stream in amr_streams(AMR + AMR)] == [AMR, AMR]
    assert [stream.truncated for stream in amr_streams(AMR + AMR[:-5])] == [False, True]


def test_what_is_no_tag_has_no_length() -> None:
    assert tag_length(b"frames", 0) == 0


@given(st.sampled_from(["mp3", "aac"]), st.binary(max_size=500))
def test_no_bytes_raise(kind: str, data: bytes) -> None:
    frames_kind(data)
    for start in (data, FILES[kind][:2000] + data):
        assert sum(len(stream.data) for stream in framed_streams(start, kind)) <= len(start)
        assert sum(len(stream.data) for stream in amr_streams(b"#!AMR\n" + start)) <= len(start) + 6


@pytest.mark.parametrize("tail", [b"\r\n--boundary--\r\n", b"TAG" + b"x" * 125])
def test_bytes_after_amr_are_left_out_and_bytes_within_are_left_to_the_decoder(tail: bytes) -> None:
    assert [stream.data for stream in amr_streams(AMR + tail)] == [AMR]
    assert [stream.data for stream in amr_streams(AMR + b"\xff" + AMR[6:])] == [AMR + b"\xff" + AMR[6:]]
