"""The factory of Redis clients: address, credentials, timeouts, and the meaning of refusals."""

import os
import ssl
from collections.abc import Mapping
from typing import Any

from redis import exceptions
from redis.asyncio import Redis

from schemas.errors import ConfigurationError, StoreRefused
from schemas.settings import Settings

NOTHING: Mapping[str, Any] = {}
_REFUSALS = (
    exceptions.AuthenticationError,
    exceptions.AuthenticationWrongNumberOfArgsError,
    exceptions.AuthorizationError,
    exceptions.NoPermissionError,
)


def redis_access(settings: Settings) -> Mapping[str, Any]:
    """Connection options besides REDIS_URL. Raises ConfigurationError for inconsistent settings."""
    url = settings.redis_url or ""
    files = {
        "ssl_ca_certs": settings.redis_ca,
        "ssl_certfile": settings.redis_certificate,
        "ssl_keyfile": settings.redis_key,
    }
    options: dict[str, Any] = {name: str(path) for name, path in files.items() if path is not None}
    if options and not url.startswith("rediss://"):
        raise ConfigurationError("UNDERTONE_REDIS_CA and certificates require rediss:// in REDIS_URL")
    if unreadable := [name for name, path in options.items() if not os.access(path, os.R_OK)]:
        raise ConfigurationError(
            f"UNDERTONE_REDIS_CA, _CERTIFICATE, _KEY: {len(unreadable)} of these files are unreadable"
        )
    if settings.redis_user is not None:
        options["username"] = settings.redis_user
    if settings.redis_password is not None:
        options["password"] = settings.redis_password.get_secret_value()
    return options


def redis_client(url: str, access: Mapping[str, Any], timeout_s: float) -> Redis:
    """A client that has not connected yet. Raises ConfigurationError for an invalid URL."""
    try:
        # No driver_info: sending it would need another permission.
        return Redis.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, driver_info=None, **access
        )
    except ValueError:
        raise ConfigurationError("REDIS_URL must be redis://, rediss:// or unix://, with a host or a path") from None


def refusal(error: BaseException) -> StoreRefused | None:
    """The error that ends the process when Redis refuses access or is not trusted; None for anything else."""
    reason: BaseException | None = error
    while reason is not None:
        if isinstance(reason, ssl.SSLCertVerificationError):
            return StoreRefused(
                f"Redis certificate verification failed ({reason.verify_message}): check UNDERTONE_REDIS_CA"
            )
        if isinstance(reason, exceptions.NoPermissionError):
            return StoreRefused("the Redis user lacks permission for a command or key: compare deploy/redis/users.acl")
        if isinstance(reason, _REFUSALS):
            return StoreRefused("Redis authentication failed: check REDIS_URL and UNDERTONE_REDIS_PASSWORD")
        reason = reason.__cause__ or reason.__context__
    return None
