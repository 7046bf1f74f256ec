"""Encryption and authentication of Kafka connections, from the settings to aiokafka's options."""

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
"""Timeout of requesting a token from its issuer."""
FRESH = 0.8
"""Share of its lifetime after which a token is renewed."""


class TokenRefused(AuthenticationFailedError):  # type: ignore[misc]  # aiokafka has no types
    """No token for the broker is available; the message gives the reason."""


def kafka_access(settings: Settings) -> dict[str, Any]:
    """Security options of every Kafka client; none for plaintext connections.

    Raises ConfigurationError for unusable files.
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
    """A TLS context, which always verifies the broker's certificate and host name."""
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca)
    except (OSError, ssl.SSLError):
        raise ConfigurationError("UNDERTONE_KAFKA_CA: cannot read certificates from this file") from None
    if settings.kafka_certificate is not None:
        try:
            # Without a password OpenSSL would prompt for it on the terminal.
            password = _shown(settings.kafka_key_password) or ""
            context.load_cert_chain(settings.kafka_certificate, settings.kafka_key, password)
        except (OSError, ssl.SSLError):
            raise ConfigurationError(
                "UNDERTONE_KAFKA_CERTIFICATE and UNDERTONE_KAFKA_KEY: these files are not a certificate and its key, "
                "or UNDERTONE_KAFKA_KEY_PASSWORD does not decrypt the key"
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
    """The current token of a file, such as one that Kubernetes projects and renews."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        """The token in the file. Raises TokenRefused without one."""
        try:
            token = (await asyncio.to_thread(self._path.read_text)).strip()
        except (OSError, UnicodeDecodeError):
            token = ""
        if not token:
            raise TokenRefused("UNDERTONE_KAFKA_TOKEN_FILE: cannot read a token from this file")
        return token


class IssuedTokens(AbstractTokenProvider):  # type: ignore[misc]
    """Tokens of an OpenID Connect issuer for client credentials (RFC 6749, section 4.4), cached while fresh."""

    def __init__(self, url: str, client_id: str, client_secret: str, scope: str) -> None:
        self._url, self._credentials = url, (client_id, client_secret)
        self._form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        self._token, self._fresh_until = "", 0.0
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """A fresh token. Raises TokenRefused when the issuer refuses, KafkaConnectionError when it is unavailable."""
        async with self._lock:
            if time.monotonic() >= self._fresh_until:
                answer = await self._request()
                try:
                    body = answer.json()
                    self._token = str(body["access_token"])
                    self._fresh_until = time.monotonic() + FRESH * float(body.get("expires_in", 300))
                except (ValueError, KeyError, TypeError):
                    raise TokenRefused("UNDERTONE_KAFKA_TOKEN_URL: its response contains no token") from None
            return self._token

    async def _request(self) -> httpx.Response:
        try:
            async with httpx.AsyncClient(timeout=TOKEN_S, auth=self._credentials) as client:
                answer = await client.post(self._url, data=self._form)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            # The exception's own text may contain the address, which may contain secrets.
            raise KafkaConnectionError(f"UNDERTONE_KAFKA_TOKEN_URL unavailable: {type(error).__name__}") from None
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise KafkaConnectionError(f"UNDERTONE_KAFKA_TOKEN_URL returned HTTP {answer.status_code}")
        if not answer.is_success:
            raise TokenRefused(
                f"UNDERTONE_KAFKA_TOKEN_URL returned HTTP {answer.status_code}: check UNDERTONE_KAFKA_CLIENT_ID, "
                "UNDERTONE_KAFKA_CLIENT_SECRET and UNDERTONE_KAFKA_SCOPE"
            )
        return answer
