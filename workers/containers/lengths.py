"""Detect truncated files from the length their container declares, because decoders silently accept less. Pure."""

import struct
from collections.abc import Iterator

from workers.containers.boxes import top_level_boxes
from workers.containers.ogg_pages import CAPTURE, HEADER_BYTES
from workers.containers.riff_wave import SLACK_BYTES, Chunk, is_placeholder, is_short

CAF_CHUNKS = frozenset(b"desc data free pakt chan kuki info uuid mark regn inst umid midi ovvw peak edct strg".split())
EBML_SEGMENT = b"\x18\x53\x80\x67"
W64_GUID_BYTES = 16
W64_GUID_END = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
"""Of every chunk inside of a W64 file; that of the file itself ends otherwise."""
ASF_OBJECTS = tuple(
    bytes.fromhex(text)
    for text in (
        "3026b2758e66cf11a6d900aa0062ce6c",  # header
        "3626b2758e66cf11a6d900aa0062ce6c",  # data
        "90080033b1e5cf1189f400a0c90349cb",  # simple index
        "d329e2d6da35d111903400a0c90349be",  # index
    )
)


def ends_early(data: bytes, kind: str) -> bool:
    """Whether the container declares more bytes than there are. kind: FFmpeg's name of its format.

    False for formats without sizes, and for files written as a stream, whose sizes are placeholders.
    """
    reader = _READERS.get(kind)
    if reader is None:
        return False
    sizes = ((len(data) - start, size) for _, start, size in reader(data) if not _is_unknown(size))
    return any(is_short(available, size) for available, size in sizes)


def container_end(data: bytes, kind: str) -> int:
    """Where a file that declares its own length ends, at most the end of the data."""
    reader = _ENDS.get(kind)
    sizes = [start + size for _, start, size in reader(data) if not _is_unknown(size)] if reader else []
    return min(max(sizes, default=len(data)), len(data)) or len(data)


def _is_unknown(size: int) -> bool:
    """Whether a size was left open by a recorder that cannot seek back to write it."""
    return size in {0, 2**64 - 1} or is_placeholder(size)


Chunks = Iterator[Chunk]


def _iff_chunks(data: bytes) -> Chunks:
    yield b"FORM", 8, int.from_bytes(data[4:8], "big")


def _caf_chunks(data: bytes) -> Chunks:
    position = 8
    while position + 12 <= len(data):
        name, size = struct.unpack_from(">4sQ", data, position)
        if name not in CAF_CHUNKS:  # bytes behind the file
            return
        yield name, position + 12, size
        position += 12 + size


def _au_chunks(data: bytes) -> Chunks:
    if len(data) >= 12:
        start, size = struct.unpack_from(">II", data, 4)
        yield b"data", start, size


def _w64_chunks(data: bytes) -> Chunks:
    position = 40
    while position + 24 <= len(data):
        size = struct.unpack_from("<Q", data, position + W64_GUID_BYTES)[0]
        if size < 24 or data[position + 4 : position + W64_GUID_BYTES] != W64_GUID_END:
            return
        yield data[position : position + 4], position + 24, size - 24
        position += (size + 7) // 8 * 8


def _asf_objects(data: bytes) -> Chunks:
    position = 0
    while position + 24 <= len(data):
        name, size = struct.unpack_from("<16sQ", data, position)
        first = not position
        if size < 24 or name not in ASF_OBJECTS or (name == ASF_OBJECTS[0] and not first):
            return
        yield name, position + 24, size - 24
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
    at = data.rfind(CAPTURE)
    table = at + HEADER_BYTES
    count = data[table - 1] if table <= len(data) else 0
    segments = data[table : table + count]
    # A truncated table means at least as many missing bytes as missing entries.
    missing = SLACK_BYTES + count + 1 if table > len(data) or len(segments) < count else 0
    yield CAPTURE, table + count, max(sum(segments), 1) + missing


_READERS = {
    "aiff": _iff_chunks,
    "caf": _caf_chunks,
    "au": _au_chunks,
    "w64": _w64_chunks,
    "mov": top_level_boxes,
    "matroska": _matroska_chunks,
    "ogg": _ogg_chunks,
}
_ENDS = {"aiff": _iff_chunks, "caf": _caf_chunks, "au": _au_chunks, "w64": _w64_chunks, "asf": _asf_objects}
