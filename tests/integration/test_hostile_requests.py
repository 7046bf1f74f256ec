"""Requests that no browser sends, over real connections to the real server: refused, and nothing of them comes back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from schemas.settings import Settings
from streams.roles import http_server
from streams.roles.http_server import bound_socket, serve
from streams.web.application import make_application
from tests.unit.streams.web.serving import services

MOST_S = 20.0
"""For an answer on a busy machine; nothing waits for so long."""


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Of a dashboard in local mode. What reaches one of its routes would fail: it has neither Kafka nor a database."""
    listening, stop = bound_socket("127.0.0.1", 0, "UNDERTONE_DASHBOARD_PORT"), asyncio.Event()
    running = asyncio.create_task(serve(make_application(services(Settings())), listening, stop, 2.0))
    yield listening.getsockname()[1]
    stop.set()
    await running
    listening.close()


async def answer_to(port: int, *parts: bytes) -> bytes:
    """Everything that comes back on one connection until it is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part.replace(b"PORT", str(port).encode()))
            await writer.drain()
        async with asyncio.timeout(MOST_S):
            return await reader.read()
    finally:
        writer.close()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


GET = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: close\r\n%b\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        GET % (b"/people/..%2f..%2fsystem", b""),
        GET % (b"/people/%2e%2e/system", b""),
        GET % (b"/people/../system", b""),
        GET % (b"/static/../../pyproject.toml", b""),
        GET % (b"/static/x/..%2f..%2fpages.py", b""),
        GET % (b"/static/x/%5c..%5cpages.py", b""),
        GET % (b"//evil.example/people/a", b""),
        GET % (b"/people/a%0d%0aSet-Cookie:%20evil=1", b""),
        GET % (b"/people/a%00b", b""),
        GET % (b"/people/\xff\xfe", b""),
        GET % (b"http://evil.example/people/a", b""),
        GET % (b"/people/a", b"Host: evil.example\r\n"),
        GET % (b"/people/a", b"X-Forwarded-For: 127.0.0.1\r\n"),
        GET % (b"/people/a", b"X-Forwarded-Host: evil.example\r\n"),
        GET % (b"/people/a", b"Bad Header: 1\r\n"),
        GET % (b"/people/a", b"X: a\x00b\r\n"),
        GET % (b"/" + b"a" * 20_000, b""),
        b"GET /people/a HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET /people/a HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET /people/a HTTP/1.0\r\n\r\n",
        b"POST /choices HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nOrigin: http://evil.example\r\nConnection: close\r\n"
        b"Content-Length: 11\r\n\r\nlanguage=de",
        b"POST /choices HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: close\r\n\r\n0\r\n\r\nGET /people/a HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n",
        b"POST /choices HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        b"POST /choices HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: -1\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: close\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=lambda request: request[:60].decode("latin-1").split("\r")[0],
)
async def test_what_no_browser_sends_is_refused(port: int, request_: bytes) -> None:
    answer = await answer_to(port, request_)
    assert status(answer) in {400, 403, 404, 405, 421, 431}, answer[:200]
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"evil" not in answer.lower().replace(b"127.0.0.1", b"")
    assert b"set-cookie" not in head
    assert b"HTTP/1.1 2" not in answer, "a second request was smuggled"


async def test_a_declared_length_beyond_the_limit_is_refused_unread(port: int) -> None:
    head = b"POST /choices HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: close\r\nContent-Length: 99999999999\r\n\r\n"
    assert status(await answer_to(port, head)) == 413


async def test_a_body_that_grows_beyond_the_limit_is_cut(port: int) -> None:
    head = b"POST /choices HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: close\r\n"
    head += b"Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n%b\r\n" % (16_384, b"a" * 16_384)
    assert status(await answer_to(port, head, *[chunk] * 5)) == 413


async def test_headers_that_trickle_are_not_waited_for(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "HEAD_S", 0.2)
    for beginning in (b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nX-Slow: "):
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            answer = await answer_to(port, beginning)
        assert answer == b""


async def test_a_body_that_trickles_is_given_up(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.api.request_limits.SILENCE_S", 0.2)
    head = b"POST /choices HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: 100\r\nConnection: close\r\n"
    head += b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    assert status(await answer_to(port, head, b"language=d")) == 408
