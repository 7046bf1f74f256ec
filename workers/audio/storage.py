"""Read audio bytes by URI: only under configured prefixes, bounded, checksummed, with a reason per failure."""

import hashlib
from pathlib import Path

import fsspec
import tenacity

from schemas.errors import ConfigurationError, Erased, Poison, Transient
from schemas.settings import Settings
from workers.privacy.files.audio_copies import AudioCopies
from workers.service import prometheus
from workers.storage.attempts import Attempts
from workers.storage.fsspec_object import FsspecObjects
from workers.storage.http_object import HttpObjects
from workers.storage.local_file import read_file
from workers.storage.outcomes import Missing, missing, too_large
from workers.storage.uri import HTTP, Place, place


class Mismatch(Missing):
    """The object is not the one that its event describes, perhaps not yet: it may be half written."""


class AudioStore:
    """Reads audio by URI for one set of settings. Thread-safe; it remembers which objects and storages fail."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError when a prefix is invalid, or its storage needs a package that is not installed."""
        self._max_bytes, self._hard_links = settings.audio_max_bytes, settings.audio_hard_links
        self._copies = AudioCopies(settings)
        self._prefixes = tuple(_prefix(number, uri) for number, uri in enumerate(settings.audio_prefixes, 1))
        self._in_turn = Attempts(settings.audio_give_up_s, settings.audio_outage_s)
        self._fsspec = FsspecObjects(settings.audio_timeout_s)
        if any(prefix.scheme in HTTP for prefix in self._prefixes):
            self._http = HttpObjects(self._is_allowed, settings.audio_max_bytes, settings.audio_timeout_s)
        self._attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Missing),
            stop=tenacity.stop_after_attempt(settings.audio_attempts),
            wait=tenacity.wait_random_exponential(multiplier=settings.audio_retry_s, max=10 * settings.audio_retry_s),
            reraise=True,
        )

    def read(self, uri: str, sha256: str | None) -> bytes:
        """The object's bytes. sha256: expected hex digest, None for any.

        Raises Poison: `audio:uri_refused` outside the prefixes, `audio:missing` and `audio:checksum` after a few
        retries, `audio:too_large`, `audio:content_encoding`; `audio:forbidden` and `audio:unavailable` when the storage
        delivers other objects and never this one (workers/storage/attempts.py). Raises Transient when the storage
        fails or denies access, or when the prefix's own folder is missing, as with an unmounted disk. Messages never
        contain the URI.
        """
        where = place(uri)
        prefix = self._prefix_of(where)
        if prefix is None:
            raise Poison("audio:uri_refused", "the audio URI is outside the configured prefixes (audio_prefixes)")
        try:
            return self._attempts.copy()(self._once, prefix, where, sha256)
        except Mismatch:
            raise Poison("audio:checksum", "the audio does not match the SHA-256 in its event") from None
        except Missing:
            raise Poison("audio:missing", "no object exists at the memo's audio URI") from None

    def allows(self, uri: str) -> bool:
        """Whether `uri` is under a configured prefix, so that `read` would try it."""
        try:
            return self._is_allowed(place(uri))
        except Poison:
            return False

    def _is_allowed(self, where: Place) -> bool:
        return self._prefix_of(where) is not None

    def _prefix_of(self, where: Place) -> Place | None:
        return next((prefix for prefix in self._prefixes if prefix.holds(where)), None)

    def _once(self, prefix: Place, where: Place, sha256: str | None) -> bytes:
        with self._in_turn.of(prefix, where), prometheus.timed(prometheus.STORAGE_LATENCY, scheme=where.scheme):
            data = self._bytes(prefix, where)
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256.lower():
            raise Mismatch("the audio does not match the SHA-256 in its event")
        return data

    def _bytes(self, prefix: Place, where: Place) -> bytes:
        if where.scheme in HTTP:
            return self._http.read(where)
        most = self._max_bytes + self._copies.room(self._max_bytes)
        if where.scheme != "file":
            return self._opened(self._fsspec.read(where, most))
        try:
            return self._opened(read_file(where.parts, most, hard_links=self._hard_links))
        except Missing:
            if not Path(*prefix.parts).exists():
                raise Transient("the folder of the audio prefix does not exist; is its disk mounted?") from None
            raise

    def _opened(self, data: bytes) -> bytes:
        """The audio of a file or object, which may be a sealed copy."""
        try:
            audio = self._copies.opened(data)
        except Erased:
            raise missing() from None
        except Poison:
            raise Mismatch("the sealed copy of the audio was changed or cut") from None
        if len(audio) > self._max_bytes:
            raise too_large(self._max_bytes)
        return audio


def _prefix(number: int, uri: str) -> Place:
    try:
        prefix = place(uri)
        if prefix.scheme not in HTTP:
            fsspec.get_filesystem_class(prefix.scheme)
    except Poison as poison:
        raise ConfigurationError(f"audio_prefixes, entry {number}: {poison.detail}") from None
    except (ImportError, ValueError) as error:
        raise ConfigurationError(f"audio_prefixes, entry {number}: its scheme is not supported: {error}") from None
    return prefix
