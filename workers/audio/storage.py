"""Read audio bytes by URI: only under configured prefixes, size-limited and checksummed, with a reason per failure."""

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import fsspec
import tenacity

from schemas.errors import ConfigurationError, Poison, Transient
from schemas.settings import Settings
from workers.service import prometheus

FORBIDDEN_IN_REMOTE = ("%", "\\", "?", "#", "::", "//", "@")
"""Never in the part after `scheme://`: some layer between here and the storage interprets each differently."""
NOT_A_PLACE = frozenset({errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.ENOTDIR})


class Missing(Transient):
    """The object does not exist, perhaps not yet: an event may arrive before its object."""


@dataclass(frozen=True, slots=True)
class Place:
    """Location of an object. scheme: lower case, `file` for paths; parts: path segments, the bucket or host first."""

    scheme: str
    parts: tuple[str, ...]

    def holds(self, other: "Place") -> bool:
        """Whether `other` is under this place, by whole segments: `/data/a` does not hold `/data/ab`."""
        return self.scheme == other.scheme and self.parts == other.parts[: len(self.parts)]


def place(uri: str) -> Place:
    """The place that a URI or a bare path names. Raises Poison `audio:uri_refused` if it is ambiguous.

    Local paths are resolved: `..` and symbolic links are followed before any comparison.
    """
    if not uri or not uri.isprintable():
        raise _refused("is empty or has unprintable characters")
    scheme, separator, rest = uri.partition("://")
    if not separator:
        if urlsplit(uri).scheme and not Path(uri).is_absolute():
            raise _refused("has a scheme without `://`")
        return _local(uri)
    if not scheme.isalnum():
        raise _refused("has chained schemes, or a scheme with other than letters and digits")
    if scheme.lower() in {"file", "local"}:
        return _local_uri(rest)
    parts = tuple(rest.rstrip("/").split("/"))
    if any(mark in rest.rstrip("/") for mark in FORBIDDEN_IN_REMOTE) or {"", ".", ".."} & set(parts):
        raise _refused("has dots, escapes or empty segments in its path")
    return Place(scheme.lower(), parts)


def _local_uri(rest: str) -> Place:
    host, slash, path = rest.partition("/")
    if host not in {"", "localhost"} or not slash:
        raise _refused("is a file URI with a host; write file:///path")
    return _local("/" + unquote(path))


def _local(path: str) -> Place:
    if not path.isprintable() or not Path(path).is_absolute():
        raise _refused("is a relative path or has unprintable characters")
    try:
        return Place("file", Path(os.path.realpath(path)).parts)
    except (OSError, ValueError):
        raise _refused("is not a valid path on this system") from None


def _refused(why: str) -> Poison:
    return Poison("audio:uri_refused", f"the audio URI {why}")


class AudioStore:
    """Reads audio by URI for one set of settings. Stateless and thread-safe."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError when a prefix is invalid, or its storage needs a package that is not installed."""
        self._max_bytes = settings.audio_max_bytes
        self._prefixes = tuple(_prefix(number, uri) for number, uri in enumerate(settings.audio_prefixes, 1))
        self._attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Missing),
            stop=tenacity.stop_after_attempt(settings.audio_attempts),
            wait=tenacity.wait_random_exponential(multiplier=settings.audio_retry_s, max=10 * settings.audio_retry_s),
            reraise=True,
        )

    def read(self, uri: str, sha256: str | None) -> bytes:
        """The object's bytes. sha256: expected hex digest, None for any.

        Raises Poison: `audio:uri_refused` outside the prefixes, `audio:missing` after a few retries, `audio:forbidden`,
        `audio:too_large`, `audio:checksum`; Transient when the storage fails, or when the prefix's own folder is
        missing, as with an unmounted disk. Messages never contain the URI.
        """
        where = place(uri)
        if not self._allowed(where):
            raise Poison("audio:uri_refused", "the audio URI is outside the configured prefixes (audio_prefixes)")
        try:
            data = self._attempts.copy()(self._once, where)
        except Missing:
            raise Poison("audio:missing", "no object exists at the memo's audio URI") from None
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256.lower():
            raise Poison("audio:checksum", "the audio does not match the SHA-256 in its event")
        return data

    def allows(self, uri: str) -> bool:
        """Whether `uri` is under a configured prefix, so that `read` would try it."""
        try:
            return self._allowed(place(uri))
        except Poison:
            return False

    def _allowed(self, where: Place) -> bool:
        return any(prefix.holds(where) for prefix in self._prefixes)

    def _unavailable(self, where: Place) -> bool:
        """Whether the storage itself is missing, not an object in it. Remote storage raises its own errors then."""
        holding = [prefix for prefix in self._prefixes if prefix.holds(where)]
        return where.scheme == "file" and not any(Path(*prefix.parts).exists() for prefix in holding)

    def _once(self, where: Place) -> bytes:
        read = _read_file if where.scheme == "file" else _read_remote
        try:
            with prometheus.timed(prometheus.STORAGE_LATENCY, scheme=where.scheme):
                return read(where, self._max_bytes)
        except FileNotFoundError:
            if self._unavailable(where):
                raise Transient("the folder of the audio prefix does not exist; is its disk mounted?") from None
            raise Missing("the audio object does not exist") from None
        except PermissionError:
            raise Poison("audio:forbidden", "this worker lacks permission to read the audio object") from None
        except IsADirectoryError:
            raise Poison("audio:uri_refused", "the audio URI names a folder") from None
        except OSError as error:
            if error.errno in NOT_A_PLACE:
                raise Poison("audio:uri_refused", "the audio URI is not a valid path on this system") from None
            raise Transient(f"audio storage failed: {type(error).__name__}") from error


def _prefix(number: int, uri: str) -> Place:
    try:
        prefix = place(uri)
        fsspec.get_filesystem_class(prefix.scheme)
    except Poison as poison:
        raise ConfigurationError(f"audio_prefixes, entry {number}: {poison.detail}") from None
    except (ImportError, ValueError) as error:
        raise ConfigurationError(f"audio_prefixes, entry {number}: its scheme is not supported: {error}") from None
    return prefix


def _read_file(where: Place, max_bytes: int) -> bytes:
    # Does not follow a link created after the check, and does not block on a pipe.
    descriptor = os.open(Path(*where.parts), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Poison("audio:uri_refused", "the audio URI does not name a regular file")
        return _bounded(file, status.st_size, max_bytes)


def _read_remote(where: Place, max_bytes: int) -> bytes:
    try:
        filesystem, path = fsspec.core.url_to_fs(f"{where.scheme}://{'/'.join(where.parts)}")
        size = filesystem.size(path)
        with filesystem.open(path, "rb") as file:
            return _bounded(file, size, max_bytes)
    except (OSError, Poison):
        raise
    except Exception as error:  # each storage client has its own exception classes
        raise Transient(f"audio storage failed: {type(error).__name__}") from error


def _bounded(file: Any, size: int | None, max_bytes: int) -> bytes:
    data: bytes = file.read(max_bytes + 1) if size is None or size <= max_bytes else b""
    if len(data) > max_bytes or (size or 0) > max_bytes:
        raise Poison("audio:too_large", f"the audio object is larger than the maximum of {max_bytes} bytes")
    return data
