"""How large a request may be, and how slowly it may arrive. The memo upload has its own limit in bytes."""

import asyncio
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.api.problems import Problem

BODY_BYTES = 64 * 1024
"""Largest body of a request that uploads no audio."""
SILENCE_S = 15.0
"""Longest pause between two parts of a body."""
SLOWEST_BYTES_S = 1024.0
"""A body that arrives more slowly than this, over all of it but the first SILENCE_S, is given up."""


class RequestLimits:
    """Refuses bodies that are too large (413) or too slow (408). ASGI middleware.

    most_bytes: of the request with this scope; clock: seconds.
    """

    def __init__(
        self, app: ASGIApp, most_bytes: Callable[[Scope], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app, self._most_bytes, self._clock = app, most_bytes, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises Problem for a body outside of the limits."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._most_bytes(scope)
        if declared_bytes(scope) > most:
            raise too_large(most)
        await self._app(scope, Body(receive, most, self._clock), send)


class Body:
    """The body of one request as it arrives, counted and timed; afterwards the connection's other messages."""

    def __init__(self, receive: Receive, most: int, clock: Callable[[], float]) -> None:
        self._receive, self._most, self._clock = receive, most, clock
        self._bytes, self._complete, self._began = 0, False, clock()

    async def __call__(self) -> Message:
        """The next message. Raises Problem 413 or 408."""
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout(SILENCE_S):
                message = await self._receive()
        except TimeoutError:
            raise Problem(408) from None
        self._bytes += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._bytes > self._most:
            raise too_large(self._most)
        if not self._complete and self._clock() - self._began > SILENCE_S + self._bytes / SLOWEST_BYTES_S:
            raise Problem(408)
        return message


def declared_bytes(scope: Scope) -> int:
    """The `Content-Length` of a request; 0 without one. Raises Problem 400 for what is no number."""
    text = dict(scope["headers"]).get(b"content-length", b"0")
    if not text.isdigit():
        raise Problem(400, detail="Send a number of bytes in the header `Content-Length`.")
    return int(text)


def too_large(most: int) -> Problem:
    """A body has more bytes than it may."""
    return Problem(413, detail=f"Send at most {most:,} bytes in one request.")
