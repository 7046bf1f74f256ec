"""The key server as the source of a keyring: keys of the purposes that this process is granted, and of no other.

    source = ServiceSource(settings)
    found = source.look_up(Lookup(month, frames=frames))        # in a thread; raises Transient while it does not answer

Which purposes these are, the service says at the first request, by the name in this process's certificate.
"""

import ssl
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Self, TypeVar

import httpx

from schemas.errors import ConfigurationError, ExitCode, Poison, Stop, Transient
from schemas.key_purposes import LASTING, LASTING_PURPOSES, Purpose
from schemas.settings import Settings
from workers.privacy.clear_records import FORGED, Since
from workers.privacy.erased_people import LastErasure
from workers.privacy.person_keys import Subject
from workers.privacy.sources import messages
from workers.privacy.sources.lookup import Found, Lookup
from workers.privacy.sources.messages import Answered, Asked, Erasing, Erasures, Granted, Holder, NotUnderstood, Users

ANSWER_S = 8.0
"""Seconds for a connection, and for each part of an answer: less than whoever needs a key waits."""
CONNECTIONS = 4
UNIX = "unix:"
AWAY = "UNDERTONE_KEY_SERVICE_URL: the key server does not answer"

T = TypeVar("T")


class KeysRefused(Stop):
    """The key server does not grant this process what it asks for; the message says what."""

    exit_code = ExitCode.NOPERM


