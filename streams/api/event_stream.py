"""Server-Sent Events over ASGI: frames, heartbeats, and an end for whoever does not read.

A client that is cut off opens the address again and sends the id of the last event it has in `Last-Event-ID`.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import StreamingResponse
from starlette.types import Send

HEARTBEAT_S = 15.0
"""Seconds without an event after which a comment shows proxies that the connection lives."""
READ_WITHIN_S = 20.0
"""A client that takes nothing for so long is cut off."""
LIFETIME_S = 900.0
"""A stream ends after so long, and the client comes back: its session and its permissions are checked again."""
RETRY_MS = 1000
"""Milliseconds after which a client that was cut off comes back."""
COMMENT = b": \n\n"


def frame(event: str, data: str, event_id: str | None = None) -> bytes:
    r"""One event. data: one line; event_id: without spaces.

    >>> frame("alert", "{}", "0.a0-1")
    b'event: alert\nid: 0.a0-1\ndata: {}\n\n'
    """
    number = "" if event_id is None else f"id: {event_id}\n"
    return f"event: {event}\n{number}data: {data}\n\n".encode()


def known(event_id: str) -> bytes:
    """No event: the client knows everything up to this id."""
    return f"id: {event_id}\n\n".encode()


class EventStream(StreamingResponse):
    """A response of frames; it ends with `frames`, at `closing`, or after LIFETIME_S.

    Raises TimeoutError when the client does not read: the server then closes the connection.
    """

    media_type = "text/event-stream"

    def __init__(self, frames: AsyncGenerator[bytes], closing: asyncio.Event) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(alive(frames, closing), headers=headers)

    async def stream_response(self, send: Send) -> None:
        """Send every frame, each within READ_WITHIN_S."""

        async def in_time(message: object) -> None:
            async with asyncio.timeout(READ_WITHIN_S):
                await send(message)  # type: ignore[arg-type]

        await super().stream_response(in_time)


async def alive(frames: AsyncGenerator[bytes], closing: asyncio.Event) -> AsyncGenerator[bytes]:
    """The frames, with comments while there are none; ends with them, at `closing`, or after LIFETIME_S."""
    yield f"retry: {RETRY_MS}\n\n".encode()
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + LIFETIME_S
    async with aclosing(frames):
        stopping, coming = asyncio.create_task(closing.wait()), _next(frames)
        try:
            while loop.time() < ends_at and not closing.is_set():
                waiting = {coming, stopping}
                done, _ = await asyncio.wait(waiting, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
                if coming in done:
                    if (found := coming.result()) is None:
                        return
                    yield found
                    coming = _next(frames)
                elif stopping not in done:
                    yield COMMENT
        finally:
            # A generator can be closed once nothing waits for its next frame.
            for task in (stopping, coming):
                task.cancel()
            await asyncio.wait({stopping, coming})


def _next(frames: AsyncGenerator[bytes]) -> "asyncio.Task[bytes | None]":
    """The next frame; None at the end."""

    async def following() -> bytes | None:
        return await anext(frames, None)

    return asyncio.create_task(following())
