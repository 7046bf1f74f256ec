"""A key service in a file, for one machine: versions of a 256-bit key, readable by its user alone.

    {"undertone_keyset": 1, "current": "2", "keys": {"2": "<64 hex digits>"}, "destroyed": {"1": "<time>"}}

The file is replaced whole, and the old one overwritten first. File systems and disks that copy on write may keep the
old blocks, as backups of the file do: whoever needs more uses an HSM or a cloud's key service.
"""

import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.errors import ConfigurationError, Transient
from workers.privacy.key_services.kms import Destroyed, VersionDestroyed, Wrapped

FORMAT = 1
KEY_BYTES, NONCE_BYTES = 32, 12


class _Keyset(NamedTuple):
    """What the file holds. destroyed: by version, when."""

    current: str
    keys: dict[str, bytes]
    destroyed: dict[str, datetime]


class LocalKeyset:
    """The key service of a file. It is read again for each call, so that processes see each other's rotations."""

    name = "local"

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self) -> None:
        """Make the file with a first version, unless it exists."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            if not self._path.exists():
                self._write(_Keyset("1", {"1": secrets.token_bytes(KEY_BYTES)}, {}))

    def wrap(self, plain: bytes, context: bytes) -> Wrapped:
        """As `Kms.wrap`, with AES-256-GCM."""
        keyset = self._read()
        nonce = os.urandom(NONCE_BYTES)
        return Wrapped(keyset.current, nonce + AESGCM(keyset.keys[keyset.current]).encrypt(nonce, plain, context))

    def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        """As `Kms.unwrap`."""
        key = self._read().keys.get(wrapped.version)
        if key is None:
            raise VersionDestroyed(f"the local keyset has no version {wrapped.version[:20]}")
        try:
            return AESGCM(key).decrypt(wrapped.blob[:NONCE_BYTES], wrapped.blob[NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            raise ConfigurationError(
                "UNDERTONE_KMS: the local keyset does not open this key directory: they belong to different "
                "installations, or one is damaged; name the keyset that the directory was made with"
            ) from None

    def rotate(self) -> str:
        """As `Kms.rotate`."""
        with self._locked():
            keyset = self._read()
            version = str(1 + max(map(int, (*keyset.keys, *keyset.destroyed))))
            keys = {**keyset.keys, version: secrets.token_bytes(KEY_BYTES)}
            self._write(keyset._replace(current=version, keys=keys))
        return version

    def destroy(self, version: str) -> Destroyed:
        """As `Kms.destroy`; the key is gone at once. Raises ConfigurationError for the version in use."""
        with self._locked():
            keyset = self._read()
            if version == keyset.current:
                raise ConfigurationError("the local keyset cannot destroy the version in use: rotate it first")
            at = keyset.destroyed.get(version, datetime.now(UTC))
            keys = {name: key for name, key in keyset.keys.items() if name != version}
            if version not in keyset.destroyed:
                self._write(keyset._replace(keys=keys, destroyed={**keyset.destroyed, version: at}))
        return Destroyed(version, at, self.name)

    def close(self) -> None:
        """Nothing is open between calls."""

    def _read(self) -> _Keyset:
        """The keyset. A file that a rotation replaced meanwhile, and overwrote, is read again."""
        while True:
            # Open until it is compared: a file that is gone may leave its number to the next.
            with self._opened() as file:
                try:
                    return _parsed(file.read())
                except ConfigurationError:
                    if os.path.samestat(os.fstat(file.fileno()), self._path.stat()):
                        raise

    def _opened(self) -> BinaryIO:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ConfigurationError(
                "UNDERTONE_KMS: the file of the local keyset does not exist; restore it from its backup, or, where no "
                "data is sealed yet, run `undertone keys init`"
            ) from None
        except PermissionError:
            raise ConfigurationError("UNDERTONE_KMS: the local keyset belongs to another user: use that user") from None
        except OSError as error:
            raise Transient(f"the local keyset cannot be read ({error.strerror})") from None
        file = os.fdopen(descriptor, "rb")
        try:
            _check_private(os.fstat(descriptor))
        except ConfigurationError:
            file.close()
            raise
        return file

    def _write(self, keyset: _Keyset) -> None:
        written = {
            "undertone_keyset": FORMAT,
            "current": keyset.current,
            "keys": {version: key.hex() for version, key in keyset.keys.items()},
            "destroyed": {version: at.isoformat() for version, at in keyset.destroyed.items()},
        }
        partial = self._path.with_name(f"{self._path.name}.part")
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(json.dumps(written, indent=1).encode())
            file.flush()
            os.fsync(file.fileno())
            _keep_owner(file.fileno(), self._path)
        # Readers of the old file keep its name until the new one has it, so what they read is whole.
        with _kept_open(self._path) as old:
            partial.replace(self._path)
            if old is not None:
                _overwrite(old)
        _sync_folder(self._path.parent)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, of all processes."""
        lock = self._path.with_name(f"{self._path.name}.lock")
        with os.fdopen(os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def make(rest: str) -> LocalKeyset:
    """The client of `local:FILE`."""
    return LocalKeyset(Path(rest).expanduser())


def _check_private(status: os.stat_result) -> None:
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise ConfigurationError(
            "UNDERTONE_KMS: other users may read the local keyset: `chmod 600` it, and rotate it with `undertone keys "
            "rotate` if anybody could have read it"
        )
    if os.geteuid() not in {status.st_uid, 0}:
        raise ConfigurationError("UNDERTONE_KMS: the local keyset belongs to another user: give it to this one")


def _parsed(data: bytes) -> _Keyset:
    damaged = ConfigurationError("UNDERTONE_KMS: the local keyset is damaged: restore the file from its backup")
    try:
        read = json.loads(data)
        if read["undertone_keyset"] != FORMAT:
            raise ConfigurationError("UNDERTONE_KMS: the local keyset is of a newer Undertone: run that version")
        keys = {str(int(version)): bytes.fromhex(key) for version, key in read["keys"].items()}
        destroyed = {str(int(name)): datetime.fromisoformat(at) for name, at in read["destroyed"].items()}
        keyset = _Keyset(str(read["current"]), keys, destroyed)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise damaged from None
    if keyset.current not in keys or any(len(key) != KEY_BYTES for key in keys.values()):
        raise damaged
    return keyset


def _keep_owner(descriptor: int, path: Path) -> None:
    """Give a new file to the owner of the one that it replaces: root may rotate the keyset of the user of the roles."""
    if os.geteuid() == 0 and path.exists():
        old = path.stat()
        os.fchown(descriptor, old.st_uid, old.st_gid)


@contextmanager
def _kept_open(path: Path) -> Iterator[int | None]:
    """The file of this name, open for writing while it loses its name; None where there is none."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _overwrite(descriptor: int) -> None:
    os.pwrite(descriptor, bytes(os.fstat(descriptor).st_size), 0)
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """The new name is on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
