"""Files as recorders, phones and transports leave them: encodings, each changed in one way, and what is in them."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from schemas.events import FloatArray
from tests.audio_bombs import id3
from tests.audio_files import encodings, ffmpeg, sndfile
from workers.containers.frames import HEADERS
from workers.containers.kinds import without_leading_tags

ID3V1 = b"TAG" + b"Title".ljust(125, b"\0")
APE = b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0) + bytes(8)
BOUNDARY = b"\r\n------WebKitFormBoundary7MA4YWxkTrZu0gW--\r\n"
WAVES = ("wav", "wav_u8", "wav_8k", "wav_48k_24bit_stereo", "wav_float", "wav_extensible", "wav_alaw", "wav_adpcm")
MOVIES = ("m4a", "mp4_fragmented", "3gp", "mov_pcm")


@dataclass(frozen=True, slots=True)
class File:
    """One file. holds: how many times the whole recording is in it."""

    container: str
    change: str
    data: bytes
    holds: int


def recorded(name: str, data: bytes) -> Iterator[File]:
    """A container of this name with every change that applies to it; the first has none."""
    for change, apply in CHANGES.items():
        if (changed := apply(name, data)) is not None:
            yield File(name, change, changed, HOLDS.get(change, 1))


def containers(signal: FloatArray) -> dict[str, bytes]:
    """One recording in every container, format and codec that is read."""
    return encodings(signal) | {
        "wav_alaw": sndfile(signal, subtype="ALAW", rate=8000),
        "wav_adpcm": sndfile(signal, subtype="IMA_ADPCM"),
        "w64": sndfile(signal, kind="W64", subtype="PCM_16"),
        "rf64": sndfile(signal, kind="RF64", subtype="PCM_16"),
        "au": sndfile(signal, kind="AU", subtype="PCM_16"),
        "ogg_flac": ffmpeg(signal, container="ogg", codec="flac"),
        "mp3_bare": without_index(ffmpeg(signal, container="mp3", codec="libmp3lame", rate=44100)),
        "mp3_16k": ffmpeg(signal, container="mp3", codec="libmp3lame", bit_rate=32000),
        "mov_pcm": ffmpeg(signal, container="mov", codec="pcm_s16le"),
        "mka": ffmpeg(signal, container="matroska", codec="aac", rate=48000),
        "wma": ffmpeg(signal, container="asf", codec="wmav2", rate=44100, bit_rate=64000),
    }


def without_index(mp3: bytes) -> bytes:
    """An MP3 without its tag and its first frame, which holds the index."""
    frames = without_leading_tags(mp3)
    first = HEADERS["mp3"](frames, 0)
    assert first is not None
    return frames[first[0] :]


Change = Callable[[str, bytes], bytes | None]
"""The changed file; None where the change does not apply to this container."""


def _any(change: Callable[[bytes], bytes]) -> Change:
    return lambda _, data: change(data)


def _of(names: tuple[str, ...], change: Callable[[bytes], bytes]) -> Change:
    return lambda name, data: change(data) if name in names else None


def _sizes(size: int, riff: int | None = None) -> Callable[[bytes], bytes]:
    """A WAVE file that declares `size` bytes of samples."""

    def change(data: bytes) -> bytes:
        changed, at = bytearray(data), data.index(b"data") + 4
        struct.pack_into("<I", changed, at, size)
        struct.pack_into("<I", changed, 4, min(size + 36, 2**32 - 1) if riff is None else riff)
        return bytes(changed)

    return change


def _patched(name: bytes, offset: int, form: str, *values: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        struct.pack_into(form, changed, data.index(name) + offset, *values)
        return bytes(changed)

    return change


def _inserted(before: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """WAVE with a chunk more, its RIFF size put right."""

    def change(data: bytes) -> bytes:
        at = data.index(before)
        riff = struct.unpack_from("<I", data, 4)[0] + len(new)
        return data[:4] + struct.pack("<I", riff) + data[8:at] + new + data[at:]

    return change


def _in_the_middle(tag: bytes) -> Change:
    def change(name: str, data: bytes) -> bytes | None:
        kind = {"mp3": "mp3", "mp3_bare": "mp3", "mp3_16k": "mp3", "aac": "aac"}.get(name)
        if kind is None:
            return None
        at = len(data) - len(without_leading_tags(data))
        while (frame := HEADERS[kind](data, at)) and at < len(data) // 2:
            at += frame[0]
        return data[:at] + tag + data[at:]

    return change


def _junk_first(name: str, data: bytes) -> bytes | None:
    return b"\0junk of a stream\xff" * 20 + data if name.startswith("mp3") or name == "aac" else None


def _instead_of_ftyp(box: bytes) -> Callable[[bytes], bytes]:
    """A movie with another first box, of the same size, so that positions in its tables stay right."""

    def change(data: bytes) -> bytes:
        size = int.from_bytes(data[:4], "big")
        return data[:4] + box + bytes(size - 8) + data[size:]

    return change


def _headerless_size(name: str, data: bytes) -> bytes | None:
    """Matroska with a segment of unknown size, as a live recorder writes it."""
    if name not in {"webm", "mka"}:
        return None
    at = data.index(b"\x18\x53\x80\x67") + 4
    return data[:at] + b"\x01" + b"\xff" * 7 + data[at + 8 :]


CHANGES: dict[str, Change] = {
    "none": _any(lambda data: data),
    "cut to half": _any(lambda data: data[: len(data) // 2 - 100]),
    "cut to nine tenths": _any(lambda data: data[: len(data) * 9 // 10]),
    "twice": _any(lambda data: data + data),
    "ID3v1 after it": _any(lambda data: data + ID3V1),
    "multipart boundary after it": _any(lambda data: data + BOUNDARY),
    "zeros after it": _any(lambda data: data + bytes(4096)),
    "ID3v2 before it": _any(lambda data: id3(bytes(2000)) + data),
    "data size 0": _of(WAVES, _sizes(0, 0)),
    "data size 0, RIFF size right": _of(WAVES, lambda data: _sizes(0, len(data) - 8)(data)),
    **{
        f"data size {size:#x}": _of(WAVES, _sizes(size))
        for size in (0x7FFFFFFF, 0x80000000, 0x80000000 - 36, 0x7FFFF000, 0xFFFFFFFF, 0xFFFFFFFF - 36, 0xFFFFFFF0)
    },
    "RIFF size 0": _of(WAVES, _patched(b"RIFF", 4, "<I", 0)),
    "RIFF size too large": _of(WAVES, _patched(b"RIFF", 4, "<I", 2**31)),
    "byte rate 1": _of(WAVES, _patched(b"fmt ", 16, "<I", 1)),
    "byte rate too large": _of(WAVES, _patched(b"fmt ", 16, "<I", 2**31)),
    "odd chunk before the samples": _of(WAVES, _inserted(b"data", b"note\x03\0\0\0abc\0")),
    "odd chunk without padding before the samples": _of(WAVES, _inserted(b"data", b"note\x03\0\0\0abc")),
    "chunk without padding after the samples": _of(WAVES, lambda data: data + b"LIST\x09\0\0\0INFOabcde"),
    "tag in the middle": _in_the_middle(id3(bytes(500))),
    "ID3v1 in the middle": _in_the_middle(ID3V1),
    "APE tag after it": lambda name, data: data + bytes(2000 - 32) + APE if name.startswith("mp3") else None,
    "junk before it": _junk_first,
    **{
        f"{box.decode()} instead of ftyp": _of(MOVIES, _instead_of_ftyp(box))
        for box in (b"wide", b"free", b"skip", b"pnot", b"styp")
    },
    "sizes unknown": _headerless_size,
}
HOLDS = {"cut to half": 0, "cut to nine tenths": 0, "twice": 2}
"""How often the recording is in a changed file, where it is not once."""
