"""The store keys: the versions of one key that wraps the keys of people and names them in the directory.

Each version is 32 random bytes, wrapped by the key service. Subkeys by HKDF-SHA256 (RFC 5869): one wraps with
AES-256-GCM, one makes the HMAC under which a pseudonym is found. Both change with the version, so a backup of the
directory from before a rotation leads from no pseudonym to a subject, and to no key.
"""

import hashlib
import hmac
import os
import struct
import threading
from datetime import UTC, datetime
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, func, insert, select

from schemas.errors import ConfigurationError, Transient
from workers.privacy.key_services.kms import Kms, VersionDestroyed, Wrapped
from workers.privacy.key_tables import STORE_KEYS

KEY_BYTES, NONCE_BYTES = 32, 12
_CONTEXT = struct.Struct(">16sHI")
"""Subject, epoch and version of the store key."""
RESTORED = (
    "the key directory is older than the last rotation: its store key was destroyed, as after an erasure; restore a "
    "newer backup of the key directory. Where none was restored, UNDERTONE_KMS names another key service than the "
    "directory was made with"
)


class StoreKeyState(StrEnum):
    """Where a version is in its life."""

    CURRENT = "current"
    """Wraps what is new."""
    DRAINING = "draining"
    """Replaced; some rows are still wrapped with it."""
    EMPTIED = "emptied"
    """Wraps nothing; the key service still has its version."""
    DESTROYED = "destroyed"
    """The key service destroyed its version, or will at `destroyed_at`."""


LIVE = (StoreKeyState.CURRENT, StoreKeyState.DRAINING)


class StoreKey:
    """One version, unwrapped."""

    def __init__(self, version: int, key: bytes) -> None:
        self.version = version
        self._aead = AESGCM(expand(key, b"undertone/store-key/wrap"))
        self._mac_key = expand(key, b"undertone/store-key/name")

    def wrap(self, subject: bytes, epoch: int, plain: bytes) -> bytes:
        """A person's key for a row of the directory."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plain, self._context(subject, epoch))

    def unwrap(self, subject: bytes, epoch: int, wrapped: bytes) -> bytes | None:
        """The key in a row; None when the row is damaged, or was wrapped for another person or epoch."""
        try:
            return self._aead.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], self._context(subject, epoch))
        except (InvalidTag, ValueError):
            return None

    def mac(self, digest: bytes) -> bytes:
        """What the row of a person is found by. digest: `digest_of` the pseudonym."""
        return hmac.digest(self._mac_key, digest, "sha256")

    def _context(self, subject: bytes, epoch: int) -> bytes:
        return _CONTEXT.pack(subject, epoch, self.version)


def digest_of(user: str) -> bytes:
    """SHA-256 of a pseudonym. The lasting key of a person is wrapped with it, so that a rotation needs no name."""
    return hashlib.sha256(b"undertone/pseudonym\x00" + user.encode()).digest()


def expand(key: bytes, purpose: bytes, length: int = 32) -> bytes:
    """HKDF-Expand with SHA-256 (RFC 5869, section 2.3) of a key that is random already.

    >>> expand(bytes(32), b"undertone", 64)[:32] == expand(bytes(32), b"undertone")
    True
    """
    block = hmac.digest(key, purpose + b"\x01", "sha256")
    out = block
    for count in range(2, -(-length // 32) + 1):
        block = hmac.digest(key, block + purpose + bytes([count]), "sha256")
        out += block
    return out[:length]


class StoreKeys:
    """The versions of a directory, unwrapped once each by the key service. Thread safe."""

    def __init__(self, kms: Kms) -> None:
        self.kms = kms
        self._known: dict[int, StoreKey] = {}
        self._newest = 0
        self._lock = threading.Lock()

    def live(self, connection: Connection) -> list[StoreKey]:
        """The versions in use, the current one first. Raises Transient when the directory went back in time."""
        found = connection.execute(
            select(STORE_KEYS.c.version, STORE_KEYS.c.state, STORE_KEYS.c.kms_version, STORE_KEYS.c.wrapped)
            .where(STORE_KEYS.c.state.in_(LIVE))
            .order_by(STORE_KEYS.c.version.desc())
        ).all()
        if not found:
            raise ConfigurationError("the key directory has no store key: run `undertone keys init`")
        with self._lock:
            if found[0].version < self._newest:
                raise Transient(RESTORED)
            self._newest = found[0].version
            versions = {row.version for row in found}
            self._known = {version: key for version, key in self._known.items() if version in versions}
            return [self._unwrapped(row.version, Wrapped(row.kms_version, row.wrapped)) for row in found]

    def _unwrapped(self, version: int, wrapped: Wrapped) -> StoreKey:
        if version not in self._known:
            try:
                plain = self.kms.unwrap(wrapped, context_of(version))
            except VersionDestroyed:
                raise Transient(RESTORED) from None
            self._known[version] = StoreKey(version, plain)
        return self._known[version]


def add_store_key(connection: Connection, kms: Kms) -> int:
    """Insert a new version as the current one, wrapped by the key service's newest version; its number."""
    newest = connection.execute(select(func.max(STORE_KEYS.c.version))).scalar() or 0
    version: int = newest + 1
    wrapped = kms.wrap(os.urandom(KEY_BYTES), context_of(version))
    connection.execute(
        insert(STORE_KEYS).values(
            version=version,
            state=StoreKeyState.CURRENT,
            kms_version=wrapped.version,
            wrapped=wrapped.blob,
            created_at=datetime.now(UTC),
        )
    )
    return version


def context_of(version: int) -> bytes:
    """What the key service binds a wrapped version to."""
    return b"undertone/store-key/%d" % version
