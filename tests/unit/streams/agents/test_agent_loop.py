"""When an agent takes what waits for it."""

import asyncio
import time

from streams.agents.agent_loop import taken


def queue_of(*events: int) -> asyncio.Queue[int]:
    queue: asyncio.Queue[int] = asyncio.Queue(3)
    for event in events:
        queue.put_nowait(event)
    return queue


async def test_after_a_quiet_time_an_event_waits_for_nothing() -> None:
    async with asyncio.timeout(1.0):
        assert await taken(queue_of(1), not_before=time.monotonic() - 0.01, most=3) == [1]


async def test_a_full_batch_waits_for_nothing() -> None:
    async with asyncio.timeout(1.0):
        assert await taken(queue_of(1, 2, 3), not_before=time.monotonic() + 60.0, most=3) == [1, 2, 3]


async def test_soon_after_a_batch_events_gather() -> None:
    queue = queue_of(1)
    not_before = time.monotonic() + 0.05
    taking = asyncio.create_task(taken(queue, not_before, most=3))
    await asyncio.sleep(0)
    assert not taking.done()
    queue.put_nowait(2)
    assert await taking == [1, 2]
    assert time.monotonic() >= not_before
