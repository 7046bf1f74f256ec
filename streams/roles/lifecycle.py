"""What each production role consists of."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

from schemas.events import Modality
from schemas.schema_registry import make_codec
from schemas.settings import Settings
from streams.notify.bridge import Bridge
from streams.notify.receivers import Receiver
from workers.audio.load import load_memo
from workers.audio.storage import AudioStore
from workers.consumer.worker import Worker
from workers.kafka.authorization_errors import refusals_stop
from workers.kafka.broker_probe import answered, watch_broker
from workers.kafka.retry import retry_transient
from workers.service.health import HEALTH, START_WITHIN_S, turn
from workers.stages import make_stage

COLLECT_AFTER = (10_000, 20, 50)
"""Allocations between two collections, by generation: a batch holds more objects than Python's 700 and lets all go."""


async def run_worker(settings: Settings, modality: Modality, stop: asyncio.Event) -> None:
    """Run the worker of one modality until `stop` is set. Raises what ended it; BrokerRefused for want of a right."""

    async def work() -> None:
        with _model_loading():
            stage = await asyncio.to_thread(make_stage, settings, modality)
        load = partial(load_memo, store=AudioStore(settings), settings=settings)
        first = modality is settings.modalities[0]
        async with Worker(settings, stage, load, make_codec(settings), owns_input=first) as worker:
            asking = asyncio.create_task(stop.wait())
            asking.add_done_callback(lambda _: worker.stop())
            try:
                await worker.run()
            finally:
                asking.cancel()

    await _watched(settings, stop, str(modality), work)


async def run_agents(settings: Settings, stop: asyncio.Event) -> None:
    """Run the fusion and drift agents until `stop` is set. Raises as `run_worker` does; StoreRefused by Redis."""

    async def work() -> None:
        with _model_loading():
            from streams.agents.faust_app import run_app
            from workers.scoring.bundle import Bundle
            from workers.scoring.scorer import Scorer

            scorer = Scorer(await asyncio.to_thread(Bundle.load, settings.bundle))
        await run_app(settings, make_codec(settings), scorer, stop)

    HEALTH.lacks("redis", "was not asked yet")
    await _watched(settings, stop, "agents", work)


async def run_bridge(settings: Settings, receiver: Receiver, stop: asyncio.Event) -> None:
    """Bring alerts to `receiver` until `stop` is set. Raises as `run_worker` does."""

    async def work() -> None:
        async with receiver, Bridge(settings, make_codec(settings), receiver) as bridge:
            await bridge.run(stop)

    await _watched(settings, stop, receiver.name, work)


async def _watched(settings: Settings, stop: asyncio.Event, role: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do a role's work once the broker answers, and beside it tell that it turns and whether the broker still does."""
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
def _model_loading() -> Iterator[None]:
    HEALTH.lacks("model", "is being loaded")
    with HEALTH.during("model", "its loading", within_s=START_WITHIN_S):
        yield
    # What was loaded stays for as long as the process does: the collector need not look through it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    HEALTH.has("model")
