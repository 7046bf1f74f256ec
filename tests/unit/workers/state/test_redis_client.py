"""How calls of Redis end: by cancellation, whenever it comes, and with the health of the process told."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from tests.servers import RedisServer
from workers.service.health import Health
from workers.state.redis_client import FAILING_FOR_S, Availability, cancellable, redis_call, redis_client
from workers.state.redis_deadlines import RedisDeadlines
from workers.state.redis_store import RedisStore

CANCELLATIONS = 1_000


async def _forever(call: Callable[[], Awaitable[object]]) -> None:
    while True:
        await call()


async def _swallowed(call: Callable[[], Awaitable[object]]) -> bool:
    """Whether one of many cancellations, each after a random number of turns of the loop, had no effect."""
    turns = random.Random(17)
    for _ in range(CANCELLATIONS):
        task = asyncio.create_task(_forever(call))
        for _ in range(turns.randrange(60)):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=2)
        if not done:
            while not task.done():
                task.cancel()
                await asyncio.sleep(0.01)
            return True
    return False


def test_no_cancellation_is_swallowed(redis_server: RedisServer) -> None:
    async def scenario() -> bool:
        numbers = iter(range(10**9))
        async with RedisStore(redis_server.url, prefix="cancel:") as store:
            keys = [f"k{i}" for i in range(3)]
            return await _swallowed(lambda: store.read(keys)) or await _swallowed(
                lambda: store.update(keys, lambda *_: (b"%d" % next(numbers), None), ttl_s=60.0)
            )

    assert not asyncio.run(scenario())


def test_no_cancellation_of_timeouts_is_swallowed(redis_server: RedisServer) -> None:
    async def scenario() -> bool:
        async with RedisDeadlines(redis_server.url, key="cancel:open") as deadlines:
            return await _swallowed(deadlines.count)

    assert not asyncio.run(scenario())


def test_an_answer_never_goes_to_another_call(redis_server: RedisServer) -> None:
    """Connections outlive cancelled calls, so a later call must not read what an earlier one left unread."""

    async def scenario() -> None:
        turns = random.Random(5)
        async with RedisStore(redis_server.url, prefix="answers:") as store:
            values = {f"k{i}": b"%d" % i * 2000 for i in range(50)}
            await store.update(list(values), lambda key, _: (values[key], None), ttl_s=60.0)

            async def read(key: str) -> None:
                assert await store.read([key]) == {key: values[key]}

            for _ in range(CANCELLATIONS):
                tasks = [asyncio.create_task(read(turns.choice(list(values)))) for _ in range(3)]
                for _ in range(turns.randrange(40)):
                    await asyncio.sleep(0)
                tasks[0].cancel()
                _, *others = await asyncio.gather(*tasks, return_exceptions=True)
                assert others == [None, None]

    asyncio.run(scenario())


def test_a_lost_cancellation_is_raised_at_the_end_of_the_call() -> None:
    async def swallows() -> None:
        with cancellable(), suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def scenario() -> None:
        task = asyncio.create_task(swallows())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())


def test_a_task_that_ends_by_cancellation_may_still_call(redis_server: RedisServer) -> None:
    """What a cancelled task does in its `finally` is not cancelled again."""

    async def scenario() -> str:
        said = ""
        client = redis_client(redis_server.url, {}, 5.0)

        async def work() -> None:
            nonlocal said
            try:
                await asyncio.Event().wait()
            finally:
                async with redis_call(client, "read"):
                    await client.ping()
                said = "called"

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        await client.aclose()
        return said

    assert asyncio.run(scenario()) == "called"


def test_a_timeout_around_a_call_is_a_timeout() -> None:
    async def swallows() -> None:
        async with asyncio.timeout(0.01):
            with cancellable(), suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(swallows())


def test_redis_is_lacking_while_any_kind_of_call_fails() -> None:
    now = 0.0
    health = Health(clock=lambda: now)
    availability = Availability(health, clock=lambda: now)
    availability.failed("write", "Redis answers NOREPLICAS")
    availability.succeeded("read")
    assert health.lacking() == {"redis": "Redis answers NOREPLICAS"}
    availability.succeeded("write")
    assert health.lacking() == {}


def test_a_kind_of_call_that_nobody_retries_is_forgotten() -> None:
    now = 0.0
    health = Health(clock=lambda: now)
    availability = Availability(health, clock=lambda: now)
    availability.failed("find", "Redis unavailable")
    now = FAILING_FOR_S + 1
    availability.succeeded("read")
    assert health.lacking() == {}
