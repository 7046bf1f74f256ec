"""When an agent starts its next batch, and what it knows of each record."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from streams.agents.agent_loop import _source, next_batch


def queue_of(*events: int) -> asyncio.Queue[int]:
    queue: asyncio.Queue[int] = asyncio.Queue(3)
    for event in events:
        queue.put_nowait(event)
    return queue


async def test_after_a_pause_an_event_is_processed_immediately() -> None:
    async with asyncio.timeout(1.0):
        assert await next_batch(queue_of(1), not_before=time.monotonic() - 0.01, full=3) == [1]


async def test_a_full_batch_is_processed_immediately() -> None:
    async with asyncio.timeout(1.0):
        assert await next_batch(queue_of(1, 2, 3), not_before=time.monotonic() + 60.0, full=3) == [1, 2, 3]


async def test_events_soon_after_a_batch_wait_for_the_next() -> None:
    queue = queue_of(1)
    not_before = time.monotonic() + 0.05
    taking = asyncio.create_task(next_batch(queue, not_before, full=3))
    await asyncio.sleep(0)
    assert not taking.done()
    queue.put_nowait(2)
    assert await taking == [1, 2]
    assert time.monotonic() >= not_before


@pytest.mark.parametrize(("timestamp", "timestamp_ms"), [(1_767_225_600.123, 1_767_225_600_123), (None, -1)])
def test_a_record_has_the_timestamp_of_kafka(timestamp: float | None, timestamp_ms: int) -> None:
    message = SimpleNamespace(
        topic="risk.scored", partition=1, offset=7, key=b"u", value=b"v", headers=(), timestamp=timestamp
    )
    assert _source(SimpleNamespace(message=message)).timestamp_ms == timestamp_ms
