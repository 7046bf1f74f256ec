"""Small files that cost much memory or time to decode, made on the spot."""

import struct
import zlib

import numpy as np

from tests.audio_files import ffmpeg, sndfile, spoken
from workers.audio.memo import SAMPLING_RATE

SIGNAL = spoken(3.0)


def many_claimed_samples(count: int = 85_000_000, *, padding: int = 0) -> bytes:
    """An m4a whose tables claim `count` samples of one byte each; padding: bytes of a box behind it."""
    data = bytearray(ffmpeg(SIGNAL, container="ipod", codec="aac", rate=44100))
    for name, offset, values in ((b"stsz", 4, (1, count)), (b"stts", 8, (count, 1024)), (b"stsc", 8, (1, count, 1))):
        struct.pack_into(f">{len(values)}I", data, data.index(name) + 4 + offset, *values)
    return bytes(data) + (_box(b"free", bytes(padding)) if padding else b"")


def many_claimed_fragment_samples(count: int = 85_000_000) -> bytes:
    """A fragmented MP4 whose one fragment claims `count` samples, all of default size."""
    data = bytearray(
        ffmpeg(SIGNAL, container="mp4", codec="aac", rate=48000, movflags="empty_moov+frag_keyframe"),
    )
    struct.pack_into(">II", data, data.index(b"trun") + 4, 0, count)
    return bytes(data)


def many_tag_frames(count: int = 60_000) -> bytes:
    """An MP3 with an ID3 tag of distinct frames."""
    frames = b"".join(b"TXXX" + struct.pack(">I", 12) + b"\0\0\0%06d\0abcd" % number for number in range(count))
    return id3(frames) + ffmpeg(SIGNAL, container="mp3", codec="libmp3lame", rate=44100)


def large_cover(side: int = 16_000) -> bytes:
    """An MP3 with an image of side × side pixels."""
    return id3(_apic(png(side))) + ffmpeg(SIGNAL, container="mp3", codec="libmp3lame", rate=44100)


def large_cover_of_m4a(side: int = 16_000) -> bytes:
    """An m4a with an image of side × side pixels."""
    data = ffmpeg(SIGNAL, container="ipod", codec="aac", rate=44100)
    picture = _box(b"covr", _box(b"data", struct.pack(">II", 14, 0) + png(side)))
    handler = _box(b"hdlr", b"\0" * 8 + b"mdirappl" + b"\0" * 9)
    tags = _box(b"udta", _box(b"meta", b"\0\0\0\0" + handler + _box(b"ilst", picture)))
    at = data.index(b"moov") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    assert at + size == len(data)
    return data[:at] + struct.pack(">I", size + len(tags)) + data[at + 4 :] + tags


def long_silence(seconds: float = 1740.0) -> bytes:
    """Minutes of Opus in few bytes."""
    return sndfile(np.zeros(round(seconds * SAMPLING_RATE), np.float32), kind="OGG", subtype="OPUS")


def many_channels(channels: int = 64, rate: int = 192_000) -> bytes:
    """Ogg Vorbis of many channels at a high rate."""
    return sndfile(np.zeros(SAMPLING_RATE // 4, np.float32), kind="OGG", subtype="VORBIS", rate=rate, channels=channels)


def id3(frames: bytes) -> bytes:
    """An ID3v2.4 tag of these frames."""
    return b"ID3\x04\0\0" + _seven_bits(len(frames)) + frames


def png(side: int) -> bytes:
    """The first rows of a black picture: a decoder makes room for all of them."""
    pixels = zlib.compress(bytes((4 * side + 1) * 16))
    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def _apic(picture: bytes) -> bytes:
    content = b"\0image/png\0\x03\0" + picture
    return b"APIC" + _seven_bits(len(content)) + b"\0\0" + content


def _seven_bits(size: int) -> bytes:
    return bytes(size >> shift & 127 for shift in (21, 14, 7, 0))


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content
