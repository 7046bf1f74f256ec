"""The beginning of a request's body, read before the application reads all of it."""

from collections import deque
from dataclasses import dataclass, field

from starlette.types import Message, Receive


@dataclass(slots=True)
class PeekedBody:
    """`receive` of an ASGI application that gives what was peeked at once more, then what comes after it."""

    receive: Receive
    _ended: bool = False
    _peeked: deque[Message] = field(default_factory=deque)

    async def __call__(self) -> Message:
        """The next message."""
        return self._peeked.popleft() if self._peeked else await self.receive()

    async def peek(self, least: int) -> bytes:
        """The first bytes of the body, at least as many unless it is shorter."""
        found = b""
        while len(found) < least and not self._ended:
            message = await self.receive()
            self._peeked.append(message)
            self._ended = message["type"] != "http.request" or not message.get("more_body", False)
            found += message.get("body", b"")
        return found