class ServiceSource:
    """One key server, for any number of threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None
        self._granted: Granted | None = None
        self._places: Mapping[Purpose, slice] = {}

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """A service that has said what this process is given. Raises Transient, KeysRefused, ConfigurationError."""
        source = cls(settings)
        try:
            source._grant()
        except BaseException:
            source.close()
            raise
        return source

    @property
    def purposes(self) -> tuple[Purpose, ...]:
        """Those that this process is given keys of. Raises Transient, KeysRefused, ConfigurationError."""
        return self._grant().purposes

    @property
    def holders(self) -> "ServiceSource":
        """The service notes it in the key directory."""
        return self

    def beat(self, holder: bytes, now: float) -> Collection[bytes]:
        """As `Holders.beat`, by the clock of the service."""
        return self._posted(messages.BEAT, Holder(holder), Erasing).subjects

    def note_dropped(self, holder: bytes, subjects: Collection[bytes]) -> None:
        """As `Holders.note_dropped`."""
        for some in _parts(subjects):
            self._posted(messages.DROPPED, Holder(holder, list(some)), Erasing)

    def remove(self, holder: bytes) -> None:
        """As `Holders.remove`."""
        self._posted(messages.LEFT, Holder(holder), Erasing)

    def look_up(self, lookup: Lookup) -> Found:
        """As `KeySource.look_up`. Raises Transient, KeysRefused."""
        purposes = self._grant().purposes
        found = Found({}, {}, None)
        for part in parts_of(lookup):
            answer = self._posted(messages.KEYS, Asked.of(part, purposes), Answered).found()
            found = Found(
                {**found.people, **answer.people},
                {**found.keys, **answer.keys},
                found.destroyed_before if answer.destroyed_before is None else answer.destroyed_before,
            )
        return found

    def purpose_key(self, key: bytes, epoch: int, purpose: Purpose) -> bytes:
        """The key of a purpose, of those that the service sent. Raises KeysRefused for one that it does not grant."""
        place = self._places.get(purpose)
        if place is None:
            raise KeysRefused(
                f"the key server grants this process no keys of `{purpose}`: its certificate is that of another role"
            )
        if (purpose in LASTING_PURPOSES) != (epoch == LASTING):
            raise Poison(FORGED, "nothing of this purpose is sealed with the key of such a month")
        return key[place]

    def people(self, subjects: Collection[bytes]) -> Mapping[bytes, Subject]:
        """Those of these subjects that are known."""
        # The month has no part in what is only to be opened.
        found = self.look_up(Lookup(1, frames=frozenset((subject, LASTING) for subject in subjects)))
        return {subject: person for subject, (_, person) in found.people.items()}

    def last_erasures(self, users: Collection[str]) -> Mapping[str, LastErasure]:
        """Those of these pseudonyms that were erased, and when last. Raises Transient, KeysRefused."""
        found: dict[str, LastErasure] = {}
        for some in _parts(users):
            answer = self._posted(messages.ERASURES, Users(list(some)), Erasures)
            found |= {user: LastErasure(*erasure) for user, erasure in answer.erased.items()}
        return found

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _grant(self) -> Granted:
        if self._granted is None:
            granted = self._answer("GET", messages.GRANT, None, Granted)
            months = [purpose for purpose in granted.purposes if purpose not in LASTING_PURPOSES]
            lasting = [purpose for purpose in granted.purposes if purpose in LASTING_PURPOSES]
            self._places = {**messages.places(months), **messages.places(lasting)}
            self._granted = granted
        return self._granted

    def _posted(self, path: str, message: Asked | Users | Holder, kind: type[T]) -> T:
        return self._answer("POST", path, messages.encoded(message), kind)

    def _answer(self, method: str, path: str, body: bytes | None, kind: type[T]) -> T:
        try:
            answer = self._connected().request(method, path, content=body)
        except (httpx.HTTPError, ssl.SSLError) as error:
            # Certificates that were renewed are read again with the next connection.
            self.close()
            raise Transient(f"{AWAY} ({why_away(error)})") from None
        if answer.is_success:
            try:
                return messages.decoded(answer.content, kind)
            except NotUnderstood:
                raise ConfigurationError(f"{AWAY} as a key server of this version does") from None
        raise _refusal(answer)

    def _connected(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = _client(self._settings)
            return self._client


def parts_of(lookup: Lookup) -> Iterator[Lookup]:
    """The look-up in parts that the service takes, each about people of its own."""
    for users in _parts(sorted(lookup.users)):
        known = {user: lookup.known[user] for user in users if lookup.known and user in lookup.known}
        since: Since = lookup.since
        if isinstance(since, Mapping):
            since = {user: since[user] for user in users if user in since}
        met = frozenset(frame for frame in lookup.met if frame[0] in known.values())
        yield replace(lookup, users=frozenset(users), frames=frozenset(), since=since, known=known, met=met)
    for frames in _parts(sorted(lookup.frames)):
        subjects = {subject for subject, _ in frames}
        met = frozenset(frame for frame in lookup.met if frame[0] in subjects)
        yield Lookup(lookup.month, frames=frozenset(frames), met=met)


def _parts(values: Collection[T]) -> Iterator[tuple[T, ...]]:
    rest = iter(values)
    while some := tuple(islice(rest, messages.PEOPLE)):
        yield some


def _refusal(answer: httpx.Response) -> Exception:
    """What an answer that is no success means."""
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"HTTP {answer.status_code}"
    if answer.status_code == httpx.codes.FORBIDDEN:
        return KeysRefused(f"the key server refuses this process: {detail}")
    if answer.status_code in {httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS} or answer.is_server_error:
        return Transient(f"the key server has no answer now: {detail}")
    return ConfigurationError(
        f"UNDERTONE_KEY_SERVICE_URL: the key server does not understand this process ({detail}); run the same version "
        "of Undertone on both sides"
    )


def why_away(error: Exception) -> str:
    """Why there was no answer, in words without an address."""
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "UNDERTONE_KEY_SERVICE_CA does not vouch for its certificate, or that is of another host"
    if "alert" in text.lower() or isinstance(error, ssl.SSLError | httpx.RemoteProtocolError):
        return "it closed the connection, as where it does not accept the certificate of this process"
    return "it takes too long" if isinstance(error, httpx.TimeoutException) else type(error).__name__


def _client(settings: Settings) -> httpx.Client:
    """Connections to the service. Raises ConfigurationError for unusable files."""
    url = settings.key_service_url or ""
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    if url.startswith(UNIX):
        transport = httpx.HTTPTransport(uds=url.removeprefix(UNIX), limits=limits)
        return httpx.Client(base_url="http://keys", transport=transport, timeout=ANSWER_S, trust_env=False)
    context = tls_context(settings, ssl.Purpose.SERVER_AUTH)
    return httpx.Client(base_url=url, verify=context, limits=limits, timeout=ANSWER_S, trust_env=False)


def tls_context(settings: Settings, purpose: ssl.Purpose) -> ssl.SSLContext:
    """TLS in which both sides show a certificate that UNDERTONE_KEY_SERVICE_CA vouches for.

    purpose: which side this one verifies, as `ssl.Purpose` has it. Raises ConfigurationError for unusable files.
    """
    files = (settings.key_service_ca, settings.key_service_certificate, settings.key_service_key)
    if None in files:
        raise ConfigurationError(
            "UNDERTONE_KEY_SERVICE_CA, UNDERTONE_KEY_SERVICE_CERTIFICATE and UNDERTONE_KEY_SERVICE_KEY are needed: "
            "keys are given by certificate alone"
        )
    try:
        context = ssl.create_default_context(purpose, cafile=settings.key_service_ca)
    except (OSError, ssl.SSLError):
        raise ConfigurationError("UNDERTONE_KEY_SERVICE_CA: cannot read certificates from this file") from None
    try:
        context.load_cert_chain(str(settings.key_service_certificate), settings.key_service_key, password="")
    except (OSError, ssl.SSLError):
        raise ConfigurationError(
            "UNDERTONE_KEY_SERVICE_CERTIFICATE and UNDERTONE_KEY_SERVICE_KEY: these files are not a certificate and "
            "its key without a password"
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    return context
