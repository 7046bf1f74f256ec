"""HTTP endpoint: `/metrics` for Prometheus, `/healthz` and `/readyz` as liveness and readiness probes.

It runs in its own threads, so that a process with a blocked event loop still answers.
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias
from wsgiref.simple_server import WSGIRequestHandler, make_server

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


@contextmanager
def serve(port: int, host: str = "0.0.0.0", health: Health = HEALTH) -> Iterator[int]:  # noqa: S104 - asked from elsewhere
    """Serve the three pages while the context is open; yields the port, a free one for 0.

    Raises ConfigurationError when the port is unavailable.
    """
    try:
        server = make_server(host, port, _pages(health), ThreadingWSGIServer, handler_class=_Handler)
    except OSError as error:
        raise ConfigurationError(
            f"UNDERTONE_METRICS_PORT: port {port} cannot be bound ({error.strerror}); choose another"
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="port", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


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
