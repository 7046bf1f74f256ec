"""Ed25519 keys of whoever signs heads, and of whoever checks them."""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from schemas.errors import ConfigurationError

END = "-----END PUBLIC KEY-----"


def fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of the 32 bytes of a public key, 64 hexadecimal digits."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with one private key."""

    private: Ed25519PrivateKey

    @property
    def key(self) -> str:
        """Fingerprint of its public key."""
        return fingerprint(self.private.public_key())

    @classmethod
    def load(cls, path: Path) -> Self:
        """The key in a PEM file. Raises ConfigurationError when others may read the file, or it holds no such key."""
        try:
            if not _is_private(path.stat()):
                raise ConfigurationError(f"UNDERTONE_AUDIT_SIGNING_KEY: others may read {path.name}: chmod 600 it")
            key = load_pem_private_key(path.read_bytes(), None)
        except OSError as error:
            raise ConfigurationError(f"UNDERTONE_AUDIT_SIGNING_KEY cannot be read: {error.strerror}") from error
        except (ValueError, TypeError) as error:
            raise ConfigurationError(_NO_KEY) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigurationError(_NO_KEY)
        return cls(key)


def _is_private(status: os.stat_result) -> bool:
    """Whether the file is for this user alone.

    A secret that Kubernetes mounts is root's, and readable for the group of the pod: it cannot belong to this user.
    """
    others = stat.S_IMODE(status.st_mode) & 0o077
    return not others or (others == stat.S_IRGRP and status.st_uid == 0 != os.geteuid())


@dataclass(frozen=True, slots=True)
class Trusted:
    """The public keys that are trusted, by fingerprint."""

    keys: Mapping[str, Ed25519PublicKey]

    @classmethod
    def of(cls, *keys: Ed25519PublicKey) -> Self:
        """These keys."""
        return cls({fingerprint(key): key for key in keys})

    @classmethod
    def load(cls, path: Path) -> Self:
        """The public keys in a file, PEM, one after another. Raises ConfigurationError where there is none."""
        try:
            parts = path.read_text(errors="replace").split(END)[:-1]
            found = [load_pem_public_key(f"{part}{END}\n".strip().encode()) for part in parts]
        except OSError as error:
            raise ConfigurationError(f"UNDERTONE_AUDIT_PUBLIC_KEY cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ConfigurationError(_NO_PUBLIC_KEY) from error
        keys = [key for key in found if isinstance(key, Ed25519PublicKey)]
        if not keys or len(keys) < len(found):
            raise ConfigurationError(_NO_PUBLIC_KEY)
        return cls.of(*keys)

    def signed(self, key: str, data: bytes, signature: bytes) -> bool:
        """Whether a trusted key of this fingerprint signed the data."""
        found = self.keys.get(key)
        if found is None:
            return False
        try:
            found.verify(signature, data)
        except InvalidSignature:
            return False
        return True


_NO_KEY = (
    "UNDERTONE_AUDIT_SIGNING_KEY is no private Ed25519 key in PEM without a password: make one with "
    "`openssl genpkey -algorithm ed25519`"
)
_NO_PUBLIC_KEY = (
    "UNDERTONE_AUDIT_PUBLIC_KEY holds no public Ed25519 key in PEM: `openssl pkey -in KEY -pubout` writes one"
)
