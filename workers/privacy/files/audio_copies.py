"""Copies of audio, sealed with the key of their person and month in segments of 64 KB.

    header (21 bytes, as of a sealed record) | salt (16) | segment | segment | … | last segment

Each file has a key of its own, derived from the person's `audio` key and the salt. A segment is AES-256-GCM; its nonce
has its number and whether it is the last, so none can be removed, repeated or exchanged. Files in clear stay readable.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from schemas.codec import DecodeError
from schemas.errors import Poison
from schemas.key_purposes import Purpose
from schemas.sealed_frame import HEADER_BYTES, header, is_sealed, parse_header
from schemas.settings import Settings
from workers.privacy.clear_records import FORGED, NOW
from workers.privacy.sealing import sealing_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SEGMENT_BYTES = 64 * 1024
"""Of audio in a segment; the last one may have fewer, and none."""
SALT_BYTES, TAG_BYTES = 16, 16
BEGINNING = HEADER_BYTES + SALT_BYTES


class AudioCopies:
    """What this process does with copies of audio. Every call may block; settings: whether they are sealed."""

    def __init__(self, settings: Settings) -> None:
        self._border = sealing_of(settings)

    @property
    def are_sealed(self) -> bool:
        """Whether new copies are sealed."""
        return self._border.is_on

    def room(self, most_bytes: int) -> int:
        """Bytes by which a copy of so many bytes of audio is longer; 0 where nothing was ever sealed."""
        return BEGINNING + (most_bytes // SEGMENT_BYTES + 1) * TAG_BYTES if self._border.has_keys else 0

    def name(self, user_id: str, digest: str) -> str:
        """What a copy of this audio is called, without its suffix: the digest, or what says nothing of it."""
        if not self._border.is_on:
            return digest
        subject = self._subject(user_id)
        return f"{subject.hex()}-{self._border.token(subject, digest)}"

    def sealed(self, user_id: str, data: bytes) -> bytes:
        """The bytes of a copy. Raises Erased while the person is being erased, Transient."""
        if not self._border.is_on:
            return data
        subject = self._subject(user_id)
        keyring = self._border.keyring
        epoch = keyring.epoch(subject)
        head, salt = header(subject, epoch), os.urandom(SALT_BYTES)
        return head + salt + b"".join(_segments(keyring.subkey(subject, epoch, Purpose.AUDIO), head, salt, data))

    def opened(self, data: bytes) -> bytes:
        """The audio of a copy. Raises Poison `record:forged` for one that was changed or cut; Erased, Transient."""
        if not (is_sealed(data) and self._border.has_keys):
            return data
        try:
            subject, epoch = parse_header(data[:HEADER_BYTES])
        except DecodeError:
            raise _forged() from None
        keyring = self._border.keyring
        keyring.warm_now(frames=[(subject, epoch)])
        key = keyring.subkey(subject, epoch, Purpose.AUDIO)
        return b"".join(_pieces(key, data[:HEADER_BYTES], data[HEADER_BYTES:BEGINNING], memoryview(data)[BEGINNING:]))

    def _subject(self, user_id: str) -> bytes:
        keyring = self._border.keyring
        keyring.warm_now([user_id], enrol=True, since=NOW)
        return keyring.subject(user_id)


def _cipher(key: bytes, salt: bytes) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from workers.privacy.store_keys import expand

    return AESGCM(expand(key, b"undertone/audio-copy/" + salt))


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _segments(key: bytes, head: bytes, salt: bytes, data: bytes) -> Iterator[bytes]:
    cipher, end = _cipher(key, salt), max(len(data) - 1, 0) // SEGMENT_BYTES
    for number in range(end + 1):
        part = data[number * SEGMENT_BYTES : (number + 1) * SEGMENT_BYTES]
        yield cipher.encrypt(_nonce(number, number == end), part, head)


def _pieces(key: bytes, head: bytes, salt: bytes, body: memoryview) -> Iterator[bytes]:
    from cryptography.exceptions import InvalidTag

    length = SEGMENT_BYTES + TAG_BYTES
    cipher, end = _cipher(key, salt), max(len(body) - 1, 0) // length
    for number in range(end + 1):
        part = body[number * length : (number + 1) * length]
        try:
            yield cipher.decrypt(_nonce(number, number == end), part, head)
        except (InvalidTag, ValueError):
            raise _forged() from None


def _forged() -> Poison:
    return Poison(FORGED, "the sealed copy of the audio was changed or cut")
