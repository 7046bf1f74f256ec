"""The outermost layer of the application: every request is counted, and every error becomes an answer."""

import logging
import time
from typing import Any

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.api.problems import problem_of
from workers.service import prometheus

log = logging.getLogger(__name__)

UNMATCHED = "unmatched"
"""Label of requests to addresses that no route has: the address itself may be anything."""
SECURITY_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
"""On every answer; those of pages are stricter still."""


class Boundary:
    """Counts requests by route and status, and turns what no handler took into a problem. ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises what happened after the answer began: the server then closes the connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(pair for pair in SECURITY_HEADERS if pair[0] not in given),
                ]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            if status:
                log.exception("a response was cut off")
                raise
            await self._answer(scope, error, receive, noting)
        finally:
            _count(scope, status, time.perf_counter() - began)

    async def _answer(self, scope: Scope, error: Exception, receive: Receive, send: Send) -> None:
        handler: Any = getattr(scope["app"].state, "answer", None)
        request = Request(scope)
        response = problem_of(error).response() if handler is None else await handler(request, error)
        await response(scope, receive, send)


def route_of(scope: Scope) -> str:
    """The path template of the route that served a request, such as `/people/{user_id}`; never the path itself."""
    return str(getattr(scope.get("route"), "path", UNMATCHED))


def _count(scope: Scope, status: int, seconds: float) -> None:
    labels = {"route": route_of(scope), "method": scope["method"] if scope.get("route") else UNMATCHED}
    prometheus.HTTP_REQUESTS.labels(**labels, status=str(status or 499)).inc()
    prometheus.HTTP_DURATION.labels(**labels).observe(seconds)
