"""A person in the key directory: what its rows hold, and how they are made and opened."""

import os
import struct
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.key_purposes import LASTING, Purpose, epoch_of
from workers.privacy.store_keys import StoreKey, digest_of, expand

KEY_BYTES, SUBJECT_BYTES, NONCE_BYTES = 32, 16, 12
PURPOSE_KEY_BYTES = {Purpose.STATE: 64}
"""Bytes of a purpose's key where it is not 32: AES-256-SIV takes two keys."""
_ENTRY = struct.Struct(">HH")
_INFO = {purpose: b"undertone/data-key/" + purpose.encode() for purpose in Purpose}


def purpose_key(key: bytes, purpose: Purpose) -> bytes:
    """The key of one purpose, from that of a person and an epoch."""
    return expand(key, _INFO[purpose], PURPOSE_KEY_BYTES.get(purpose, KEY_BYTES))


class PersonState(StrEnum):
    """What may be done with a person's data."""

    ACTIVE = "active"
    ERASING = "erasing"
    """No new data is taken, and none is opened; the keys are destroyed next."""
    ERASED = "erased"


class Gone(Enum):
    """In place of a key: that of an erased person, or of an epoch that retention destroyed."""

    ERASED = "erased"


ERASED: Final = Gone.ERASED


class Subject(NamedTuple):
    """A person in the directory. id: 16 random bytes."""

    id: bytes
    state: PersonState


class CachedPerson:
    """What a keyring knows of one person. at: when it was read.

    keys: epoch and length (2 bytes each) and key by turns; epoch: of new data, `month` where its key is among the keys,
    else LASTING.
    """

    __slots__ = ("at", "epoch", "keys", "state", "user")

    def __init__(self, user: str, subject: Subject, keys: Iterable[tuple[int, bytes]], month: int, at: float) -> None:
        self.user, self.state, self.at = user, subject.state, at
        self.keys = b"".join(_ENTRY.pack(epoch, len(key)) + key for epoch, key in keys)
        self.epoch = LASTING if self.key(month) is None else month

    def key(self, wanted: int) -> bytes | None:
        """The key of an epoch, if it is among them."""
        return next((self.keys[start:end] for epoch, start, end in self._entries() if epoch == wanted), None)

    def epochs(self) -> list[int]:
        """Those that have a key here."""
        return [epoch for epoch, _, _ in self._entries()]

    def _entries(self) -> Iterator[tuple[int, int, int]]:
        """Epoch, and where its key begins and ends."""
        end = 0
        while end < len(self.keys):
            epoch, length = _ENTRY.unpack_from(self.keys, end)
            start = end + _ENTRY.size
            end = start + length
            yield epoch, start, end


class NewPerson(NamedTuple):
    """Rows for the tables: of the person, and of the keys."""

    row: dict[str, Any]
    keys: list[dict[str, Any]]


def new_person(user: str, current: StoreKey) -> NewPerson:
    """Rows of a person who is met for the first time: a random subject, the lasting key, and this month's."""
    subject, now = os.urandom(SUBJECT_BYTES), datetime.now(UTC)
    digest = digest_of(user)
    key, lasting = new_key(current, subject, LASTING, digest)
    row = {
        "subject": subject,
        "mac": current.mac(digest),
        "state": PersonState.ACTIVE,
        "name": sealed_name(key, subject, user),
        "enrolled_at": now,
    }
    return NewPerson(row, [lasting, new_key(current, subject, epoch_of(now))[1]])


def new_key(current: StoreKey, subject: bytes, epoch: int, digest: bytes = b"") -> tuple[bytes, dict[str, Any]]:
    """A random key, and its row. digest: of the pseudonym, kept with the lasting key."""
    key = os.urandom(KEY_BYTES)
    wrapped = current.wrap(subject, epoch, key + digest)
    return key, {"subject": subject, "epoch": epoch, "store_key": current.version, "wrapped": wrapped}


def sealed_name(key: bytes, subject: bytes, user: str) -> bytes:
    """The pseudonym, sealed with the person's lasting key."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + _name_cipher(key).encrypt(nonce, user.encode(), subject)


def opened_name(key: bytes, subject: bytes, sealed: bytes) -> str | None:
    """The pseudonym; None when the row is damaged."""
    try:
        return _name_cipher(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], subject).decode()
    except (InvalidTag, ValueError):
        return None


def _name_cipher(key: bytes) -> AESGCM:
    return AESGCM(expand(key, Purpose.NAME.encode()))
