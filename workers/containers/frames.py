"""Walk files that are frames without a container: MPEG audio, AAC in ADTS, AMR. Pure.

Such files are joined by appending them, carry tags anywhere, and begin with leftovers of streams; demuxers stop at what
they did not expect. The walk keeps frames only, and knows where a frame is missing or cut.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from workers.containers.kinds import id3v2_length

SURE = 4
"""Frames in a row, each beginning where the one before ends, that make bytes without a header audio."""
HEAD_BYTES = 1 << 20
"""The first frame is found within so many bytes."""
LOST_SHARE = 0.01
"""Share of unknown bytes between frames above which audio is lost."""
LOST_BYTES = 4096
SLACK_BYTES = 4
"""Some encoders leave out the padding of the last frame."""
TAIL_BYTES = 256
"""So many unknown bytes at the end of an AMR file, such as a multipart boundary, are none of its frames."""
ID3V1_BYTES = 128
APE_BYTES = 32
AMR_MAGIC = re.compile(rb"#!AMR(-WB)?\n")
AMR_BYTES = {b"": (13, 14, 16, 18, 20, 21, 27, 32, 6), b"-WB": (18, 24, 33, 37, 41, 47, 51, 59, 61, 6)}
"""Bytes of a frame by its mode, the header of one byte included; 15 is a frame without data."""
_RATES = (44100, 48000, 32000)
_KBITS = {
    (3, 3): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 1): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates (kbit/s) by version (3: MPEG 1, 2: MPEG 2 and 2.5) and layer bits (3: layer I, 1: layer III)."""

Header = Callable[[bytes, int], tuple[int, bytes] | None]
"""Length in bytes of the frame at a position, and what does not change within a stream; None if there is no frame."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Frames of one stream, without tags between them. truncated: a frame is cut, or clearly bytes are missing."""

    data: bytes
    truncated: bool


