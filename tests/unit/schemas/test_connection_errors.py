"""What a failed connection is said to be, whichever library reports it."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka.conn import AIOKafkaConnection
from redis.asyncio import Redis

from schemas.connection_errors import NO_ANSWER, NO_HOST, address_of, why_unreachable

Connect = Callable[[str, int], Coroutine[Any, Any, object]]


async def http(host: str, port: int) -> None:
    async with httpx.AsyncClient(timeout=5.0) as client:
        await client.get(f"http://{host}:{port}")


async def redis(host: str, port: int) -> None:
    async with Redis(host=host, port=port) as client:
        await client.get("x")


async def kafka(host: str, port: int) -> None:
    await AIOKafkaConnection(host, port, request_timeout_ms=5000).connect()


@pytest.fixture
def closed() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


@pytest.mark.parametrize("connect", [http, redis, kafka])
async def test_a_name_that_does_not_resolve_and_a_closed_port_are_told_apart(
    connect: Connect, closed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Exception) as refused:  # noqa: PT011  # of whichever library
        await connect("127.0.0.1", closed)
    assert why_unreachable(refused.value).startswith("connection refused")

    def no_such_host(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_host)
    with pytest.raises(Exception) as unknown:  # noqa: PT011
        await connect("nohost.invalid", 9092)
    assert why_unreachable(unknown.value) == NO_HOST


async def test_a_socket_that_is_not_there_is_said_as_such(tmp_path: Path) -> None:
    async with Redis(unix_socket_path=str(tmp_path / "nowhere")) as client:
        with pytest.raises(Exception) as missing:  # noqa: PT011
            await client.get("x")
    assert why_unreachable(missing.value).startswith("no such socket")
    assert str(tmp_path) not in why_unreachable(missing.value)


def test_every_other_failure_has_its_words() -> None:
    assert why_unreachable(TimeoutError()) == NO_ANSWER
    assert why_unreachable(asyncio.IncompleteReadError(b"", 4)) == "the server closed the connection"
    assert why_unreachable(ValueError("content")) == "unavailable (ValueError)"
    assert why_unreachable(ConnectionResetError(104, "x")) == "the server closed the connection"
    assert why_unreachable(ssl.SSLError(1, "x")).startswith("the encrypted connection failed")
    assert why_unreachable(socket.gaierror(socket.EAI_AGAIN, "x")) == "its name cannot be resolved now"
    several = OSError(
        "Multiple exceptions: [Errno 111] Connect call failed ('::1', 9), [Errno 111] Connect call failed"
    )
    assert why_unreachable(several).startswith("connection refused")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:secret@registry:8081/api?key=secret", "http://registry:8081"),
        ("https://hooks.example/services/secret", "https://hooks.example"),
        ("http://[::1]:9/secret", "http://[::1]:9"),
        ("http://a:secret", "an invalid address"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert address_of(url) == shown
