"""Where uploaded audio is kept: a folder, or a place of fsspec such as a bucket. Whole under its name, or not at all.

    with store.begin() as partial:
        partial.write(data)
        uri = partial.keep("name.webm", user)     # without it, the end of the block removes every trace

Everything blocks: call it in a thread. Names are never used twice, so that no upload replaces or removes another's.
"""

import os
import tempfile
import time
from abc import abstractmethod
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol
from uuid import uuid4

import fsspec

from schemas.errors import ConfigurationError, Erased, Poison, Transient
from schemas.settings import Settings
from workers.audio.storage import AudioStore
from workers.privacy.files.audio_copies import AudioCopies
from workers.storage.uri import HTTP, place

PARTIAL = ".part"
"""Suffix of audio that is not whole."""
ABANDONED_S = 3600.0
"""A partial file that was not written to for so long is that of a process that was killed."""
FILE_MODE = 0o640
"""Of audio, as far as its folder has the same: in a folder for its user alone, files are for the user alone."""
WHOLE_AT_ONCE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl"})
"""Storages whose objects appear when they are complete, never before."""


class Partial(AbstractContextManager["Partial"], Protocol):
    """Audio that is arriving. Raises Transient when the storage does not take it: it is full, or does not answer."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Append bytes."""

    @abstractmethod
    def head(self, most: int) -> bytes:
        """The first bytes."""

    @abstractmethod
    def keep(self, name: str, user_id: str) -> str:
        """Put the audio of a person in place, on disk when this returns; its URI."""


class UploadStore(Protocol):
    """A place for uploaded audio."""

    def begin(self) -> Partial:
        """Room for one upload. Raises Transient."""

    def remove(self, uri: str) -> None:
        """Remove audio that `keep` returned. Raises Transient."""


def make_store(settings: Settings) -> UploadStore | None:
    """The store of the settings; None where none is set.

    Raises ConfigurationError for a place that no worker may read, or that cannot be written to.
    """
    address = settings.upload_store
    if address is None:
        return None
    if not AudioStore(settings).allows(address):
        raise ConfigurationError(
            "UNDERTONE_UPLOAD_STORE: no prefix of UNDERTONE_AUDIO_PREFIXES covers it, so no worker could read "
            "the audio: add it there, for the workers as well"
        )
    where = place(address)
    if where.scheme in HTTP:
        raise ConfigurationError("UNDERTONE_UPLOAD_STORE: audio cannot be written over HTTP; give a folder or a bucket")
    copies = AudioCopies(settings)
    return Folder(Path(*where.parts), copies) if where.scheme == "file" else Objects(where.url, copies)


class Folder:
    """A local folder. copies: seals what comes to rest there. Raises ConfigurationError when it cannot be created."""

    def __init__(self, path: Path, copies: AudioCopies | None = None) -> None:
        self._path, self._copies = path, copies
        try:
            path.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._remove_abandoned()
        except OSError as error:
            raise ConfigurationError(
                f"UNDERTONE_UPLOAD_STORE: its folder cannot be used ({error.strerror}); check the path and its owner"
            ) from error

    def begin(self) -> Partial:
        """Room for one upload."""
        return _Spool(self._path, self._placed)

    def remove(self, uri: str) -> None:
        """Remove audio."""
        try:
            Path(*place(uri).parts).unlink(missing_ok=True)
        except (OSError, Poison) as error:
            raise _refused(error) from error

    def _placed(self, source: Path, name: str, user_id: str) -> str:
        _seal(source, user_id, self._copies)
        return _moved(source, self._path / name)

    def _remove_abandoned(self) -> None:
        for path in self._path.glob(f"*{PARTIAL}"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - ABANDONED_S:
                    path.unlink()


class Objects:
    """A place of fsspec. Audio is spooled on the local disk first: its checksum is known before it is sent.

    copies: seals what is sent.
    """

    def __init__(self, url: str, copies: AudioCopies | None = None) -> None:
        self._url, self._copies = url.rstrip("/"), copies
        self._system, _ = fsspec.url_to_fs(self._url)

    def begin(self) -> Partial:
        """Room for one upload."""
        return _Spool(Path(tempfile.gettempdir()), self._put)

    def remove(self, uri: str) -> None:
        """Remove audio."""
        try:
            self._system.rm_file(self._system._strip_protocol(uri))
        except FileNotFoundError:
            return
        except Exception as error:  # storages raise types of their own
            raise _refused(error) from error

    def _put(self, source: Path, name: str, user_id: str) -> str:
        uri = f"{self._url}/{name}"
        atomic = place(uri).scheme in WHOLE_AT_ONCE
        first = uri if atomic else f"{uri}{PARTIAL}"
        _seal(source, user_id, self._copies)
        try:
            self._system.put_file(str(source), self._system._strip_protocol(first))
            if not atomic:
                self._system.mv(*map(self._system._strip_protocol, (first, uri)))
        except Exception as error:
            with suppress(Transient):
                self.remove(first)
            raise _refused(error) from error
        source.unlink()
        return uri


class _Spool(Partial):
    """A file that grows in a folder, until `place` puts it where it belongs."""

    def __init__(self, folder: Path, place_it: "Placed") -> None:
        self._path = folder / f"{uuid4()}{PARTIAL}"
        self._place = place_it
        try:
            mode = FILE_MODE & folder.stat().st_mode
            opener = partial(_open, mode=mode)
            self._file: IO[bytes] = open(self._path, "xb+", opener=opener)  # noqa: SIM115  # closed by __exit__
        except OSError as error:
            raise _refused(error) from error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close it, and remove what was not kept."""
        with suppress(OSError):  # a full disk refuses what is buffered
            self._file.close()
        self._path.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Append bytes."""
        try:
            self._file.write(data)
        except OSError as error:
            raise _refused(error) from error

    def head(self, most: int) -> bytes:
        """The first bytes."""
        self._file.flush()
        self._file.seek(0)
        try:
            return self._file.read(most)
        finally:
            self._file.seek(0, os.SEEK_END)

    def keep(self, name: str, user_id: str) -> str:
        """Put the audio in place."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            return self._place(self._path, name, user_id)
        except OSError as error:
            raise _refused(error) from error


class Placed(Protocol):
    """Puts a complete file where it belongs, and gives its URI."""

    def __call__(self, source: Path, name: str, user_id: str, /) -> str:
        """Raises Transient or OSError."""


def _seal(path: Path, user_id: str, copies: AudioCopies | None) -> None:
    """Put the sealed copy in place of the audio of a person, where copies are sealed. Raises Transient, OSError."""
    if copies is None or not copies.are_sealed:
        return
    try:
        _rewrite(path, copies.sealed(user_id, path.read_bytes()))
    except Erased:
        raise Transient("the person is being erased") from None


def _rewrite(path: Path, data: bytes) -> None:
    """Overwrite a file, which is no longer than this, so that nothing of it is left; on disk when this returns."""
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def _moved(source: Path, target: Path) -> str:
    """Rename a file within its folder; the name is on disk when this returns."""
    source.rename(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return target.as_uri()


def _open(path: str, flags: int, *, mode: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, mode)


def _refused(error: Exception) -> Transient:
    why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return Transient(f"the store of uploads does not take the audio ({why})")
