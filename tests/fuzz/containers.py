"""Recordings mutated where their containers say what stands where: chunks, boxes, pages, blocks, frames."""

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from random import Random

from tests.audio_files import encodings, spoken
from tests.fuzz.values import INTEGERS, scrambled

SECONDS = 0.6
Piece = tuple[int, int]
"""Start and end of one part of a file: a chunk, a box, a page, with its head."""


@cache
def whole() -> Mapping[str, bytes]:
    """One short recording in every encoding, with which nothing is wrong."""
    return encodings(spoken(SECONDS))


def fuzzed(rng: Random) -> tuple[str, bytes]:
    """The name of an encoding, and a recording in it after a few changes."""
    name = rng.choice(sorted(whole()))
    data = whole()[name]
    for _ in range(rng.choice((1, 1, 2, 3))):
        structured = rng.random() < 0.6
        data = _by_structure(data, rng) if structured else scrambled(data, rng, tuple(whole().values()))
    return name, data


def _by_structure(data: bytes, rng: Random) -> bytes:
    pieces = _pieces(data)
    if not pieces:
        return scrambled(data, rng)
    return rng.choice(_CHANGES)(data, pieces, rng)


def _pieces(data: bytes) -> list[Piece]:
    """The parts of a file, whatever it is; none for what has no parts."""
    if data[:4] in {b"RIFF", b"RF64"}:
        return _chunks(data, 12, "<I")
    if data[:4] == b"FORM":
        return _chunks(data, 12, ">I")
    if data[:4] == b"fLaC":
        return _blocks(data)
    if data[:4] == b"OggS":
        return _pages(data)
    if data[4:8] in {b"ftyp", b"moov", b"mdat", b"free"}:
        return _boxes(data, 0, len(data))
    if data[:4] == b"\x1a\x45\xdf\xa3":
        return _elements(data)
    return _frames(data)


def _chunks(data: bytes, at: int, form: str) -> list[Piece]:
    found = []
    while at + 8 <= len(data):
        (size,) = struct.unpack(form, data[at + 4 : at + 8])
        end = min(at + 8 + size + size % 2, len(data))
        found.append((at, end))
        at = end
    return found


def _blocks(data: bytes) -> list[Piece]:
    found: list[Piece] = []
    at, last = 4, False
    while not last and at + 4 <= len(data):
        last, size = bool(data[at] & 0x80), int.from_bytes(data[at + 1 : at + 4])
        found.append((at, min(at + 4 + size, len(data))))
        at += 4 + size
    return found


def _pages(data: bytes) -> list[Piece]:
    starts = [at for at in range(len(data) - 4) if data[at : at + 4] == b"OggS"]
    return list(zip(starts, [*starts[1:], len(data)], strict=True))


HOLDING = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"udta", b"edts", b"mvex"})


def _boxes(data: bytes, at: int, end: int) -> list[Piece]:
    found = []
    while at + 8 <= end:
        size, name = struct.unpack(">I4s", data[at : at + 8])
        stop = min(at + max(size, 8), end)
        found.append((at, stop))
        if name in HOLDING:
            found += _boxes(data, at + 8, stop)
        at = stop
    return found


EBML_HEADS = (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75",
              b"\x1c\x53\xbb\x6b", b"\xa3", b"\xae", b"\xe1", b"\x63\xa2", b"\xb5", b"\x9f")  # fmt: skip
"""Elements of Matroska by id: of segment, info, tracks, clusters, cues, blocks and audio."""


def _elements(data: bytes) -> list[Piece]:
    starts = sorted({at for head in EBML_HEADS for at in _places(data, head)})
    return list(zip(starts, [*starts[1:], len(data)], strict=True))


def _places(data: bytes, head: bytes) -> list[int]:
    found: list[int] = []
    at = data.find(head)
    while at >= 0 and len(found) < 50:
        found.append(at)
        at = data.find(head, at + 1)
    return found


def _frames(data: bytes) -> list[Piece]:
    """MPEG and ADTS frames by their sync word; of AMR and others, pieces of 32 bytes."""
    starts = [at for at in range(len(data) - 1) if data[at] == 0xFF and data[at + 1] & 0xE0 == 0xE0]
    starts = starts or list(range(0, len(data), 32))
    return list(zip(starts, [*starts[1:], len(data)], strict=True))


def _field(data: bytes, pieces: Sequence[Piece], rng: Random) -> bytes:
    """A number near the head of a part, which is where sizes, counts and rates are."""
    start, end = rng.choice(pieces)
    at = rng.randrange(start, max(min(end, start + 64), start + 1))
    form = rng.choice((">B", "<H", ">H", "<I", ">I", ">I", "<Q", ">Q"))
    size = struct.calcsize(form)
    value = rng.choice((*INTEGERS, 85_000_000, len(data), len(data) - at))
    return _sealed(data[:at] + struct.pack(form, value & (1 << 8 * size) - 1) + data[at + size :])


def _drop(data: bytes, pieces: Sequence[Piece], rng: Random) -> bytes:
    start, end = rng.choice(pieces)
    return data[:start] + data[end:]


def _double(data: bytes, pieces: Sequence[Piece], rng: Random) -> bytes:
    start, end = rng.choice(pieces)
    times = rng.choice((2, 2, 3, 200)) if end - start < 10_000 else 2
    return data[:start] + data[start:end] * times + data[end:]


def _swap(data: bytes, pieces: Sequence[Piece], rng: Random) -> bytes:
    (a, b), (c, d) = sorted((rng.choice(pieces), rng.choice(pieces)))
    return data if b > c else data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _nest(data: bytes, pieces: Sequence[Piece], rng: Random) -> bytes:
    """A part within itself, many times over."""
    start, _ = rng.choice(pieces)
    head = data[start : start + 8]
    return data[:start] + head * rng.choice((2, 50, 2000)) + data[start:]


def _hollow(data: bytes, pieces: Sequence[Piece], rng: Random) -> bytes:
    """A part's body replaced by bytes of any kind."""
    start, end = rng.choice(pieces)
    body = rng.choice((b"\0", b"\xff", b"\x80", rng.randbytes(3)))
    return _sealed(data[: start + 8] + (body * (end - start))[: max(end - start - 8, 0)] + data[end:])


def _sealed(data: bytes) -> bytes:
    """An Ogg file with its checksums made anew, without which no reader looks further; any other as it is."""
    if data[:4] != b"OggS":
        return data
    out = bytearray(data)
    for start, end in _pages(data):
        if end - start < 27:
            continue
        stop = start + 27 + data[start + 26]
        stop = min(stop + sum(data[start + 27 : stop]), end)
        out[start + 22 : start + 26] = b"\0\0\0\0"
        out[start + 22 : start + 26] = struct.pack("<I", _ogg_crc(bytes(out[start:stop])))
    return bytes(out)


@cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)
        table.append(value & 0xFFFFFFFF)
    return tuple(table)


def _ogg_crc(data: bytes) -> int:
    """Ogg's checksum (RFC 3533, section 6): polynomial 0x04C11DB7, not reflected, from 0."""
    table, crc = _crc_table(), 0
    for byte in data:
        crc = (crc << 8 & 0xFFFFFFFF) ^ table[crc >> 24 ^ byte]
    return crc


_CHANGES: Sequence[Callable[[bytes, Sequence[Piece], Random], bytes]] = (
    _field, _field, _field, _drop, _double, _swap, _nest, _hollow,
)  # fmt: skip
