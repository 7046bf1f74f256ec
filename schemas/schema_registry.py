"""A schema registry that speaks Confluent's HTTP interface (Confluent, Karapace, Apicurio's compatible endpoint).

Calls block; each schema is requested once per process, so a running worker waits for the registry only for a schema
that it has not seen. An answer is bounded in bytes and in time, and ids that the registry does not know cost few
requests: a topic full of invented ids is read without the registry.
"""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, Literal, TypeAlias, cast
from urllib.parse import quote, unquote

import httpx

from schemas.codec import Codec, DecodeError, Registry, schema_text
from schemas.connection_errors import address_of, why_unreachable
from schemas.errors import ConfigurationError, Transient
from schemas.settings import Settings
from schemas.topics import TOPICS, Topic
from schemas.writer_schemas import SCHEMA_BYTES

TIMEOUT_S = 10.0
"""For a whole exchange, from the connection to the last byte of the answer."""
ANSWER_BYTES = 1024 * 1024
SCHEMAS_MOST = 256
"""Schemas that a process remembers."""
REFUSED_S = 30.0
"""How long an id without a usable schema is remembered, so that a schema that was just registered is found soon."""
REFUSED_MOST = 100
"""Ids without a usable schema within REFUSED_S; while there are as many, no unseen id is asked for."""
CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"

Answer = Mapping[str, Any]
Registration: TypeAlias = Literal["registered", "compatible", "incompatible", "missing"]
"""Of a schema under a subject: there; not there, but accepted or refused; no such subject."""


