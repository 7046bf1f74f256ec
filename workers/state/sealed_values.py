"""What is stored in Redis of a person while it is sealed: values, names in keys, and entries of the list of mutes.

A value is a random nonce and AES-256-GCM, bound to its key in Redis. Names and entries are compared, so equal ones are
equal bytes: AES-256-SIV. Nothing here waits: the keyring was warmed before.
"""

import base64
import binascii
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cryptography.exceptions import InvalidTag

from schemas.errors import Erased, UnreadableState
from schemas.sealed_frame import NONCE_BYTES
from schemas.state_keys import MUTES, NEWER
from workers.privacy.envelope import fresh_nonce, open_state, seal_state
from workers.privacy.keyring import Keyring
from workers.privacy.prepared import Prepared

REMEMBERED = 3000
"""Values in clear that are kept, 1 to 4 KB each, and as they are stored: those of two batches."""
_NAME = "name"
"""What names in keys are sealed to: a key of their own would not be longer."""
SEALED_LIST = bytes((MUTES.version + NEWER,))
"""First byte of a list with sealed entries: to a program that cannot open them, one of a newer version."""


class Values:
    """Seals and opens values of people. Those used last are remembered: most are read as they were just written."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._remembered: deque[tuple[Prepared, str]] = deque()

    def seal(self, person: Prepared, key: str, bound: bytes, value: bytes) -> bytes:
        """The value of a person, sealed for this key in Redis. Raises Erased or Unknown."""
        nonce = fresh_nonce()
        sealed = nonce + (person.value or self._keyring.value_cipher(person)).encrypt(nonce, value, bound)
        self._remember(person, key, sealed, value)
        return sealed

    def open(self, person: Prepared, key: str, bound: bytes, sealed: bytes) -> bytes:
        """The value. Raises UnreadableState for one that was changed or is another key's; Erased or Unknown."""
        known = person.values.get(key)
        if known is not None and known[0] == sealed:
            return known[1]
        cipher = person.value or self._keyring.value_cipher(person)
        try:
            value = cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
        except (InvalidTag, ValueError):
            raise UnreadableState("the sealed value was changed, or belongs to another key") from None
        self._remember(person, key, sealed, value)
        return value

    def _remember(self, person: Prepared, key: str, sealed: bytes, value: bytes) -> None:
        if key not in person.values:
            self._remembered.append((person, key))
            if len(self._remembered) > REMEMBERED:
                oldest, of = self._remembered.popleft()
                oldest.values.pop(of, None)
        person.values[key] = sealed, value


def seal_name(keyring: Keyring, user_id: str, name: str) -> str:
    """A name in a key, such as a memo id, as characters of base64url; equal names give equal tokens."""
    if not name:
        return ""
    return base64.urlsafe_b64encode(seal_state(keyring, _NAME, user_id, name.encode())).rstrip(b"=").decode()


def open_name(keyring: Keyring, user_id: str, token: str) -> str:
    """The name of a token. Raises UnreadableState, Erased or Unknown."""
    if not token:
        return ""
    try:
        sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raise UnreadableState("the sealed name in a key is no Base64") from None
    return open_state(keyring, _NAME, user_id, sealed).decode()


def is_sealed_list(data: bytes | None) -> bool:
    """Whether these are mutes with sealed entries."""
    return data is not None and data[:1] == SEALED_LIST


def subjects_in(data: bytes | None) -> set[bytes]:
    """Whose entries a list has that are sealed. Raises UnreadableState."""
    if data is None or not is_sealed_list(data):
        return set()
    with MUTES.decoding():
        return {bytes.fromhex(one["subject"]) for one in json.loads(data[1:]) if "subject" in one}


def users_in(data: bytes | None) -> set[str]:
    """Whose entries a list in clear has. Raises UnreadableState."""
    if not data:
        return set()
    with MUTES.decoding():
        return {one["name"] for one in _entries(data) if one["scope"] == "user"}


def open_list(keyring: Keyring, data: bytes | None) -> bytes | None:
    """A list with its entries in clear, without those of erased people. Raises UnreadableState, or Unknown."""
    if data is None or not is_sealed_list(data):
        return data
    with MUTES.decoding():
        sealed = json.loads(data[1:])
        if not all(isinstance(one, dict) for one in sealed):
            raise ValueError("not a list of entries")
    return MUTES.framed(_json(_opened(keyring, sealed)))


def seal_list(keyring: Keyring, data: bytes) -> bytes:
    """A list with each person's entries sealed; equal lists give equal bytes. Raises Unknown."""
    return SEALED_LIST + _json(_sealed(keyring, _entries(data)))


def without_subject(data: bytes, subject: bytes) -> bytes:
    """A list without a person's sealed entries; it is not opened. Raises UnreadableState."""
    if not is_sealed_list(data):
        return data
    with MUTES.decoding():
        return SEALED_LIST + _json(one for one in json.loads(data[1:]) if one.get("subject") != subject.hex())


def without_user(data: bytes, user_id: str) -> bytes:
    """A list in clear without a person's entries. Raises UnreadableState."""
    if not data or is_sealed_list(data):
        return data
    with MUTES.decoding():
        kept = [one for one in _entries(data) if (one["scope"], one["name"]) != ("user", user_id)]
        return MUTES.framed(_json(kept)) if len(kept) < len(_entries(data)) else data


def _opened(keyring: Keyring, entries: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for one in entries:
        if "subject" not in one:
            yield one
            continue
        with MUTES.decoding():
            subject, body = bytes.fromhex(one["subject"]), base64.b64decode(one["sealed"], validate=True)
        try:
            user_id = keyring.user(subject)
            opened = open_state(keyring, MUTES.key(), user_id, body)
        except Erased:
            continue
        with MUTES.decoding():
            yield json.loads(opened)


def _sealed(keyring: Keyring, entries: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for one in entries:
        if one["scope"] != "user":
            yield one
            continue
        try:
            subject = keyring.subject(one["name"])
            body = seal_state(keyring, MUTES.key(), one["name"], _json(one))
        except Erased:
            continue
        yield {"subject": subject.hex(), "sealed": base64.b64encode(body).decode()}


def _entries(data: bytes) -> list[Mapping[str, Any]]:
    """Of a list in clear; version 0.1 wrote it without a version."""
    entries: list[Mapping[str, Any]] = json.loads(data if data.startswith(b"[") else MUTES.opened(data)[1])
    return entries


def _json(value: Any) -> bytes:
    given = list(value) if isinstance(value, Iterator) else value
    return json.dumps(given, ensure_ascii=False).encode()
