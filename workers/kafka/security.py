"""Encryption and passwords of Kafka connections, as the settings ask and as aiokafka takes them."""

import asyncio
import ssl
import time
from pathlib import Path
from typing import Any

import httpx
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError
from pydantic import SecretStr

from schemas.errors import ConfigurationError
from schemas.settings import Settings

TOKEN_S = 10.0
"""To have a token from where it is issued."""
FRESH = 0.8
"""Share of its life after which a token is asked for anew."""


class TokenRefused(AuthenticationFailedError):  # type: ignore[misc]  # aiokafka has no types
    """There is no token to show to the broker; the message says why."""


def kafka_access(settings: Settings) -> dict[str, Any]:
    """What every Kafka client needs beside an address; nothing for plain connections.

    Raises ConfigurationError for files that cannot be used.
    """
    if settings.kafka_security == "PLAINTEXT":
        return {}
    options: dict[str, Any] = {"security_protocol": settings.kafka_security}
    if settings.kafka_security.endswith("SSL"):
        options["ssl_context"] = _context(settings)
    if settings.kafka_mechanism is not None:
        options["sasl_mechanism"] = settings.kafka_mechanism
    if settings.kafka_mechanism == "OAUTHBEARER":
        options["sasl_oauth_token_provider"] = _tokens(settings)
    elif settings.kafka_mechanism is not None:
        options["sasl_plain_username"] = settings.kafka_user
        options["sasl_plain_password"] = _shown(settings.kafka_password)
    return options


def _context(settings: Settings) -> ssl.SSLContext:
    """Checks the broker's certificate and name, always."""
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca)
    except (OSError, ssl.SSLError):
        raise ConfigurationError("UNDERTONE_KAFKA_CA: no certificates can be read from this file") from None
    if settings.kafka_certificate is not None:
        try:
            # Asked for a password that is not there, OpenSSL would wait at a terminal for it.
            password = _shown(settings.kafka_key_password) or ""
            context.load_cert_chain(settings.kafka_certificate, settings.kafka_key, password)
        except (OSError, ssl.SSLError):
            raise ConfigurationError(
                "UNDERTONE_KAFKA_CERTIFICATE and UNDERTONE_KAFKA_KEY: these files are no certificate with its key, or "
                "UNDERTONE_KAFKA_KEY_PASSWORD does not open it"
            ) from None
    return context


def _tokens(settings: Settings) -> AbstractTokenProvider:
    if settings.kafka_token_file is not None:
        return FileTokens(settings.kafka_token_file)
    return IssuedTokens(
        settings.kafka_token_url or "",
        settings.kafka_client_id or "",
        _shown(settings.kafka_client_secret) or "",
        settings.kafka_scope,
    )


def _shown(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


class FileTokens(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka has no types
    """The token that a file holds now, such as one that Kubernetes projects and renews."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        """As the file has it. Raises TokenRefused when it has none."""
        try:
            token = (await asyncio.to_thread(self._path.read_text)).strip()
        except (OSError, UnicodeDecodeError):
            token = ""
        if not token:
            raise TokenRefused("UNDERTONE_KAFKA_TOKEN_FILE: no token can be read from it")
        return token


class IssuedTokens(AbstractTokenProvider):  # type: ignore[misc]
    """Tokens of an OpenID Connect issuer for a client's own credentials (RFC 6749, section 4.4), kept while fresh."""

    def __init__(self, url: str, client_id: str, client_secret: str, scope: str) -> None:
        self._url, self._credentials = url, (client_id, client_secret)
        self._form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        self._token, self._fresh_until = "", 0.0
        self._asking = asyncio.Lock()

    async def token(self) -> str:
        """A fresh one. Raises TokenRefused when it is refused, KafkaConnectionError when none answers."""
        async with self._asking:
            if time.monotonic() >= self._fresh_until:
                answer = await self._ask()
                try:
                    body = answer.json()
                    self._token = str(body["access_token"])
                    self._fresh_until = time.monotonic() + FRESH * float(body.get("expires_in", 300))
                except (ValueError, KeyError, TypeError):
                    raise TokenRefused("UNDERTONE_KAFKA_TOKEN_URL: its answer holds no token") from None
            return self._token

    async def _ask(self) -> httpx.Response:
        try:
            async with httpx.AsyncClient(timeout=TOKEN_S, auth=self._credentials) as client:
                answer = await client.post(self._url, data=self._form)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            # The exception's own text may hold the address, and the address may hold more than a host.
            raise KafkaConnectionError(f"UNDERTONE_KAFKA_TOKEN_URL does not answer: {type(error).__name__}") from None
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise KafkaConnectionError(f"UNDERTONE_KAFKA_TOKEN_URL answers {answer.status_code}")
        if not answer.is_success:
            raise TokenRefused(
                f"UNDERTONE_KAFKA_TOKEN_URL answers {answer.status_code}: check UNDERTONE_KAFKA_CLIENT_ID, "
                "UNDERTONE_KAFKA_CLIENT_SECRET and UNDERTONE_KAFKA_SCOPE"
            )
        return answer