class HttpRegistry:
    """Ids of schemas and schemas of ids, cached. Thread-safe.

    url: `http(s)://[user:password@]host[:port][/path]`; the password appears in no message and no log line; timeout_s:
    for a whole exchange; clock: seconds. A refusal or an answer that is no registry's is a wrong setting
    (ConfigurationError) until the registry has answered once, and an outage (Transient) from then on.
    Raises ConfigurationError for an invalid URL.
    """

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._address, self._auth = _address(url)
        self._shown = address_of(url)
        self._timeout_s, self._clock = timeout_s, clock
        self._certificates = httpx.create_ssl_context()
        self._ids: dict[tuple[str, str], int] = {}
        self._schemas: OrderedDict[int, str] = OrderedDict()
        self._refused: OrderedDict[int, tuple[float, str]] = OrderedDict()
        """Until when an id counts as one without a usable schema, and why; oldest first."""
        self._lock = Lock()
        self._answered = False

    def id_of(self, subject: str, schema: str) -> int:
        """Id of `schema` (JSON text) under `subject`; registers it when the registry does not have it.

        Raises Transient when the registry is unavailable, ConfigurationError when it refuses.
        """
        key = (subject, schema)
        if key not in self._ids:
            path = f"/subjects/{quote(subject, safe='')}/versions"
            what = f"the schema of {subject}"
            number = self._ask("POST", path, {"schema": schema}, what).get("id")
            if type(number) is not int or not 0 <= number < 2**32:
                raise self._unexpected(f"the answer for {what} has no id")
            self._answered = True
            self._ids[key] = number
        return self._ids[key]

    def schema_of(self, schema_id: int) -> str:
        """The Avro schema (JSON text) behind an id.

        Raises DecodeError when the registry has none that can be used, Transient when it is unavailable,
        ConfigurationError when it refuses.
        """
        with self._lock:
            if schema_id in self._schemas:
                self._schemas.move_to_end(schema_id)
                return self._schemas[schema_id]
            self._raise_if_refused(schema_id)
        try:
            schema = self._usable(schema_id)
        except DecodeError as error:
            with self._lock:
                self._refused[schema_id] = (self._clock() + REFUSED_S, str(error))
            raise
        with self._lock:
            self._schemas[schema_id] = schema
            if len(self._schemas) > SCHEMAS_MOST:
                self._schemas.popitem(last=False)
        return schema

    def subjects(self) -> Sequence[str]:
        """Names of the subjects. Raises Transient when the registry is unavailable, ConfigurationError otherwise."""
        content = self._content("GET", "/subjects", None, "list of subjects")
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise self._unexpected("the answer for the list of subjects is no list of names")
        self._answered = True
        return found

    def registration(self, subject: str, schema: str) -> Registration:
        """Whether `schema` is registered under a subject, or would be accepted.

        Changes nothing. Raises as `subjects`.
        """
        path, what = f"/subjects/{quote(subject, safe='')}", f"the schema of {subject}"
        if self._found("POST", path, {"schema": schema}, what) is not None:
            return "registered"
        path = f"/compatibility{path}/versions/latest"
        answer = self._found("POST", path, {"schema": schema}, what)
        if answer is None:
            return "missing"
        return "compatible" if answer.get("is_compatible") else "incompatible"

    def _found(self, method: str, path: str, body: Answer | None, what: str) -> Answer | None:
        """The answer; None when the registry has no such subject or schema, which its error codes tell."""
        status, content = self._exchanged(method, path, body, what)
        if status == httpx.codes.NOT_FOUND and b"error_code" in content:
            return None
        return self._read(status, content, method, what)

    def _raise_if_refused(self, schema_id: int) -> None:
        while self._refused and next(iter(self._refused.values()))[0] <= self._clock():
            self._refused.popitem(last=False)
        if schema_id in self._refused:
            raise DecodeError(self._refused[schema_id][1])
        if len(self._refused) >= REFUSED_MOST:
            raise DecodeError(f"the schema registry did not know {REFUSED_MOST} ids lately, and is not asked for more")

    def _usable(self, schema_id: int) -> str:
        """The schema as the registry has it. Raises DecodeError when it cannot be used."""
        what = f"schema {schema_id}"
        answer = self._ask("GET", f"/schemas/ids/{schema_id}", None, what)
        schema = answer.get("schema")
        if not isinstance(schema, str):
            if self._answered:
                raise DecodeError(f"the registry's answer for {what} has no schema")
            raise self._unexpected(f"the answer for {what} has no schema")
        self._answered = True
        if answer.get("schemaType", "AVRO") != "AVRO" or answer.get("references"):
            raise DecodeError(f"{what} of the registry is not a self-contained Avro schema")
        if len(schema) > SCHEMA_BYTES:
            raise DecodeError(f"{what} of the registry is larger than {SCHEMA_BYTES:,} bytes")
        return schema

    def _ask(self, method: str, path: str, body: Answer | None, what: str) -> Answer:
        return self._read(*self._exchanged(method, path, body, what), method, what)

    def _content(self, method: str, path: str, body: Answer | None, what: str) -> bytes:
        status, content = self._exchanged(method, path, body, what)
        if not httpx.codes.is_success(status):
            raise self._refusal(status, "POST", what)
        return content

    def _exchanged(self, method: str, path: str, body: Answer | None, what: str) -> tuple[int, bytes]:
        try:
            # A loop of its own gives one deadline to all of the exchange, whatever loop runs in the calling thread.
            with ThreadPoolExecutor(1, thread_name_prefix="registry") as executor:
                return executor.submit(asyncio.run, self._exchange(method, path, body)).result()
        except (httpx.TransportError, OSError) as error:
            # The exception's own text may hold the address, and the address may hold more than a host.
            raise Transient(f"SCHEMA_REGISTRY_URL={self._shown}: {why_unreachable(error)} (asked for {what})") from None

    def _read(self, status: int, content: bytes, method: str, what: str) -> Answer:
        if not httpx.codes.is_success(status):
            raise self._refusal(status, method, what)
        if method == "GET" and len(content) > ANSWER_BYTES:
            # Whoever registered it, one record that names it must not make the others wait.
            raise DecodeError(f"{what} of the registry is larger than {SCHEMA_BYTES:,} bytes")
        try:
            return cast("Answer", dict(json.loads(content)))
        except (ValueError, TypeError, RecursionError):
            raise self._unexpected(f"the answer for {what} is not a JSON object") from None

    async def _exchange(self, method: str, path: str, body: Answer | None) -> tuple[int, bytes]:
        """Status and body of the answer; of a longer one ANSWER_BYTES and one more, which are no JSON."""
        headers = {"accept": CONTENT_TYPE, "content-type": CONTENT_TYPE, "accept-encoding": "identity"}
        content = bytearray()
        async with (
            asyncio.timeout(self._timeout_s),
            httpx.AsyncClient(
                base_url=self._address,
                auth=self._auth,
                verify=self._certificates,
                timeout=self._timeout_s,
                headers=headers,
            ) as client,
            client.stream(method, path, json=body) as response,
        ):
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) > ANSWER_BYTES:
                    break
            return response.status_code, bytes(content[: ANSWER_BYTES + 1])

    def _refusal(self, status: int, method: str, what: str) -> Exception:
        if status == httpx.codes.TOO_MANY_REQUESTS or status == httpx.codes.REQUEST_TIMEOUT or status >= 500:
            return Transient(f"schema registry answers {status} for {what}")
        if status == httpx.codes.NOT_FOUND and method == "GET":
            return DecodeError(f"the schema registry has no {what}")
        if status == httpx.codes.CONFLICT:
            return ConfigurationError(
                f"schema registry refuses {what} (409): incompatible with an earlier version under that subject"
            )
        if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            check = "check user, password and permissions in SCHEMA_REGISTRY_URL"
            return self._wrong(f"schema registry refuses {what} ({status}): {check}")
        return self._wrong(f"schema registry answers {status} for {what}: is SCHEMA_REGISTRY_URL a schema registry?")

    def _unexpected(self, what: str) -> Exception:
        return self._wrong(f"SCHEMA_REGISTRY_URL: {what}; is this a schema registry?")

    def _wrong(self, message: str) -> Exception:
        """A wrong setting before the first answer; after it something between this process and the registry fails."""
        return Transient(message) if self._answered else ConfigurationError(message)


def make_codec(settings: Settings) -> Codec:
    """The codec that the settings ask for: with a schema registry, or without."""
    return Codec(HttpRegistry(settings.schema_registry_url) if settings.schema_registry_url else None)


def subject_of(topic: Topic) -> str:
    """The subject of a topic's values, by Confluent's topic naming strategy."""
    return f"{topic.name}-value"


def register_subjects(registry: Registry) -> Iterator[tuple[str, int]]:
    """Register today's schema of every topic's record; each subject with its schema's id. Idempotent.

    Writers register the same schema under the same subject when they write their first record, so this changes nothing
    for them: whoever reads the registry finds the subjects before. Raises Transient when the registry is unavailable,
    ConfigurationError when it refuses, also a schema that is incompatible with one of the subject.
    """
    for topic in TOPICS:
        record: Any = topic.record
        yield subject_of(topic), registry.id_of(subject_of(topic), schema_text(record))


def _address(url: str) -> tuple[httpx.URL, tuple[str, str] | None]:
    """The URL without its user and password, and the two."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise ConfigurationError("SCHEMA_REGISTRY_URL cannot be read as a URL") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ConfigurationError("SCHEMA_REGISTRY_URL must be http(s)://[user:password@]host[:port]")
    user, _, password = parsed.userinfo.decode().partition(":")
    # httpx logs the address of every request, so the password leaves it here.
    return parsed.copy_with(userinfo=b""), (unquote(user), unquote(password)) if user else None