def mpeg_header(data: bytes, at: int) -> tuple[int, bytes] | None:
    """The MPEG audio frame at `at`: layers I to III, versions 1, 2 and 2.5."""
    head = data[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer, rate_index = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 2 & 3
    bits_index, padding = head[2] >> 4, head[2] >> 1 & 1
    if version == 1 or layer == 0 or rate_index == 3 or not 0 < bits_index < 15:
        return None
    family = 3 if version == 3 else 2
    table = _KBITS.get((family, layer)) or _KBITS[family, 1]
    rate = _RATES[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    bits = table[bits_index] * 1000
    if layer == 3:
        length = (12 * bits // rate + padding) * 4
    else:
        length = (72 if family == 2 and layer == 1 else 144) * bits // rate + padding
    return length, bytes((head[1] & 0xFE, head[2] & 0x0C))


def adts_header(data: bytes, at: int) -> tuple[int, bytes] | None:
    """The AAC frame in ADTS at `at`."""
    head = data[at : at + 7]
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return None
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return (length, bytes((head[1] & 0xFE, head[2] & 0xFD, head[3] & 0xC0))) if length >= 7 else None


def frames_kind(data: bytes) -> str | None:
    """FFmpeg's name of frames without a container that these bytes hold, `mp3` or `aac`; None if they hold none."""
    found = {kind: _first(data, header, 0, HEAD_BYTES) for kind, header in HEADERS.items()}
    kinds = sorted((at, kind) for kind, at in found.items() if at is not None)
    return kinds[0][1] if kinds else None


HEADERS: dict[str, Header] = {"mp3": mpeg_header, "aac": adts_header}


def framed_streams(data: bytes, kind: str) -> Iterator[Stream]:
    """The streams of a file of MPEG or ADTS frames: a new one where an index (Xing) or other parameters begin."""
    header = HEADERS[kind]
    at = _first(data, header, 0, HEAD_BYTES)
    pieces: list[bytes] = []
    key, lost, start = b"", 0, at or 0
    while at is not None and at < len(data):
        frame = header(data, at)
        if frame is not None and (key in {b"", frame[1]} or _is_sure(data, header, at)):
            begins = bool(pieces or at > start) and (key != frame[1] or _is_index(data, at, kind))
            if begins:
                pieces.append(data[start:at])
                yield Stream(b"".join(pieces), _is_lossy(lost, pieces))
                pieces, lost, start = [], 0, at
            key = frame[1]
            if at + frame[0] > len(data) + SLACK_BYTES:
                yield Stream(b"".join([*pieces, data[start:at]]), truncated=True)
                return
            at += frame[0]
            continue
        pieces.append(data[start : min(at, len(data))])
        tag = tag_length(data, at)
        following = at + tag if tag else _first(data, header, at + 1, len(data))
        if not tag and following is not None:
            lost += following - at
        at = start = following if following is not None else len(data)
    pieces.append(data[start:])
    if any(pieces):
        yield Stream(b"".join(pieces), _is_lossy(lost, pieces))


def declares_frames(data: bytes, at: int = 0) -> bool:
    """Whether the MPEG frame at `at` counts those of its stream (Xing, Info); else sizes only estimate the length."""
    return any(data[at + offset : at + offset + 4] in {b"Xing", b"Info"} for offset in (13, 21, 36))


def amr_streams(data: bytes) -> Iterator[Stream]:
    """The streams of an AMR file, each with its magic."""
    at = start = 0
    sizes: tuple[int, ...] = ()
    while at < len(data):
        if magic := AMR_MAGIC.match(data, at):
            if at > start:
                yield Stream(data[start:at], truncated=False)
            start, at, sizes = at, magic.end(), AMR_BYTES[magic[1] or b""]
            continue
        mode = data[at] >> 3 & 15
        length = sizes[mode] if mode < len(sizes) else 1 if mode >= 14 else 0
        if not length or data[at] & 0x83:
            is_tail = len(data) - at <= TAIL_BYTES or tag_length(data, at) > 0
            yield Stream(
                data[start : at if is_tail else len(data)], truncated=False
            )  # else the decoder judges the rest
            return
        if at + length > len(data):
            yield Stream(data[start:at], truncated=True)
            return
        at += length
    yield Stream(data[start:], truncated=False)


def tag_length(data: bytes, at: int) -> int:
    """Bytes of the ID3 or APE tag at `at`, 0 if there is none."""
    if data[at : at + 3] == b"TAG":
        return ID3V1_BYTES
    if data[at : at + 8] == b"APETAGEX":
        size = int.from_bytes(data[at + 12 : at + 16], "little")
        has_header = data[at + 23 : at + 24] >= b"\x80"
        return size + (APE_BYTES if has_header else 0) or APE_BYTES
    return id3v2_length(data, at)


_SYNC = re.compile(rb"\xff[\xe0-\xff]")


def _first(data: bytes, header: Header, start: int, end: int) -> int | None:
    """The first position in start:end at which frames begin, None if there is none."""
    for match in _SYNC.finditer(data, start, end):
        if _is_sure(data, header, match.start()):
            return match.start()
    return None


def _is_sure(data: bytes, header: Header, at: int) -> bool:
    """Whether SURE frames of one stream follow each other, or fewer up to a tag or the end."""
    key = b""
    for count in range(SURE):
        frame = header(data, at)
        if frame is None:
            return count > 1 and (at == len(data) or tag_length(data, at) > 0)
        if key not in {b"", frame[1]}:
            return False
        key = frame[1]
        at += frame[0]
    return True


def _is_index(data: bytes, at: int, kind: str) -> bool:
    """Whether the MPEG frame at `at` is the index with which an encoder begins a file: Xing, Info or VBRI."""
    return kind == "mp3" and (declares_frames(data, at) or data[at + 36 : at + 40] == b"VBRI")


def _is_lossy(lost: int, pieces: list[bytes]) -> bool:
    return lost > LOST_BYTES and lost > LOST_SHARE * sum(map(len, pieces))
