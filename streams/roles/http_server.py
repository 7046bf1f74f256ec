"""An HTTP server for a role: uvicorn on a socket of ours, which ends at the shutdown of the role."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from schemas.errors import ConfigurationError

HEAD_BYTES = 16 * 1024
"""Longest request line with all headers."""
HEAD_S = 10.0
"""Seconds in which a request's headers must arrive, from the connection or its first byte."""
KEEP_ALIVE_S = 10
CONNECTIONS = 1000
"""More at once are answered by 503."""


def bound_socket(host: str, port: int, setting: str) -> socket.socket:
    """A socket that listens at an address; port 0 takes a free one. Raises ConfigurationError that names `setting`."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise ConfigurationError(
            f"{setting}: {host} port {port} cannot be bound ({error.strerror}); choose another, or 0 for a free port"
        ) from error
    listening.setblocking(False)
    return listening


def passed_socket(descriptor: int, setting: str) -> socket.socket:
    """The listening socket that the parent has bound. Raises ConfigurationError that names `setting`."""
    try:
        listening = socket.socket(fileno=descriptor)
        listening.setblocking(False)
    except OSError as error:
        raise ConfigurationError(
            f"{setting}: descriptor {descriptor} is no socket ({error.strerror}); unset it: only `undertone up` sets it"
        ) from error
    return listening


class TimedHead(H11Protocol):
    """HTTP/1.1 that closes a connection whose request headers do not arrive in time."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Headers are due from now on."""
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Headers are due while no request is being served."""
        super().data_received(data)
        serving = self.cycle is not None and not self.cycle.response_complete
        if serving:
            self._disarm()
        elif self._deadline is None and self.timeout_keep_alive_task is None:
            self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is due any more."""
        self._disarm()
        super().connection_lost(exc)

    def _arm(self) -> None:
        self._deadline = self.loop.call_later(HEAD_S, self.transport.abort)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: the role's process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signal."""
        yield


def make_server(
    app: ASGIApp,
    stop_deadline_s: float,
    tls: ssl.SSLContext | None = None,
    protocol: type[TimedHead] = TimedHead,
) -> Server:
    """A server without an access log, which would hold pseudonyms, and without a header that names it."""
    options: dict[str, Any] = {
        "lifespan": "off",
        "ws": "none",
        "http": protocol,
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "limit_concurrency": CONNECTIONS,
        "timeout_keep_alive": KEEP_ALIVE_S,
        "timeout_graceful_shutdown": max(int(stop_deadline_s) - 1, 1),
        "h11_max_incomplete_event_size": HEAD_BYTES,
    }
    config = uvicorn.Config(app, **options)
    config.load()
    config.ssl = tls
    return Server(config)


async def serve(app: ASGIApp, listening: socket.socket, stop: asyncio.Event, stop_deadline_s: float) -> None:
    """Serve until `stop` is set and the requests under way are answered, or the deadline has passed."""
    await serve_on(make_server(app, stop_deadline_s), [listening], stop)


async def serve_on(server: Server, listening: list[socket.socket], stop: asyncio.Event) -> None:
    """As `serve`, on several sockets."""
    running = asyncio.create_task(server.serve(listening))
    asking = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, asking}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await running
    finally:
        asking.cancel()
        running.cancel()
