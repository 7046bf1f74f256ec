"""What a WAVE header promises, because libsndfile quietly trims the promise to what is there."""

import struct

UNKNOWN_SIZES = frozenset({0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF})
"""Data sizes that recorders write when they cannot go back and fill in the true one: they promise nothing."""


def declared_wave(data: bytes) -> float | None:
    """Seconds of audio that a RIFF/WAVE header promises; None where it promises nothing.

    data: the file. The 64-bit sizes of RF64 and the big-endian RIFX are not read: None.
    """
    if data[:4] != b"RIFF":
        return None
    position, bytes_per_s = 12, 0
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        if name == b"fmt " and position + 24 <= len(data):
            bytes_per_s = struct.unpack_from("<I", data, position + 16)[0]
        if name == b"data":
            return None if size in UNKNOWN_SIZES or not bytes_per_s else size / bytes_per_s
        position += 8 + size + size % 2
    return None
