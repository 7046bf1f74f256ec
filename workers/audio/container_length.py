"""Detect truncated files from the length their container declares, because decoders silently accept less."""

import struct
from collections.abc import Iterator

SLACK_BYTES = 64
SLACK_SHARE = 0.01
"""Recorders write slightly wrong sizes (a header included, a last byte of padding); more than this is truncation."""
UNKNOWN_SIZES = frozenset({0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF, 2**64 - 1})
"""Placeholder sizes, left by recorders that cannot seek back to write the true one."""
EBML_SEGMENT = b"\x18\x53\x80\x67"
OGG_HEADER_BYTES = 27
HEAD_BYTES = 1 << 16


def wave_seconds(data: bytes) -> float | None:
    """Seconds of audio that a WAVE header declares, None if it declares none."""
    order = ">" if data[:4] == b"RIFX" else "<"
    bytes_per_s = 0
    for name, start, size in _wave_chunks(data):
        if name == b"fmt " and start + 12 <= len(data):
            bytes_per_s = struct.unpack_from(f"{order}I", data, start + 8)[0]
        if name == b"data":
            return None if size in UNKNOWN_SIZES or not bytes_per_s else size / bytes_per_s
    return None


def declares_mpeg_frames(data: bytes) -> bool:
    """Whether an MPEG stream starts with its frame count (Xing, Info); else its length is an estimate from its size."""
    return b"Xing" in data[:HEAD_BYTES] or b"Info" in data[:HEAD_BYTES]


def ends_early(data: bytes, kind: str) -> bool:
    """Whether the container declares more bytes than there are. kind: FFmpeg's name of its format.

    False for formats without sizes, and for files written as a stream, whose sizes are placeholders.
    """
    reader = _READERS.get(kind)
    if reader is None:
        return False
    missing = [(start + size - len(data), size) for _, start, size in reader(data) if size not in UNKNOWN_SIZES]
    return any(short > SLACK_BYTES + SLACK_SHARE * size for short, size in missing)


Chunks = Iterator[tuple[bytes, int, int]]
"""Name, start of the content, and size of the content in bytes."""


def _wave_chunks(data: bytes) -> Chunks:
    order = ">" if data[:4] == b"RIFX" else "<"
    position, long_size = 12, 0
    while position + 8 <= len(data):
        name, size = struct.unpack_from(f"{order}4sI", data, position)
        if name == b"ds64" and position + 24 <= len(data):
            long_size = struct.unpack_from("<Q", data, position + 16)[0]
        if name == b"data" and size == 0xFFFFFFFF and long_size:
            size = long_size
        yield name, position + 8, size
        position += 8 + size + size % 2


def _iff_chunks(data: bytes) -> Chunks:
    yield b"FORM", 8, int.from_bytes(data[4:8], "big")


def _caf_chunks(data: bytes) -> Chunks:
    position = 8
    while position + 12 <= len(data):
        name, size = struct.unpack_from(">4sQ", data, position)
        yield name, position + 12, size
        position += 12 + size


def _mov_chunks(data: bytes) -> Chunks:
    position = 0
    while position + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, position)
        header = 8
        if size == 1 and position + 16 <= len(data):
            header, size = 16, struct.unpack_from(">Q", data, position + 8)[0]
        if size < header:  # 0: up to the end of the file
            return
        yield name, position + header, size - header
        position += size


def _matroska_chunks(data: bytes) -> Chunks:
    at = data.find(EBML_SEGMENT, 0, 4096)
    if at < 0 or at + 5 > len(data):
        return
    first = data[at + 4]
    width = 9 - first.bit_length()
    size = int.from_bytes(data[at + 4 : at + 4 + width], "big") - (1 << (7 * width))
    if width <= 8 and size != (1 << (7 * width)) - 1:  # all ones: unknown
        yield EBML_SEGMENT, at + 4 + width, size


def _ogg_chunks(data: bytes) -> Chunks:
    """Yield the last page only; its size is the sum of its segment table."""
    at = data.rfind(b"OggS")
    table = at + OGG_HEADER_BYTES
    count = data[table - 1] if table <= len(data) else 0
    segments = data[table : table + count]
    # A truncated table means at least as many missing bytes as missing entries.
    missing = SLACK_BYTES + count + 1 if table > len(data) or len(segments) < count else 0
    yield b"OggS", table + count, max(sum(segments), 1) + missing


_READERS = {
    "wav": _wave_chunks,
    "aiff": _iff_chunks,
    "caf": _caf_chunks,
    "mov": _mov_chunks,
    "matroska": _matroska_chunks,
    "ogg": _ogg_chunks,
}
