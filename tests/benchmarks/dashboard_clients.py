"""The clients of the dashboard's benchmark: subscribers of live events that are cut off at random, and requests.

They read HTTP with as little work as they can, so that two hundred of them leave the machine to the dashboard.
"""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TypeAlias

CUT_EVERY_S = 15.0
"""Mean seconds between two cuts of one subscriber."""
CONNECTIONS = 50
PIECE_BYTES = 65536
LATEST_S = 30.0
"""A request that is not answered so soon counts as failed."""
FRAME = re.compile(rb'\nid: (\S+)\n(?:data: [^\n]*?"id": "([^"]+)"[^\n]*\n)?\n')
"""A whole frame of the stream: its id, and the id of the record if it is an event."""
LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)


@dataclass
class Subscriber:
    """One client: the ids of the records that it got, and how often it was cut off."""

    port: int
    chance: random.Random
    ids: list[str] = field(default_factory=list)
    last: bytes = b""
    cuts: int = -1
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            self.cuts += 1
            with suppress(OSError):  # a timeout is one too
                async with asyncio.timeout(self.chance.expovariate(1 / CUT_EVERY_S) + 0.2):
                    await self._follow()

    async def _follow(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            resumes = b"Last-Event-ID: %b\r\n" % self.last if self.last else b""
            path = b"/api/v1/events?topics=risk.scored"
            writer.write(b"GET %b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%b\r\n" % (path, self.port, resumes))
            text = b""
            while piece := await reader.read(PIECE_BYTES):
                text = self._taken(text + piece)
        finally:
            writer.close()

    def _taken(self, text: bytes) -> bytes:
        """Note whole frames; what is left of the text."""
        end = 0
        for found in FRAME.finditer(text):
            if found[2]:
                self.ids.append(found[2].decode())
            self.last, end = found[1], found.end()
            self.opened.set()
        return text[end:]


@dataclass
class Requests:
    """So many requests a second, whether or not earlier ones are answered. seconds: from when each was due."""

    port: int
    per_second: float
    paths: Sequence[str]
    seconds: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def run(self) -> None:
        """Ask until cancelled."""
        due: asyncio.Queue[tuple[float, str]] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(self._connection(due))
            began = time.perf_counter()
            for number in count():
                at = began + number / self.per_second
                await asyncio.sleep(max(at - time.perf_counter(), 0))
                due.put_nowait((at, self.paths[number % len(self.paths)]))

    async def _connection(self, due: "asyncio.Queue[tuple[float, str]]") -> None:
        """One connection, kept as a browser keeps it."""
        stream: Stream | None = None
        try:
            while True:
                at, path = await due.get()
                try:
                    async with asyncio.timeout(LATEST_S):
                        stream = stream or await asyncio.open_connection("127.0.0.1", self.port)
                        status = await self._asked(stream, path)
                except (OSError, ValueError, asyncio.IncompleteReadError):
                    _close(stream)
                    stream, status = None, 0
                self.seconds.append(time.perf_counter() - at)
                self.statuses.append(status)
        finally:
            _close(stream)

    async def _asked(self, stream: "Stream", path: str) -> int:
        """The status of one answer, read to its end. Raises ValueError for one without a length."""
        reader, writer = stream
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if (length := LENGTH.search(head)) is None:
            raise ValueError("an answer without a length")
        await reader.readexactly(int(length[1]))
        return int(head.split(b" ", 2)[1])


Stream: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _close(stream: Stream | None) -> None:
    if stream is not None:
        stream[1].close()


@asynccontextmanager
async def following(port: int, subscribers: int) -> AsyncIterator[list[Subscriber]]:
    """So many subscribers while the context is open; it begins once each was connected."""
    clients = [Subscriber(port, random.Random(number)) for number in range(subscribers)]
    tasks = [asyncio.create_task(client.run()) for client in clients]
    try:
        await asyncio.gather(*(client.opened.wait() for client in clients))
        yield clients
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def asking(requests: Requests) -> AsyncIterator[None]:
    """Requests while the context is open."""
    task = asyncio.create_task(requests.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
