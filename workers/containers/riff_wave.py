"""Read WAVE files as their recorders leave them: placeholder sizes, bytes behind the end, headers never completed.

Where a header and the file disagree, the samples that are there decide; only a header that clearly declares more than
there is means truncation. Pure.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from workers.containers.kinds import magic_kind

SLACK_BYTES = 64
SLACK_SHARE = 0.01
"""Recorders write slightly wrong sizes (a header included, a last byte of padding); more than this is truncation."""
NEAR = 1 << 17
"""A size this close to 2 or 4 GiB is a placeholder: recorders subtract headers or round to frames and pages."""
WAVE_FORMATS = {0x0001: "PCM", 0x0003: "float", 0x0006: "A-law", 0x0007: "mu-law", 0xFFFE: "extensible"}
"""Formats whose samples have a fixed size, so that their length follows from bytes."""
HEADER_BYTES = 12
RIFF_WAVE = (b"RIFFWAVE", b"RIFXWAVE", b"RF64WAVE")

Chunk = tuple[bytes, int, int]
"""Name, start of the content, and size of the content in bytes."""


@dataclass(frozen=True, slots=True)
class Wave:
    """One WAVE file at the start of some bytes.

    samples: start and end of its samples; declared: bytes of samples that the header declares, None for a placeholder;
    fmt: start of its format, None if missing; end: where the next file may begin.
    """

    samples: tuple[int, int]
    declared: int | None
    fmt: int | None
    end: int

    @property
    def truncated(self) -> bool:
        """Whether clearly fewer bytes follow than the header declares."""
        return is_short(self.samples[1] - self.samples[0], self.declared)


def is_short(available: int, declared: int | None) -> bool:
    """Whether so many bytes are clearly fewer than declared; None: nothing is declared."""
    return declared is not None and declared - available > SLACK_BYTES + SLACK_SHARE * declared


def is_placeholder(size: int) -> bool:
    """Whether a 32-bit size stands for "unknown"; 0 does only if samples follow.

    >>> is_placeholder(0x7FFFF000), is_placeholder(0xFFFFFFFF - 36), is_placeholder(640_000)
    (True, True, False)
    """
    return abs(size - 2**31) <= NEAR or 2**32 - NEAR <= size < 2**32


def read_wave(data: bytes) -> Wave | None:
    """The WAVE file at the start of `data`, None if it has no samples."""
    fmt = None
    for name, start, size in wave_chunks(data):
        if name == b"fmt " and start + 16 <= len(data):
            fmt = start
        if name == b"data":
            return _with_samples(data, fmt, start, size)
    return None


def declared_s(data: bytes, wave: Wave) -> float | None:
    """Seconds that the header declares; None for a placeholder, and for formats whose samples have no fixed size."""
    if wave.fmt is None or wave.declared is None:
        return None
    form = _format(data, wave.fmt)
    if form.tag not in WAVE_FORMATS or not form.frame_bytes or not form.rate:
        return None
    return wave.declared / (form.frame_bytes * form.rate)


def normalised(data: bytes, wave: Wave) -> bytes:
    """The file with the sizes that its samples have, and nothing after them; so every decoder reads all of it."""
    start, end = wave.samples
    order = _order(data)
    head = bytearray(data[:start])
    if head[:4] == b"RF64":
        head[:4] = b"RIFF"
    struct.pack_into(f"{order}I", head, 4, end - 8)
    struct.pack_into(f"{order}I", head, start - 4, end - start)
    if wave.fmt is not None and (form := _format(data, wave.fmt)).tag in WAVE_FORMATS and form.frame_bytes:
        rates = (form.rate * form.frame_bytes) % 2**32, form.frame_bytes % 2**16
        struct.pack_into(f"{order}IH", head, wave.fmt + 8, *rates)
    return bytes(head) + data[start:end]


def wave_chunks(data: bytes) -> Iterator[Chunk]:
    """Chunks up to the end of the file or of its first RIFF. Sizes of more than 4 GB are those of RF64's `ds64`."""
    order = _order(data)
    position, long_size = HEADER_BYTES, 0
    while position + 8 <= len(data):
        name, size = struct.unpack_from(f"{order}4sI", data, position)
        if name == b"ds64" and position + 24 <= len(data):
            long_size = struct.unpack_from("<Q", data, position + 16)[0]
        if name == b"data" and size == 2**32 - 1 and long_size:
            size = long_size
        yield name, position + 8, size
        position = _after(data, position + 8 + size, odd=size % 2 == 1)


@dataclass(frozen=True, slots=True)
class _Format:
    tag: int
    rate: int
    frame_bytes: int


def _format(data: bytes, at: int) -> _Format:
    tag, channels, rate, _, _, bits = struct.unpack_from(f"{_order(data)}HHIIHH", data, at)
    return _Format(tag, rate, channels * ((bits + 7) // 8))


def _order(data: bytes) -> str:
    return ">" if data[:4] == b"RIFX" else "<"


def _with_samples(data: bytes, fmt: int | None, start: int, size: int) -> Wave:
    if (is_placeholder(size) and start + size > len(data)) or (size == 0 and not _is_empty(data, start)):
        end = _next_wave(data, start)
        return Wave((start, end), None, fmt, end)
    end = min(start + size, len(data))
    return Wave((start, end), size, fmt, _end_of_file(data, end, odd=size % 2 == 1))


def _is_empty(data: bytes, start: int) -> bool:
    """Whether no samples follow: the file ends here, or chunks fill it exactly up to the size of its RIFF."""
    riff_end = 8 + struct.unpack_from(f"{_order(data)}I", data, 4)[0]
    return start >= len(data) or (start < riff_end <= len(data) and _end_of_file(data, start, odd=False) >= riff_end)


def _next_wave(data: bytes, start: int) -> int:
    """Where another WAVE begins behind samples of unknown size, else the end."""
    at = start
    while (at := data.find(b"WAVEfmt ", at + 1)) >= 0:
        if at - 8 >= start and data[at - 8 : at - 4] + b"WAVE" in RIFF_WAVE:
            return at - 8
    return len(data)


def _end_of_file(data: bytes, position: int, *, odd: bool) -> int:
    """Where the chunks behind the samples end: at another file, at bytes that are no chunk, or at the end."""
    position = _after(data, position, odd=odd)
    while position + 8 <= len(data) and magic_kind(data[position : position + HEADER_BYTES]) is None:
        name, size = struct.unpack_from(f"{_order(data)}4sI", data, position)
        if not _is_name(name) or position + 8 + size > len(data):
            break
        position = _after(data, position + 8 + size, odd=size % 2 == 1)
    return min(position, len(data))


def _after(data: bytes, end: int, *, odd: bool) -> int:
    """Where the next chunk begins: chunks of odd size are padded, but some recorders forget the padding."""
    if not odd:
        return end
    unpadded = data[end : end + HEADER_BYTES]
    follows = magic_kind(unpadded) is not None or unpadded[:4] in {b"fmt ", b"data", b"LIST", b"fact", b"cue ", b"id3 "}
    return end if follows else end + 1


def _is_name(name: bytes) -> bool:
    return all(0x20 <= byte < 0x7F for byte in name)
