"""An HTTP server for tests that misbehaves as it is told to: it writes any bytes, at any pace, without an end."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

CHUNK = b"x" * 65536


@dataclass(slots=True)
class Connection:
    """One connection after its request: head is the request line and the headers."""

    head: bytes
    writer: asyncio.StreamWriter
    sent: int = 0

    @property
    def path(self) -> str:
        return self.head.split(b" ", 2)[1].decode()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        self.sent += len(data)

    async def send_forever(self, data: bytes, every_s: float = 0.0) -> None:
        """Until the other side hangs up."""
        while True:
            await self.send(data)
            await asyncio.sleep(every_s)

    async def drip(self, data: bytes, every_s: float = 0.05) -> None:
        """One byte at a time."""
        for byte in data:
            await self.send(bytes((byte,)))
            await asyncio.sleep(every_s)

    async def wait(self) -> None:
        """Nothing, until the other side hangs up or the server ends."""
        await asyncio.Event().wait()

    def reset(self) -> None:
        self.writer.transport.abort()


Misbehave: TypeAlias = Callable[[Connection], Awaitable[None]]


@dataclass(slots=True)
class RawServer:
    """connections: so far, also those that the other side has closed."""

    port: int = 0
    connections: list[Connection] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def sent(self) -> int:
        """Bytes of all answers."""
        return sum(connection.sent for connection in self.connections)


def ok(body: bytes, *headers: str, length: int | None = -1) -> bytes:
    """A whole answer. length: of Content-Length, None for none; -1 for that of the body."""
    lines = ["HTTP/1.1 200 OK", "Connection: close", *headers]
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length < 0 else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def status(code: int, *headers: str) -> bytes:
    """An answer without a body."""
    return "\r\n".join([f"HTTP/1.1 {code} Told", "Content-Length: 0", "Connection: close", *headers, "", ""]).encode()


def always(answer: bytes) -> Misbehave:
    """The same answer to every request."""

    async def misbehave(connection: Connection) -> None:
        await connection.send(answer)

    return misbehave


@contextmanager
def misbehaving(misbehave: Misbehave) -> Iterator[RawServer]:
    """A server on a free port of the loopback while the context is open."""
    server, loop = RawServer(), asyncio.new_event_loop()
    started, ending = threading.Event(), asyncio.Event()
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(_serve(server, misbehave, started, ending)), daemon=True
    )
    thread.start()
    assert started.wait(30)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join()
        loop.close()


async def _serve(server: RawServer, misbehave: Misbehave, started: threading.Event, ending: asyncio.Event) -> None:
    handling: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handling.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(_length(head))
                connection = Connection(head, writer)
                server.connections.append(connection)
                await misbehave(connection)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            handling.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    started.set()
    await ending.wait()
    listening.close()
    for task in list(handling):
        task.cancel()
    await asyncio.gather(*handling, return_exceptions=True)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0
