"""Receivers that misbehave in every way: the status counts, in time, and no answer costs more than its start."""

import gzip
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from schemas.errors import ConfigurationError, Poison, Transient
from streams.notify.http_client import ANSWER_BYTES, RetryLater, checked_url, make_client, post
from tests.raw_server import CHUNK, Connection, Misbehave, RawServer, always, misbehaving, ok, status

SOON_S = 0.4
"""Timeout of requests that must meet it."""
MUCH_LATER_S = 20.0
"""A request that takes this long is not cut at its timeout, however busy the machine is."""


async def answer(server: RawServer, timeout_s: float = 30.0) -> str:
    """What one post to the server gives."""
    async with make_client(timeout_s) as client:
        return await post(client, f"{server.url}/hook", b"{}", {}, setting="UNDERTONE_WEBHOOK_URL")


async def endless(connection: Connection) -> None:
    await connection.send(ok(b"", length=None))
    await connection.send_forever(CHUNK)


async def endless_chunks(connection: Connection) -> None:
    await connection.send(ok(b"", "Transfer-Encoding: chunked", length=None))
    await connection.send_forever(b"10000\r\n" + CHUNK + b"\r\n")


@pytest.mark.parametrize("misbehave", [endless, endless_chunks])
async def test_an_endless_answer_costs_its_start_alone(misbehave: Misbehave) -> None:
    with misbehaving(misbehave) as server:
        tracemalloc.start()
        try:
            assert len(await answer(server)) == ANSWER_BYTES
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert server.sent < 100 * ANSWER_BYTES, "what the kernel buffers, and no more"
        assert peak < 20_000_000


async def dripping_body(connection: Connection) -> None:
    await connection.send(ok(b"", length=100_000))
    await connection.drip(b"accepted" * 10_000)


async def silent_body(connection: Connection) -> None:
    await connection.send(ok(b"", length=100_000))
    await connection.wait()


@pytest.mark.parametrize("misbehave", [dripping_body, silent_body])
async def test_an_acceptance_counts_though_its_body_never_ends(misbehave: Misbehave) -> None:
    began = time.monotonic()
    with misbehaving(misbehave) as server:
        await answer(server, SOON_S)
        assert len(server.connections) == 1
    assert time.monotonic() - began < MUCH_LATER_S


async def silent(connection: Connection) -> None:
    await connection.wait()


async def dripping_headers(connection: Connection) -> None:
    await connection.drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"y" * 10_000)


async def informing(connection: Connection) -> None:
    await connection.send_forever(b"HTTP/1.1 103 Early Hints\r\n\r\n", every_s=0.02)


@pytest.mark.parametrize("misbehave", [silent, dripping_headers, informing])
async def test_an_answer_that_does_not_come_is_cut_at_the_timeout(misbehave: Misbehave) -> None:
    began = time.monotonic()
    with misbehaving(misbehave) as server, pytest.raises(Transient, match=r"within 0\.4 s"):
        await answer(server, SOON_S)
    assert time.monotonic() - began < MUCH_LATER_S


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"HTTP/1.1 200",
        b"220 smtp.example ESMTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_what_is_no_answer_is_retried(given: bytes) -> None:
    with misbehaving(always(given)) as server, pytest.raises(Transient):
        await answer(server)


async def test_a_connection_that_is_reset_or_refused_is_retried() -> None:
    async def reset(connection: Connection) -> None:
        connection.reset()

    with misbehaving(reset) as server:
        with pytest.raises(Transient, match=f"UNDERTONE_WEBHOOK_URL=http://127.0.0.1:{server.port}: the server closed"):
            await answer(server)
        closed = RawServer(server.port)
    with pytest.raises(Transient, match=f"UNDERTONE_WEBHOOK_URL=http://127.0.0.1:{closed.port}: connection refused"):
        await answer(closed)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
async def test_an_encoded_answer_is_not_inflated(coding: str) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    with misbehaving(always(ok(bomb, f"Content-Encoding: {coding}"))) as server:
        assert len(await answer(server)) <= ANSWER_BYTES


async def test_redirects_are_not_followed() -> None:
    with misbehaving(always(ok(b"elsewhere"))) as other:
        location = f"Location: {other.url}/hook"
        with misbehaving(always(status(307, location))) as server, pytest.raises(Transient, match="address and secret"):
            await answer(server)
        assert other.connections == []


async def test_cookies_are_neither_kept_nor_sent() -> None:
    with misbehaving(always(ok(b"", "Set-Cookie: a=1"))) as server:
        async with make_client(30.0) as client:
            for _ in range(2):
                await post(client, server.url, b"{}", {}, setting="UNDERTONE_WEBHOOK_URL")
            assert not client.cookies.jar._cookies  # type: ignore[attr-defined]
        assert not any(b"cookie" in connection.head.lower() for connection in server.connections)


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("5", 5.0),
        ("-5", 0.0),
        ("1e18", 0.0),
        ("1" + "0" * 18, 60.0),
        ("9" * 5000, 60.0),
        ("nan", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60.0),
        (format_datetime(datetime.now(UTC) - timedelta(days=9), usegmt=True), 0.0),
    ],
)
async def test_a_receiver_may_ask_for_time_but_not_for_ever(header: str, wait_s: float) -> None:
    with (
        misbehaving(always(status(503, f"Retry-After: {header}"))) as server,
        pytest.raises(RetryLater, match="503") as later,
    ):
        await answer(server)
    assert later.value.wait_s == wait_s


async def test_a_refusal_counts_by_the_start_of_its_text() -> None:
    async def refusing(connection: Connection) -> None:
        await connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\ninvalid_payload")
        await connection.wait()

    with misbehaving(refusing) as server:
        async with make_client(SOON_S) as client:
            with pytest.raises(Poison, match="HTTP 400"):
                await post(
                    client,
                    server.url,
                    b"{}",
                    {},
                    lambda code, text: (code, text) == (400, "invalid_payload"),
                    setting="UNDERTONE_WEBHOOK_URL",
                )


@pytest.mark.parametrize("url", ["http://", "ftp://host/", "host/hook", "http://host:99999/"])
def test_an_address_that_no_request_can_use_stops_the_start(url: str) -> None:
    with pytest.raises(ConfigurationError, match="UNDERTONE_WEBHOOK_URL"):
        checked_url(url, "UNDERTONE_WEBHOOK_URL")
