"""Read an object from any storage that fsspec knows, such as S3 or GCS, bounded in bytes and time.

Clients of storages wait and retry for as long as they like, and cannot be interrupted. So each read has a thread of its
own, which is abandoned at the deadline; a storage with several abandoned threads gets no more until one ends.
"""

import errno
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Any

import fsspec

from schemas.connection_errors import why_unreachable
from schemas.errors import Poison, Transient, UndertoneError
from workers.storage.local_file import read_whole
from workers.storage.outcomes import DENIED, denied, missing, too_large
from workers.storage.uri import Place, refused

ABANDONED = 4
"""Threads of one bucket or server that may still wait for reads that were given up."""


class FsspecObjects:
    """Reads objects through fsspec. Thread-safe. within_s: of one read."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._abandoned: Counter[tuple[str, str]] = Counter()
        self._lock = Lock()

    def read(self, where: Place, max_bytes: int) -> bytes:
        """The object's bytes, at most so many.

        Raises Poison, Missing, Denied, and Transient for everything else that fails.
        """
        storage = where.scheme, where.parts[0]
        with self._lock:
            if self._abandoned[storage] >= ABANDONED:
                raise Transient("audio storage has not answered earlier reads yet")
        reading: Future[bytes] = Future()
        Thread(target=_read_into, args=(reading, where, max_bytes), name="storage", daemon=True).start()
        try:
            return reading.result(self._within_s)
        except TimeoutError:
            with self._lock:
                self._abandoned[storage] += 1
            reading.add_done_callback(lambda _: self._ended(storage))
            raise Transient(f"audio storage did not deliver an object within {self._within_s:g} s") from None

    def _ended(self, storage: tuple[str, str]) -> None:
        with self._lock:
            self._abandoned[storage] -= 1


def _read_into(reading: "Future[bytes]", where: Place, max_bytes: int) -> None:
    try:
        reading.set_result(_read(where, max_bytes))
    except Exception as error:  # each storage client has its own exception classes
        reading.set_exception(classified(error))


def _read(where: Place, max_bytes: int) -> bytes:
    filesystem, path = fsspec.core.url_to_fs(where.url)
    size = filesystem.size(path)
    if (size or 0) > max_bytes:
        raise too_large(max_bytes)
    with filesystem.open(path, "rb") as file:
        data = read_whole(file, max_bytes)
    if size is not None and len(data) < size:
        raise Transient("audio storage delivered fewer bytes than it declared")
    return data


def classified(error: Exception) -> UndertoneError:
    """What an exception of a storage client means. A denial prevails: some clients report one as a missing object."""
    if isinstance(error, UndertoneError):
        return error
    causes = list(_causes(error))
    if any(isinstance(cause, PermissionError) or _status(cause) in DENIED for cause in causes):
        return denied()
    if any(_code(cause) == "NoSuchBucket" for cause in causes):
        return Transient("the bucket of the audio prefix does not exist")
    if isinstance(error, FileNotFoundError):
        return missing()
    if isinstance(error, IsADirectoryError):
        return refused("names a folder")
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return Poison("audio:uri_refused", "the audio URI is too long for its storage")
    failed = Transient(f"audio storage of UNDERTONE_AUDIO_PREFIXES failed: {why_unreachable(error)}")
    failed.__cause__ = error
    return failed


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from or while handling."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _status(error: BaseException) -> int | None:
    """The HTTP status in an error of botocore, gcsfs, azure or aiohttp."""
    for value in (
        _answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode"),
        *(getattr(error, name, None) for name in ("status_code", "status", "code")),
    ):
        if str(value).isdigit():
            return int(str(value))
    return None


def _code(error: BaseException) -> str:
    """The error code of S3."""
    return str(_answer(error).get("Error", {}).get("Code", ""))


def _answer(error: BaseException) -> dict[str, Any]:
    answer = getattr(error, "response", None)
    return answer if isinstance(answer, dict) else {}
