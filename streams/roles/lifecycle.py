"""What every role's work is wrapped in: wait for the broker, report health, load models once."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from schemas.settings import Settings
from workers.kafka.authorization_errors import refusals_stop
from workers.kafka.broker_probe import answered, watch_broker
from workers.kafka.retry import retry_transient
from workers.service.health import HEALTH, START_WITHIN_S, turn

COLLECT_AFTER = (10_000, 20, 50)
"""Allocations between two collections, by generation: a batch holds more objects than Python's 700 and lets all go."""


async def run_with_health(
    settings: Settings, stop: asyncio.Event, role: str, work: Callable[[], Awaitable[None]]
) -> None:
    """Do a role's work once the broker answers; meanwhile report whether the event loop turns and the broker answers.

    Returns when `work` does. Before it has begun, `stop` ends the wait for the broker. Raises what `work` raises, and
    BrokerRefused for want of a right.
    """
    HEALTH.lacks("partitions", "are not assigned yet")
    HEALTH.lacks("broker", "was not asked yet")

    begun = asyncio.Event()

    async def begin() -> None:
        await retry_transient(lambda: answered(settings), stage=role, target="broker")
        begun.set()
        with refusals_stop():
            await work()

    working = asyncio.create_task(begin())
    beside = [
        asyncio.create_task(turn()),
        asyncio.create_task(watch_broker(settings)),
        asyncio.create_task(stop.wait()),
    ]
    try:
        done, _ = await asyncio.wait([working, *beside], return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set() and begun.is_set():
            await working
        for task in done:
            task.result()
    finally:
        for task in (working, *beside):
            task.cancel()
        await asyncio.gather(working, *beside, return_exceptions=True)


@contextmanager
def model_loading() -> Iterator[None]:
    """The block loads a model: not ready until it ends, stuck when it takes longer than a start may."""
    HEALTH.lacks("model", "is being loaded")
    with HEALTH.during("model", "its loading", within_s=START_WITHIN_S):
        yield
    # What was loaded stays for as long as the process does: the collector need not look through it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    HEALTH.has("model")
