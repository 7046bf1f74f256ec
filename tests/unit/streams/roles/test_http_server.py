"""The server on a real socket: what it tells of itself, how long it waits for headers, and how it ends."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from schemas.errors import ConfigurationError
from streams.roles import http_server
from streams.roles.http_server import HEAD_BYTES, bound_socket, passed_socket, serve

SETTING = "UNDERTONE_DASHBOARD_PORT"


class Gate:
    """Holds requests inside the application. entered: one is there; hold: set to let it go on."""

    def __init__(self) -> None:
        self.entered, self.hold = asyncio.Event(), asyncio.Event()


@asynccontextmanager
async def served(stop: asyncio.Event, gate: Gate | None = None, deadline_s: float = 8.0) -> AsyncIterator[int]:
    """A server of an application that answers once its gate is open; the port."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        if gate is not None:
            gate.entered.set()
            await gate.hold.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    with bound_socket("127.0.0.1", 0, SETTING) as listening:
        port = listening.getsockname()[1]
        running = asyncio.create_task(serve(app, listening, stop, deadline_s))
        try:
            yield port
        finally:
            stop.set()
            await running


async def test_an_answer_names_no_server() -> None:
    async with served(asyncio.Event()) as port, httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/")
    assert (answer.text, "server" in answer.headers) == ("ok", False)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "])
async def test_headers_that_do_not_arrive_close_the_connection(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "HEAD_S", 0.05)
    async with served(asyncio.Event()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()


async def test_headers_of_a_second_request_that_do_not_arrive_close_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "HEAD_S", 0.2)
    async with served(asyncio.Event()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200" in await reader.readuntil(b"ok")
        writer.write(b"GET / HTTP/1.1\r\n")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()


async def test_headers_that_are_too_long_are_refused() -> None:
    async with served(asyncio.Event()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * (HEAD_BYTES + 1))
        assert b"400" in await reader.readline()
        writer.close()


async def test_asked_to_stop_it_finishes_what_is_under_way_and_takes_nothing_new() -> None:
    stop, gate = asyncio.Event(), Gate()
    async with served(stop, gate) as port, httpx.AsyncClient() as client:
        asking = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/"))
        await gate.entered.wait()
        stop.set()
        while await _takes_connections(port):
            await asyncio.sleep(0.01)
        gate.hold.set()
        assert (await asking).text == "ok"


async def test_what_does_not_finish_is_cut_at_the_deadline() -> None:
    stop, gate = asyncio.Event(), Gate()
    async with served(stop, gate, deadline_s=2.0) as port, httpx.AsyncClient(timeout=30) as client:
        asking = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/"))
        await gate.entered.wait()
        stop.set()
        assert (await asking).status_code == 500


def test_a_port_that_is_taken_is_a_wrong_setting() -> None:
    with bound_socket("127.0.0.1", 0, SETTING) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"{SETTING}: 127.0.0.1 port {port} cannot be bound .*in use"):
            bound_socket("127.0.0.1", port, SETTING)


async def _takes_connections(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def test_a_socket_that_the_parent_bound_is_used_and_one_that_is_none_is_a_wrong_setting() -> None:
    with bound_socket("127.0.0.1", 0, SETTING) as bound:
        with passed_socket(os.dup(bound.fileno()), SETTING) as passed:
            assert passed.getsockname() == bound.getsockname()
        reading, writing = os.pipe()
        with pytest.raises(ConfigurationError, match=f"{SETTING}: descriptor {reading} is no socket"):
            passed_socket(reading, SETTING)
        os.close(reading)
        os.close(writing)
