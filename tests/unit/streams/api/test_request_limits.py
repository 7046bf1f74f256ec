"""Bodies that are too large or too slow."""

from collections.abc import Iterator, Sequence

import pytest
from starlette.types import Message, Receive, Scope, Send

from streams.api import request_limits
from streams.api.problems import Problem
from streams.api.request_limits import SILENCE_S, SLOWEST_BYTES_S, RequestLimits

MOST = 5000


async def ended(*parts: bytes, at: Sequence[float] = (), headers: Sequence[tuple[bytes, bytes]] = ()) -> list[bytes]:
    """What an application that reads its whole body got; at: when the body begins, then when each part arrives."""
    got: list[bytes] = []
    waiting: Iterator[bytes] = iter(parts)
    times = iter(at or [0.0] * (len(parts) + 1))

    async def app(_: Scope, receive: Receive, __: Send) -> None:
        more = True
        while more:
            message = await receive()
            got.append(message["body"])
            more = message["more_body"]
        assert (await receive())["type"] == "http.disconnect"

    async def receive() -> Message:
        part = next(waiting, None)
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": part is not parts[-1]}

    async def send(_: Message) -> None:
        raise AssertionError("nothing is sent")

    limits = RequestLimits(app, lambda _: MOST, clock=lambda: next(times))
    await limits({"type": "http", "headers": list(headers)}, receive, send)
    return got


async def test_a_body_within_the_limits_arrives_whole() -> None:
    assert await ended(b"a" * 4000, b"b" * 1000) == [b"a" * 4000, b"b" * 1000]


@pytest.mark.parametrize("headers", [(), ((b"content-length", b"10"),)])
async def test_a_body_larger_than_allowed_is_refused_whatever_it_declares(
    headers: Sequence[tuple[bytes, bytes]],
) -> None:
    with pytest.raises(Problem, match="413") as refused:
        await ended(b"a" * 4000, b"b" * 1001, headers=headers)
    assert "5,000 bytes" in refused.value.detail


async def test_a_body_that_declares_too_much_is_refused_before_it_is_read() -> None:
    with pytest.raises(Problem, match="413"):
        await ended(headers=[(b"content-length", b"5001")])


@pytest.mark.parametrize("text", [b"-1", b"ten", b"1e3", "١".encode()])
async def test_a_length_that_is_no_number_is_refused(text: bytes) -> None:
    with pytest.raises(Problem, match="400"):
        await ended(headers=[(b"content-length", text)])


async def test_a_body_that_trickles_is_given_up() -> None:
    late = SILENCE_S + 2000 / SLOWEST_BYTES_S
    assert await ended(b"a" * 1000, b"b" * 1000, b"c", at=[0, 1, late]) == [b"a" * 1000, b"b" * 1000, b"c"]
    with pytest.raises(Problem, match="408"):
        await ended(b"a" * 1000, b"b" * 1000, b"c", at=[0, 1, late + 0.1])


async def test_a_body_that_stops_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    monkeypatch.setattr(request_limits, "SILENCE_S", 0.01)

    async def app(_: Scope, receive: Receive, __: Send) -> None:
        await receive()

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(_: Message) -> None:
        raise AssertionError("nothing is sent")

    with pytest.raises(Problem, match="408"):
        await RequestLimits(app, lambda _: MOST)({"type": "http", "headers": []}, never, send)
