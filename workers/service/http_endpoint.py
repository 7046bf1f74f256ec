"""HTTP endpoint: `/metrics` for Prometheus, `/healthz` and `/readyz` as liveness and readiness probes.

It runs in its own threads, so that a process with a blocked event loop still answers.
"""

import errno
import json
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from schemas.errors import ConfigurationError
from workers.service.health import HEALTH, Health
from workers.service.prometheus import REGISTRY

Page: TypeAlias = Callable[[Mapping[str, Any], Callable[..., Any]], Iterable[bytes]]
"""A WSGI application."""


class _Handler(WSGIRequestHandler):
    """Handles requests without a log, and with a timeout."""

    timeout = 5.0

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Not logged: probes arrive every few seconds."""


class _Server(ThreadingWSGIServer):
    """Binds an IPv4 or an IPv6 address, and asks no name server for the name of it."""

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """As HTTPServer's, whose reverse look-up of the address waits for a name server that is unavailable."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


@contextmanager
def serve(port: int, host: str, health: Health = HEALTH) -> Iterator[int]:
    """Serve the three pages at `host` while the context is open; yields the port, a free one for 0.

    host: an address of this machine, or a name: then at each of its addresses that this machine has. Raises
    ConfigurationError when none can be bound, or the port of one is taken.
    """
    servers = _bound(port, host, _pages(health))
    threads = [threading.Thread(target=server.serve_forever, name="port", daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield servers[0].server_port
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


def _bound(port: int, host: str, pages: Page) -> list[WSGIServer]:
    servers: list[WSGIServer] = []
    why = os.strerror(errno.EADDRNOTAVAIL)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for address in dict.fromkeys(str(each[4][0]) for each in found):
            chosen = servers[0].server_port if servers else port
            # A name of several machines, or of a protocol that is switched off here, is served where it can be.
            with _ignoring(errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                servers.append(make_server(address, chosen, pages, _Server, handler_class=_Handler))
    except OSError as error:
        for server in servers:
            server.server_close()
        servers, why = [], error.strerror or why
    if not servers:
        raise ConfigurationError(
            f"UNDERTONE_METRICS_PORT: port {port} cannot be bound at UNDERTONE_METRICS_HOST={host} ({why}); "
            "choose another"
        )
    return servers


@contextmanager
def _ignoring(*numbers: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in numbers:
            raise


def _pages(health: Health) -> Page:
    pages: dict[str, Page] = {
        "/metrics": make_wsgi_app(REGISTRY),
        "/healthz": lambda _, start: _answer(start, "stuck", health.faults()),
        "/readyz": lambda _, start: _answer(start, "missing", health.lacking()),
    }

    def page(environ: Mapping[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        found = pages.get(environ["PATH_INFO"])
        if found is None:
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"/metrics, /healthz, /readyz\n"]
        return found(environ, start)

    return page


def _answer(start: Callable[..., Any], name: str, reasons: list[str] | dict[str, str]) -> Iterable[bytes]:
    """200 without reasons, 503 with them."""
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    start("503 Service Unavailable" if reasons else "200 OK", headers)
    return [json.dumps({"status": "failing", name: reasons} if reasons else {"status": "ok"}).encode() + b"\n"]
