"""Sealing and opening values with a person's keys. Nothing here waits: the keyring was warmed before.

Records: AES-256-GCM in the frame of `schemas/sealed_frame.py`, bound to its topic, kind, subject and month. State:
AES-256-SIV (RFC 5297), which gives equal bytes for equal values, so that compare-and-set works, bound to its place.
Fields of a database: AES-256-GCM, bound to their place.
"""

import os
from collections import deque
from functools import cache

from cryptography.exceptions import InvalidTag

from schemas.codec import DecodeError
from schemas.errors import Poison, UnreadableState
from schemas.key_purposes import LASTING, TOPIC_PURPOSES, Purpose
from schemas.sealed_frame import HEADER_BYTES, NONCE_BYTES, header
from workers.privacy.clear_records import FORGED
from workers.privacy.prepared import Prepared, PreparedPeople

FIELD_VERSION = b"\x01"
BODY = HEADER_BYTES + NONCE_BYTES
NONCES_AT_ONCE = 64

_nonces: deque[bytes] = deque()
os.register_at_fork(after_in_child=_nonces.clear)


def seal(keyring: PreparedPeople, topic: str, kind: str, user_id: str, value: bytes) -> bytes:
    """A record's value, sealed for its person and this month. kind: name of the record type.

    Raises Erased, and Unknown for a user who was not warmed.
    """
    return seal_for(keyring, topic, kind, keyring.prepared(user_id), value)


def seal_for(keyring: PreparedPeople, topic: str, kind: str, person: Prepared, value: bytes) -> bytes:
    """As `seal`."""
    head, cipher = keyring.sealer(person, TOPIC_PURPOSES[topic])
    nonce = fresh_nonce()
    return head + nonce + cipher.encrypt(nonce, value, head + _of(topic, kind))


def unseal(keyring: PreparedPeople, topic: str, kind: str, value: bytes) -> tuple[str, bytes]:
    """Pseudonym and value of a sealed record. Raises as `unseal_of`."""
    person, clear = unseal_of(keyring, topic, kind, value)
    return person.user, clear


def unseal_of(keyring: PreparedPeople, topic: str, kind: str, value: bytes) -> tuple[Prepared, bytes]:
    """Whose a sealed record is, and its value.

    Raises Poison `record:forged` for a value that is damaged or was sealed for another topic, kind or person; Erased
    and Unknown as the keyring.
    """
    try:
        head = value[:HEADER_BYTES]
        person, cipher = keyring.opener(head, TOPIC_PURPOSES[topic])
        return person, cipher.decrypt(value[HEADER_BYTES:BODY], value[BODY:], head + _of(topic, kind))
    except (DecodeError, InvalidTag, ValueError):
        raise Poison(
            FORGED, "the value was changed, or moved from another topic or person, after it was sealed"
        ) from None


def seal_state(keyring: PreparedPeople, place: str, user_id: str, value: bytes) -> bytes:
    """A value of Redis; equal values give equal bytes. place: what it is stored under, with the subject, not the name.

    Raises Erased or Unknown; ValueError for an empty value, which AES-SIV does not take.
    """
    return keyring.state_cipher(user_id).encrypt(value, [b"undertone/state", place.encode()])


def open_state(keyring: PreparedPeople, place: str, user_id: str, value: bytes) -> bytes:
    """The value. Raises UnreadableState for one that was changed or is another place's; Erased or Unknown."""
    try:
        return keyring.state_cipher(user_id).decrypt(value, [b"undertone/state", place.encode()])
    except (InvalidTag, ValueError):
        raise UnreadableState("the sealed value was changed, or belongs to another key") from None


def seal_field(keyring: PreparedPeople, place: str, user_id: str, value: bytes) -> bytes:
    """A column of a person's row. place: `table.column`; rows of one person and column may be exchanged.

    Raises Erased or Unknown.
    """
    head, cipher = keyring.sealer(keyring.prepared(user_id), Purpose.SQL)
    nonce = fresh_nonce()
    return FIELD_VERSION + nonce + cipher.encrypt(nonce, value, head + place.encode())


def open_field(keyring: PreparedPeople, place: str, subject: bytes, value: bytes) -> bytes:
    """What a column holds. Raises UnreadableState for a value that was changed or is another's; Erased or Unknown."""
    nonce, body = value[1 : 1 + NONCE_BYTES], value[1 + NONCE_BYTES :]
    try:
        if value[:1] != FIELD_VERSION:
            raise UnreadableState("the sealed column has an unknown version", newer=True)
        head = header(subject, LASTING)
        _, cipher = keyring.opener(head, Purpose.SQL)
        return cipher.decrypt(nonce, body, head + place.encode())
    except (InvalidTag, ValueError) as error:
        if isinstance(error, UnreadableState):
            raise
        raise UnreadableState("the sealed column was changed, or belongs to another row") from None


def fresh_nonce() -> bytes:
    """12 random bytes, never the same twice (NIST SP 800-38D, section 8.2.2). Any thread may ask.

    The system is asked for many at once: each question lets other threads run, and waiting to go on costs a busy
    process several times what sealing does.
    """
    try:
        return _nonces.pop()
    except IndexError:
        drawn = os.urandom(NONCES_AT_ONCE * NONCE_BYTES)
        first, *others = (drawn[start : start + NONCE_BYTES] for start in range(0, len(drawn), NONCE_BYTES))
        _nonces.extend(others)
        return first


@cache
def _of(topic: str, kind: str) -> bytes:
    """What a record is bound to, after its header."""
    return b"\x00%b\x00%b" % (topic.encode(), kind.encode())
