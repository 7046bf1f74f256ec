"""A schema registry that speaks Confluent's HTTP interface (Confluent, Karapace, Apicurio's compatible endpoint).

Calls block; each schema is requested once per process, so a running worker waits for the registry only for a schema
that it has not seen.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import quote, unquote

import httpx

from schemas.codec import Codec, DecodeError
from schemas.errors import ConfigurationError, Transient
from schemas.settings import Settings

TIMEOUT_S = 10.0
CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"

Answer = Mapping[str, Any]


class HttpRegistry:
    """Ids of schemas and schemas of ids, cached for the life of the process. Thread-safe.

    url: `http(s)://[user:password@]host[:port][/path]`; the password appears in no message and no log line.
    Raises ConfigurationError for an invalid URL.
    """

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        address, auth = _address(url)
        self._client = httpx.Client(
            base_url=address,
            auth=auth,
            timeout=timeout_s,
            headers={"accept": CONTENT_TYPE, "content-type": CONTENT_TYPE},
        )
        self._ids: dict[tuple[str, str], int] = {}
        self._schemas: dict[int, str] = {}

    def id_of(self, subject: str, schema: str) -> int:
        """Id of `schema` (JSON text) under `subject`; registers it when the registry does not have it.

        Raises Transient when the registry is unavailable, ConfigurationError when it refuses.
        """
        key = (subject, schema)
        if key not in self._ids:
            path = f"/subjects/{quote(subject, safe='')}/versions"
            answer = self._ask("POST", path, {"schema": schema}, f"the schema of {subject}")
            self._ids[key] = _field(answer, "id", int)
        return self._ids[key]

    def schema_of(self, schema_id: int) -> str:
        """The Avro schema (JSON text) behind an id.

        Raises DecodeError when the registry has none, Transient when it is unavailable, ConfigurationError when it
        refuses.
        """
        if schema_id not in self._schemas:
            answer = self._ask("GET", f"/schemas/ids/{schema_id}", None, f"schema {schema_id}")
            if answer.get("schemaType", "AVRO") != "AVRO" or answer.get("references"):
                raise DecodeError(f"schema {schema_id} of the registry is not a self-contained Avro schema")
            self._schemas[schema_id] = _field(answer, "schema", str)
        return self._schemas[schema_id]

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, method: str, path: str, body: Answer | None, what: str) -> Answer:
        try:
            response = self._client.request(method, path, json=body)
        except httpx.TransportError as error:
            # The exception's own text may hold the address, and the address may hold more than a host.
            raise Transient(f"schema registry does not answer for {what}: {type(error).__name__}") from None
        if not response.is_success:
            raise _refusal(response.status_code, method, what)
        try:
            return cast("Answer", dict(response.json()))
        except (ValueError, TypeError):
            raise ConfigurationError(
                f"SCHEMA_REGISTRY_URL: the answer for {what} is not a JSON object; is this a schema registry?"
            ) from None


def make_codec(settings: Settings) -> Codec:
    """The codec that the settings ask for: with a schema registry, or without."""
    return Codec(HttpRegistry(settings.schema_registry_url) if settings.schema_registry_url else None)


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


def _refusal(status: int, method: str, what: str) -> Exception:
    if status == httpx.codes.TOO_MANY_REQUESTS or status == httpx.codes.REQUEST_TIMEOUT or status >= 500:
        return Transient(f"schema registry answers {status} for {what}")
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        return ConfigurationError(
            f"schema registry refuses {what} ({status}): check user, password and permissions in SCHEMA_REGISTRY_URL"
        )
    if status == httpx.codes.NOT_FOUND and method == "GET":
        return DecodeError(f"the schema registry has no {what}")
    if status == httpx.codes.CONFLICT:
        return ConfigurationError(
            f"schema registry refuses {what} (409): incompatible with an earlier version under that subject"
        )
    return ConfigurationError(f"schema registry answers {status} for {what}: is SCHEMA_REGISTRY_URL a schema registry?")


def _field(answer: Answer, name: str, kind: type[Any]) -> Any:
    value = answer.get(name)
    if not isinstance(value, kind):
        raise ConfigurationError(f"SCHEMA_REGISTRY_URL: the answer has no {name}; is this a schema registry?")
    return value
