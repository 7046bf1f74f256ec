"""Redis clients: how they are made, and how every call of one ends."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection

from schemas.errors import ConfigurationError, Transient
from schemas.settings import Settings
from workers.service import prometheus
from workers.service.health import HEALTH, Health
from workers.state.redis_errors import ROLE_CHANGED, code_of, translated

NOTHING: Mapping[str, Any] = {}
FAILING_FOR_S = 15.0
"""How long an operation that failed counts as failing unless it fails again: longer than the wait between retries."""


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


@asynccontextmanager
async def redis_call(client: Any, operation: str) -> AsyncIterator[None]:
    """The block calls Redis. Raises Transient for a state that passes and Stop for a refusal, in place of its errors.

    client: the client that is called; operation: for the metric and the health of the process. A cancellation always
    ends the call, and an answer that was not read whole ends its connection, which redis-py sees to.
    """
    try:
        with cancellable(), prometheus.timed(prometheus.REDIS_LATENCY, operation=operation):
            yield
    except (exceptions.RedisError, OSError) as error:
        if isinstance(error, exceptions.RedisError) and code_of(error) in ROLE_CHANGED:
            # Idle connections lead to the server that the address named when they were opened.
            await client.connection_pool.disconnect(inuse_connections=False)
        found = translated(error, f"REDIS_URL={_address(client)}")
        if isinstance(found, Transient):
            AVAILABILITY.failed(operation, str(found))
        if found is not None:
            raise found from error
        raise
    AVAILABILITY.succeeded(operation)


def _address(client: Any) -> str:
    """Where a client connects, without user and password, and without a path: one of a home may name a person."""
    pool = client.connection_pool
    options = pool.connection_kwargs
    if "path" in options:
        return "unix://…"
    scheme = "rediss" if issubclass(pool.connection_class, SSLConnection) else "redis"
    return f"{scheme}://{options.get('host', 'localhost')}:{options.get('port', 6379)}"


@contextmanager
def cancellable() -> Iterator[None]:
    """A cancellation of the task during the block is raised at its end at the latest, though a library lost it.

    redis-py 8 sends under `asyncio.wait_for`, which in Python 3.11 returns instead of raising when a task is cancelled
    in the moment in which its future is done.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    except Exception:
        _raise_lost(task, before)
        raise
    _raise_lost(task, before)


def _raise_lost(task: asyncio.Task[Any] | None, before: int) -> None:
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError


class Availability:
    """Reports to the health of a process whether Redis answers: it lacks Redis while any kind of operation fails.

    A server that is full or lost its replicas still answers reads, so each kind counts by itself. clock: monotonic
    seconds.
    """

    def __init__(self, health: Health = HEALTH, clock: Callable[[], float] = time.monotonic) -> None:
        self._health, self._clock = health, clock
        self._failed_at: dict[str, float] = {}

    def failed(self, operation: str, why: str) -> None:
        """An operation of this kind failed; why: one sentence without content."""
        self._failed_at[operation] = self._clock()
        self._health.lacks("redis", why)

    def succeeded(self, operation: str) -> None:
        """An operation of this kind succeeded."""
        if self._failed_at:
            now = self._clock()
            self._failed_at.pop(operation, None)
            self._failed_at = {kind: at for kind, at in self._failed_at.items() if now - at < FAILING_FOR_S}
        if not self._failed_at:
            self._health.has("redis")


AVAILABILITY = Availability()
"""Of this process."""
