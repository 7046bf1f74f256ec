"""The third framing of a value: sealed. The layout of its header, and no cryptography.

    0xC3 0x53 | version 1 | subject 16 | epoch 2, big-endian | nonce 12 | ciphertext and its tag of 16 (AES-256-GCM)

The subject is the person's random name outside of processes, the epoch the month of the key
(`schemas/key_purposes.py`). Everything before the nonce is authenticated with the topic and the kind of the record.
"""

import struct
from typing import NamedTuple

from schemas.codec import DecodeError

SEALED_MAGIC = b"\xc3\x53"
VERSION = 1
SUBJECT_BYTES, NONCE_BYTES, TAG_BYTES = 16, 12, 16

_HEADER = struct.Struct(">2sB16sH")
HEADER_BYTES = _HEADER.size
SUBJECT = slice(3, 3 + SUBJECT_BYTES)
"""Where the subject is in a header."""
OVERHEAD_BYTES = HEADER_BYTES + NONCE_BYTES + TAG_BYTES
"""By how much a sealed value is longer than the value."""


class SealedFrame(NamedTuple):
    """A sealed value. body: ciphertext and tag."""

    version: int
    subject: bytes
    epoch: int
    nonce: bytes
    body: bytes


def is_sealed(value: bytes | None) -> bool:
    r"""Whether a value has this framing; its first bytes tell.

    >>> is_sealed(b"\xc3\x53\x01"), is_sealed(b"\xc3\x01"), is_sealed(None)
    (True, False, False)
    """
    return value is not None and value[:2] == SEALED_MAGIC


def parse(value: bytes) -> SealedFrame:
    """The parts of a sealed value. Raises DecodeError for one that is cut, of a newer version, or not sealed."""
    subject, epoch = parse_header(value[:HEADER_BYTES])
    if len(value) < OVERHEAD_BYTES:
        raise DecodeError(f"sealed value of {len(value)} bytes: at least {OVERHEAD_BYTES} are needed")
    body = HEADER_BYTES + NONCE_BYTES
    return SealedFrame(VERSION, subject, epoch, value[HEADER_BYTES:body], value[body:])


def parse_header(head: bytes) -> tuple[bytes, int]:
    """Subject and epoch in the first HEADER_BYTES of a sealed value. Raises DecodeError."""
    if head[:2] != SEALED_MAGIC:
        raise DecodeError("the value is not sealed")
    if len(head) != HEADER_BYTES:
        raise DecodeError(f"sealed value of {len(head)} bytes: at least {OVERHEAD_BYTES} are needed")
    _, version, subject, epoch = _HEADER.unpack(head)
    if version != VERSION:
        raise DecodeError(f"sealed value of version {version}: this Undertone reads version {VERSION}")
    return subject, epoch


def header(subject: bytes, epoch: int) -> bytes:
    """The header: all before the nonce."""
    return _HEADER.pack(SEALED_MAGIC, VERSION, subject, epoch)


def build(subject: bytes, epoch: int, nonce: bytes, body: bytes) -> bytes:
    """A sealed value of its parts. Raises ValueError for parts of a wrong length."""
    if len(subject) != SUBJECT_BYTES or len(nonce) != NONCE_BYTES or len(body) < TAG_BYTES:
        raise ValueError(f"a frame has {SUBJECT_BYTES} bytes of subject, {NONCE_BYTES} of nonce, {TAG_BYTES} of tag")
    return header(subject, epoch) + nonce + body
