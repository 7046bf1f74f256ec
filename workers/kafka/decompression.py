"""Decompresses the records of a batch, up to a limit: a batch of 4 MiB may claim to hold gigabytes."""

import struct
from mmap import mmap

import cramjam
from aiokafka.errors import UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecordBase

MAX_BATCH_BYTES = 64 * 1024 * 1024
"""Bytes of a decompressed batch. Producers compress batches of at most some megabytes."""

_XERIAL, _XERIAL_BYTES = b"\x82SNAPPY\x00", 16
"""Start and length of the header of Java's snappy library; blocks follow, each after its length."""
_UNTOUCHED = b"not written yet!"
"""At the end of the memory for a batch: gone when the batch has filled it."""


def decompressed(codec: int, body: bytes | memoryview) -> tuple[memoryview, bool]:
    """The decompressed records of a batch, and whether they are all there.

    Of a batch of more than MAX_BATCH_BYTES only the start, of damaged ones nothing. body: the bytes after the batch's
    header; codec: as in its attributes.
    """
    room = memoryview(mmap(-1, MAX_BATCH_BYTES))  # pages that are not written take no memory
    room[-len(_UNTOUCHED) :] = _UNTOUCHED
    try:
        return room[: _decompress_into(room, codec, bytes(body))], True
    except (cramjam.DecompressionError, UnsupportedCodecError, ValueError, struct.error):
        full = room[-len(_UNTOUCHED) :] != _UNTOUCHED
        return room[: len(room) if full else 0], False


def _decompress_into(room: memoryview, codec: int, body: bytes) -> int:
    """Bytes written to `room`. Raises as `decompressed` catches."""
    match codec:
        case DefaultRecordBase.CODEC_GZIP:
            return int(cramjam.gzip.decompress_into(body, room))
        case DefaultRecordBase.CODEC_LZ4:
            return int(cramjam.lz4.decompress_into(body, room))
        case DefaultRecordBase.CODEC_ZSTD:
            return int(cramjam.zstd.decompress_into(body, room))
        case DefaultRecordBase.CODEC_SNAPPY if body.startswith(_XERIAL):
            return _decompress_blocks(room, body)
        case DefaultRecordBase.CODEC_SNAPPY:
            return int(cramjam.snappy.decompress_raw_into(body, room))
    raise UnsupportedCodecError(f"unknown codec {codec}")


def _decompress_blocks(room: memoryview, body: bytes) -> int:
    """As `_decompress_into`, of the blocks of Java's snappy library."""
    at, written = _XERIAL_BYTES, 0
    while at < len(body):
        (length,) = struct.unpack_from(">i", body, at)
        if length <= 0:
            raise ValueError("a block without bytes")
        at += 4 + length
        written += int(cramjam.snappy.decompress_raw_into(body[at - length : at], room[written:]))
    return written
