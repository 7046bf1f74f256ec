"""The common part of every role: wait for the broker, report health, load models once."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from schemas.settings import Settings
from workers.kafka.authorization_errors import refusals_stop
from workers.kafka.broker_probe import answered, watch_broker
from workers.privacy.sealing import close_all, sealing_of
from workers.service.health import HEALTH, START_WITHIN_S, turn
from workers.service.retry import retry_transient
from workers.service.shutdown import SHUTDOWN

COLLECT_AFTER = (10_000, 20, 50)
"""Allocations between two collections, by generation: a batch holds more objects than Python's 700, then frees all."""


async def run_with_health(
    settings: Settings, stop: asyncio.Event, role: str, work: Callable[[], Awaitable[None]]
) -> None:
    """Do a role's work once the broker answers; meanwhile report whether the event loop and the broker respond.

    Returns when `work` does. Before it has started, `stop` ends the wait for the broker and, where records are sealed,
    for the keys, which are forgotten at the end. Raises what `work` raises, and
    BrokerRefused for a missing permission.
    """
    HEALTH.lacks("partitions", "not assigned yet")
    HEALTH.lacks("broker", "not checked yet")

    started = asyncio.Event()

    async def begin() -> None:
        await retry_transient(lambda: answered(settings), stage=role, target="broker")
        await retry_transient(sealing_of(settings).ready, stage=role, target="keys")
        started.set()
        with refusals_stop():
            await work()

    working = asyncio.create_task(begin())
    watches = [
        asyncio.create_task(turn()),
        asyncio.create_task(watch_broker(settings)),
        asyncio.create_task(stop.wait()),
    ]
    try:
        done, _ = await asyncio.wait([working, *watches], return_when=asyncio.FIRST_COMPLETED)
        with SHUTDOWN.on_failure():
            if stop.is_set() and started.is_set():
                await working
            for task in done:
                task.result()
    finally:
        for task in (working, *watches):
            task.cancel()
        await asyncio.gather(working, *watches, return_exceptions=True)
        close_all()


@contextmanager
def model_loading() -> Iterator[None]:
    """The block loads a model: not ready until it ends, stuck after the timeout of a start."""
    HEALTH.lacks("model", "loading")
    with HEALTH.during("model", "loading", within_s=START_WITHIN_S):
        yield
    keep_loaded()
    HEALTH.has("model")


def keep_loaded() -> None:
    """What there is now stays for the life of the process: the collector need not scan it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
