"""Streams of events: heartbeats, and clients that do not read."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from starlette.types import Message

from streams.api import event_stream
from streams.api.event_stream import COMMENT, EventStream, alive, frame


async def nothing() -> AsyncGenerator[bytes]:
    await asyncio.Event().wait()
    yield b"never"


async def some(*frames: bytes) -> AsyncGenerator[bytes]:
    for each in frames:
        yield each


async def test_a_stream_without_events_is_kept_alive_and_ends_after_its_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "HEARTBEAT_S", 0.01)
    monkeypatch.setattr(event_stream, "LIFETIME_S", 0.05)
    found = [each async for each in alive(nothing(), asyncio.Event())]
    assert found[0].startswith(b"retry: ")
    assert set(found[1:]) == {COMMENT}


async def test_it_ends_with_its_frames_or_at_a_shutdown() -> None:
    frames = [frame("memo", "{}", "1"), frame("memo", "{}")]
    assert [each async for each in alive(some(*frames), asyncio.Event())][1:] == frames
    closing = asyncio.Event()
    closing.set()
    assert len([each async for each in alive(nothing(), closing)]) == 1


async def test_a_client_that_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "READ_WITHIN_S", 0.01)

    async def stuck(_: Message) -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await EventStream(nothing(), asyncio.Event()).stream_response(stuck)
