"""Walk the boxes of MP4 and QuickTime files: joined files, and tables that claim more than a file can hold. Pure."""

import struct
from collections.abc import Iterator

TOP_LEVEL = frozenset(
    b"ftyp moov mdat wide free skip pnot PICT styp moof mfra sidx ssix uuid udta meta emsg prft pdin junk".split()
)
"""Boxes that stand at the top; other bytes there are not of the file."""
PARENTS = frozenset(b"moov trak mdia minf stbl moof traf".split())
SAMPLES_PER_BYTE = 8
"""More samples than this for each byte of the file are a false claim: QuickTime counts uncompressed samples."""
DEPTH_MAX = 8

Box = tuple[bytes, int, int]
"""Name, start of the content, and size of the content in bytes."""


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes between two positions, those inside of boxes not included. Sizes are as declared."""
    end = len(data) if end is None else min(end, len(data))
    while start + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, start)
        header = 8
        if size == 1 and start + 16 <= end:
            header, size = 16, struct.unpack_from(">Q", data, start + 8)[0]
        if size == 0:  # up to the end of the file
            size = end - start
        if size < header:
            return
        yield name, start + header, size - header
        start += size


def top_level_boxes(data: bytes) -> Iterator[Box]:
    """The boxes of a file, up to bytes behind it that are none."""
    for box in boxes(data):
        if box[0] not in TOP_LEVEL:
            return
        yield box


def mov_links(data: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of each file in joined ones: each begins with `ftyp`."""
    start, has_content = 0, False
    for name, content, size in top_level_boxes(data):
        at = content - 8 if data[content - 4 : content] == name else content - 16
        if name == b"ftyp" and has_content:
            yield start, at
            start, has_content = at, False
        has_content |= name in {b"moov", b"mdat", b"moof"}
        end = content + size
        if end > len(data):
            break
    yield start, len(data)


def has_several_movies(data: bytes) -> bool:
    """Whether there are two `moov` boxes in one file, of which a decoder reads one."""
    return sum(name == b"moov" for name, _, _ in top_level_boxes(data)) > 1


def claims_too_many_samples(data: bytes) -> bool:
    """Whether a sample table or a track fragment claims more samples than the file can hold.

    A demuxer allocates 24 bytes for each before it reads any.
    """
    most = SAMPLES_PER_BYTE * len(data)
    return any(count > most for count in _claims(data, 0, len(data), DEPTH_MAX))


def _claims(data: bytes, start: int, end: int, depth: int) -> Iterator[int]:
    for name, content, size in boxes(data, start, end):
        if name in PARENTS and depth:
            yield from _claims(data, content, min(content + size, end), depth - 1)
        elif name in {b"stsz", b"stz2"} and content + 12 <= len(data):
            yield struct.unpack_from(">I", data, content + 8)[0]
        elif name == b"trun" and content + 8 <= len(data):
            yield struct.unpack_from(">I", data, content + 4)[0]
        elif name in {b"stts", b"ctts"}:
            yield _run_lengths(data, content, min(content + size, end))


def _run_lengths(data: bytes, content: int, end: int) -> int:
    """Sum of the counts of a table of (count, value)."""
    if content + 8 > end:
        return 0
    entries = min(struct.unpack_from(">I", data, content + 4)[0], (end - content - 8) // 8)
    pairs = struct.unpack_from(f">{2 * entries}I", data, content + 8)
    return sum(pairs[::2])
