"""Small files that ask for much: memory, time, or both."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO

import numpy as np
import soundfile

from tests.audio_files import ffmpeg, spoken

CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
CLAIMED = 85_000_000
"""Samples that a sample table claims."""


def boxes_with(data: bytes, changed: Callable[[bytes, bytes], bytes]) -> bytes:
    """An MP4 file with every box that holds no boxes made anew by `changed`, of its name and body."""
    out, at = b"", 0
    while at + 8 <= len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        inner = data[at + 8 : at + max(size, 8)]
        inner = boxes_with(inner, changed) if name in CONTAINERS else changed(name, inner)
        out += struct.pack(">I4s", len(inner) + 8, name) + inner
        at += max(size, 8)
    return out


def claiming(samples: int = CLAIMED) -> bytes:
    """An m4a of a second whose sample table claims so many samples of one byte each, in one chunk."""

    def changed(name: bytes, inner: bytes) -> bytes:
        match name:
            case b"stsz":
                return struct.pack(">III", 0, 1, samples)
            case b"stts":
                return struct.pack(">IIII", 0, 1, samples, 1)
            case b"stsc":
                return struct.pack(">IIIII", 0, 1, 1, samples, 1)
        return inner

    return boxes_with(ffmpeg(spoken(1.0), container="ipod", codec="aac"), changed)


def covered(side: int) -> bytes:
    """An MP3 with a picture of so many pixels a side."""
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * (side * (side + 1)), 1)
    png = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")
    return tagged([_frame(b"APIC", b"\0image/png\0\x03\0" + png)])


def many_frames(count: int) -> bytes:
    """An MP3 with so many different frames in its tag."""
    return tagged([_frame(b"TXXX", b"\0key %d\0value" % number) for number in range(count)])


def tagged(frames: list[bytes]) -> bytes:
    """An MP3 of a second behind a tag of these frames."""
    tag = b"".join(frames)
    size = bytes(len(tag) >> shift & 0x7F for shift in (21, 14, 7, 0))
    sound = ffmpeg(spoken(1.0), container="mp3", codec="libmp3lame", rate=44100, bit_rate=96000)
    return b"ID3\x03\0\0" + size + tag + sound


def silent_flac(seconds: float, *, rate: int = 16000, channels: int = 1) -> bytes:
    """Silence, of which a minute takes hardly a kilobyte."""
    out = BytesIO()
    with soundfile.SoundFile(out, "w", rate, channels, format="FLAC", subtype="PCM_16") as file:
        block = np.zeros((rate, channels), np.int16)
        for _ in range(round(seconds)):
            file.write(block)
    return out.getvalue()


def noisy_vorbis(seconds: int, *, rate: int, channels: int) -> bytes:
    """Noise of so many channels that decoding it takes long."""
    out, rng = BytesIO(), np.random.default_rng(0)
    with soundfile.SoundFile(out, "w", rate, channels, format="OGG", subtype="VORBIS") as file:
        for _ in range(seconds * 4):
            file.write(rng.normal(0, 0.1, (rate // 4, channels)).astype(np.float32))
    return out.getvalue()


def _frame(name: bytes, body: bytes) -> bytes:
    return name + struct.pack(">IH", len(body), 0) + body


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
