"""A role whose work only takes time, as a process of its own: `python -m tests.integration.stoppable worker 2`.

It says `begun` when a batch is begun. Settings come from the environment, as for every role.
"""

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Sequence

from schemas import topics
from schemas.errors import ConfigurationError
from schemas.events import MemoFeatures
from schemas.settings import Settings
from streams.agents.faust_app import reading
from streams.agents.isolated_agent import Failures, IsolatedAgent
from streams.roles.process import until_asked_to_stop
from tests.integration.test_worker import CODEC, CheapStage, load
from workers.audio.memo import Memo
from workers.consumer.worker import Worker
from workers.kafka.clients import make_producer
from workers.kafka.dead_letters import DeadLetterCap
from workers.kafka.producer import Delivery, Outgoing
from workers.kafka.record import Batch


def slow(seconds: float) -> None:
    print("begun", flush=True)
    time.sleep(seconds)


async def work(settings: Settings, seconds: float, stop: asyncio.Event) -> None:
    async with Worker(settings, CheapStage(lambda _: slow(seconds)), load, CODEC, owns_input=True) as worker:
        asking = asyncio.create_task(stop.wait())
        asking.add_done_callback(lambda _: worker.stop())
        await worker.run()


class PassingOn:
    """A hop that sends features on as they are, after a while."""

    def __init__(self, delivery: Delivery, seconds: float) -> None:
        self._delivery, self._seconds = delivery, seconds

    async def process(self, batch: Batch) -> None:
        await asyncio.to_thread(slow, self._seconds)
        records = [(source, CODEC.decode(source.value, MemoFeatures)) for source in batch.sources]
        await self._delivery.send([Outgoing(topics.SCORED, source.key, record, source) for source, record in records])


async def agents(settings: Settings, seconds: float, stop: asyncio.Event) -> None:
    async with make_producer(settings) as producer:
        hop = PassingOn(Delivery(producer, CODEC, "fusion"), seconds)
        async with reading(settings, {"fusion": hop}):
            await stop.wait()


class HangingStage(CheapStage):
    """Fails for good, and its end never returns."""

    def __init__(self) -> None:
        super().__init__(self.fail)

    def fail(self, _: Sequence[Memo]) -> None:
        print("begun", flush=True)
        raise ConfigurationError("on purpose")

    def close(self) -> None:
        threading.Event().wait()


async def hanging_worker(settings: Settings, _: float, stop: asyncio.Event) -> None:
    async with Worker(settings, HangingStage(), load, CODEC, owns_input=True) as worker:
        await worker.run()


class Deaf:
    """An agent that fails for good; beside it a task that no cancellation ends."""

    async def process(self, batch: Batch) -> None:
        print("begun", flush=True)
        raise ConfigurationError("on purpose")

    @staticmethod
    async def live_on() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)


async def hanging_agents(settings: Settings, _: float, stop: asyncio.Event) -> None:
    task = asyncio.create_task(Deaf.live_on())
    async with reading(settings, {"fusion": Deaf()}) as (_, failed):
        await failed
    await task


def die_of(names: Sequence[str]) -> None:
    """The end of this process, without an exception, when the deadly one is among these."""
    print("begun", flush=True)
    if "memo-05" in names:
        os._exit(9)


async def deadly_worker(settings: Settings, _: float, stop: asyncio.Event) -> None:
    stage = CheapStage(lambda batch: die_of([memo.event.memo_id for memo in batch]))
    async with Worker(settings, stage, load, CODEC, owns_input=True) as worker:
        asking = asyncio.create_task(stop.wait())
        asking.add_done_callback(lambda _: worker.stop())
        await worker.run()


async def deadly_agents(settings: Settings, _: float, stop: asyncio.Event) -> None:
    async with make_producer(settings) as producer:
        delivery = Delivery(producer, CODEC, "fusion")

        class Deadly(PassingOn):
            async def process(self, batch: Batch) -> None:
                die_of([CODEC.decode(source.value, MemoFeatures).memo_id for source in batch.sources])
                await super().process(batch)

        async def reject(failures: Failures) -> None:
            await delivery.send(delivery.dead_letters(failures))

        agent = IsolatedAgent(Deadly(delivery, 0.0), "fusion", DeadLetterCap.of(settings), reject)
        async with reading(settings, {"fusion": agent}):
            await stop.wait()


async def blocked(settings: Settings, _: float, stop: asyncio.Event) -> None:
    """Blocks the event loop for ever."""
    print("begun", flush=True)
    while True:
        time.sleep(0.1)  # noqa: ASYNC251  # on purpose


if __name__ == "__main__":
    name, seconds = sys.argv[1], float(sys.argv[2])
    roles = {
        "worker": work,
        "agents": agents,
        "hanging worker": hanging_worker,
        "hanging agents": hanging_agents,
        "deadly worker": deadly_worker,
        "deadly agents": deadly_agents,
        "blocked": blocked,
    }
    role = roles[name]
    until_asked_to_stop(Settings.load(), name, lambda stop: role(Settings.load(), seconds, stop))
