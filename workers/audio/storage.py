"""Audio bytes by URI: only under configured prefixes, bounded, checked, with a word for everything that goes wrong."""

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
"""Never in the part after `scheme://`: each has a second reading somewhere between here and the storage."""
NOT_A_PLACE = frozenset({errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.ENOTDIR})


class Missing(Transient):
    """The object is not there; an event may overtake the object it speaks of."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object lies. scheme: lower case, `file` for paths; parts: path segments, the bucket or host first."""

    scheme: str
    parts: tuple[str, ...]

    def holds(self, other: "Place") -> bool:
        """Whether `other` lies under this place, by whole segments: `/data/a` does not hold `/data/ab`."""
        return self.scheme == other.scheme and self.parts == other.parts[: len(self.parts)]


def place(uri: str) -> Place:
    """The one place that a URI or a bare path means. Raises Poison `audio:uri_refused` where there could be two.

    Local paths are made real: `..` and symbolic links are followed before anything is compared.
    """
    if not uri or not uri.isprintable():
        raise _refused("empty, or with characters that do not print")
    scheme, separator, rest = uri.partition("://")
    if not separator:
        if urlsplit(uri).scheme and not Path(uri).is_absolute():
            raise _refused("a scheme without `://`")
        return _local(uri)
    if not scheme.isalnum():
        raise _refused("a chain of schemes, or one with other than letters and digits")
    if scheme.lower() in {"file", "local"}:
        return _local_uri(rest)
    parts = tuple(rest.rstrip("/").split("/"))
    if any(mark in rest.rstrip("/") for mark in FORBIDDEN_IN_REMOTE) or {"", ".", ".."} & set(parts):
        raise _refused("dots, escapes or empty segments in its path")
    return Place(scheme.lower(), parts)


def _local_uri(rest: str) -> Place:
    host, slash, path = rest.partition("/")
    if host not in {"", "localhost"} or not slash:
        raise _refused("a file URI with a host; write file:///path")
    return _local("/" + unquote(path))


def _local(path: str) -> Place:
    if not path.isprintable() or not Path(path).is_absolute():
        raise _refused("a relative path, or one with characters that do not print")
    try:
        return Place("file", Path(os.path.realpath(path)).parts)
    except (OSError, ValueError):
        raise _refused("no path that this system can have") from None


def _refused(why: str) -> Poison:
    return Poison(
        "audio:uri_refused", f"the audio URI is {why}" if why.startswith("a ") else f"the audio URI has {why}"
    )


class AudioStore:
    """Reads audio by URI for one set of settings. Holds no state: safe from any number of threads."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError when a prefix cannot be read as one, or its storage needs a package not here."""
        self._max_bytes = settings.audio_max_bytes
        self._prefixes = tuple(_prefix(number, uri) for number, uri in enumerate(settings.audio_prefixes, 1))
        self._attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Missing),
            stop=tenacity.stop_after_attempt(settings.audio_attempts),
            wait=tenacity.wait_random_exponential(multiplier=settings.audio_retry_s, max=10 * settings.audio_retry_s),
            reraise=True,
        )

    def read(self, uri: str, sha256: str | None) -> bytes:
        """The object's bytes. sha256: hex digest they must have, None for any.

        Raises Poison: `audio:uri_refused` outside the prefixes, `audio:missing` after a few tries, `audio:forbidden`,
        `audio:too_large`, `audio:checksum`; Transient when the storage fails, or when the very folder of its prefix is
        gone, as one is whose disk is not mounted. No message holds the URI.
        """
        where = place(uri)
        if not self._allowed(where):
            raise Poison("audio:uri_refused", "the audio URI lies outside the configured prefixes (audio_prefixes)")
        try:
            data = self._attempts.copy()(self._once, where)
        except Missing:
            raise Poison("audio:missing", "there is no object where the memo says its audio lies") from None
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256.lower():
            raise Poison("audio:checksum", "the audio does not have the SHA-256 that its event promises")
        return data

    def allows(self, uri: str) -> bool:
        """Whether `uri` lies under a configured prefix, so that `read` would try it."""
        try:
            return self._allowed(place(uri))
        except Poison:
            return False

    def _allowed(self, where: Place) -> bool:
        return any(prefix.holds(where) for prefix in self._prefixes)

    def _away(self, where: Place) -> bool:
        """Whether the storage itself is missing, not an object in it. Remote storage says so by errors of its own."""
        holding = [prefix for prefix in self._prefixes if prefix.holds(where)]
        return where.scheme == "file" and not any(Path(*prefix.parts).exists() for prefix in holding)

    def _once(self, where: Place) -> bytes:
        read = _read_file if where.scheme == "file" else _read_remote
        try:
            with prometheus.timed(prometheus.STORAGE_LATENCY, scheme=where.scheme):
                return read(where, self._max_bytes)
        except FileNotFoundError:
            if self._away(where):
                raise Transient("the folder that the audio prefix names is not there; is its disk mounted?") from None
            raise Missing("the audio object is not there") from None
        except PermissionError:
            raise Poison("audio:forbidden", "this worker may not read the audio object; check its rights") from None
        except IsADirectoryError:
            raise Poison("audio:uri_refused", "the audio URI names a folder") from None
        except OSError as error:
            if error.errno in NOT_A_PLACE:
                raise Poison("audio:uri_refused", "the audio URI has no path that this system can have") from None
            raise Transient(f"audio storage failed: {type(error).__name__}") from error


def _prefix(number: int, uri: str) -> Place:
    try:
        prefix = place(uri)
        fsspec.get_filesystem_class(prefix.scheme)
    except Poison as poison:
        raise ConfigurationError(f"audio_prefixes, entry {number}: {poison.detail}") from None
    except (ImportError, ValueError) as error:
        raise ConfigurationError(f"audio_prefixes, entry {number}: its scheme cannot be read here: {error}") from None
    return prefix


def _read_file(where: Place, max_bytes: int) -> bytes:
    # Not through a link that was put there after the check, and not waiting on a pipe.
    descriptor = os.open(Path(*where.parts), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Poison("audio:uri_refused", "the audio URI names something that is no file")
        return _bounded(file, status.st_size, max_bytes)


def _read_remote(where: Place, max_bytes: int) -> bytes:
    try:
        filesystem, path = fsspec.core.url_to_fs(f"{where.scheme}://{'/'.join(where.parts)}")
        size = filesystem.size(path)
        with filesystem.open(path, "rb") as file:
            return _bounded(file, size, max_bytes)
    except (OSError, Poison):
        raise
    except Exception as error:  # every storage client has a family of its own
        raise Transient(f"audio storage failed: {type(error).__name__}") from error


def _bounded(file: Any, size: int | None, max_bytes: int) -> bytes:
    data: bytes = file.read(max_bytes + 1) if size is None or size <= max_bytes else b""
    if len(data) > max_bytes or (size or 0) > max_bytes:
        raise Poison("audio:too_large", f"the audio object is larger than the {max_bytes} bytes allowed")
    return data
