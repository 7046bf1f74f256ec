"""The loop of a Faust agent: Faust fetches the events, the loop processes them in batches.

Faust 0.15 loses records in ways that its own examples do not avoid, so every agent follows three rules: only
`DeliveredConsumer` advances the offset, past delivered records alone, whatever Faust acknowledges; batches of one agent
are processed sequentially, in the order of their events; and an error that no record causes ends the process, because
Faust would continue and skip the batch.

Faust's own `take` waits for its batch and then stops reading until that was processed. Here the next batch fills in the
meantime: at high load batches grow, at low load an event is processed immediately. The agent reads events directly from
its channel, without Faust's stream: that serves processors, acknowledgements and sensors, which no agent here uses, and
takes longer than decoding an event.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Protocol

from schemas import topics
from schemas.errors import Erased, Poison, Transient
from schemas.settings import Settings
from streams.agents.batch_locks import BatchLocks
from streams.agents.faust_consumer import App, DeliveredConsumer
from workers.kafka.record import Batch, Source, Unread, source_of
from workers.privacy.clear_records import Opened, Outcome
from workers.privacy.key_requests import KEYS
from workers.privacy.sealing import Sealing, sealing_of
from workers.service import prometheus
from workers.service.health import HEALTH, Part
from workers.service.retry import retry_transient

log = logging.getLogger(__name__)

GATHER_S = 0.05
"""Least time between the starts of two batches of an agent, unless one is full: each batch has a fixed cost."""


class Agent(Protocol):
    """The processor of one stage."""

    async def process(self, batch: Batch) -> None:
        """Process these records and return when all results are delivered. Raises Transient to be retried."""


def add_agent(
    app: App,
    name: str,
    topic: topics.Topic,
    processor: Agent,
    settings: Settings,
    locks: BatchLocks,
    crash: Callable[[Exception], None],
) -> Coroutine[Any, Any, None]:
    """Add an agent that reads `topic`; returns the loop that feeds `processor`, to run alongside the application.

    Each batch is processed under the agent's lock; `crash` receives the error that ends the process.
    """
    waiting: asyncio.Queue[Any] = asyncio.Queue(settings.agent_batch)
    lock, sealing = locks.of(name), sealing_of(settings)

    async def agent(stream: Any) -> None:
        queue = stream.channel.queue
        with contextlib.suppress(StopAsyncIteration):  # Faust's end of a channel
            while True:
                await waiting.put(await queue.get())

    async def work() -> None:
        part = HEALTH.part(name)
        started = 0.0
        while True:
            taken = await next_batch(waiting, started + GATHER_S, settings.agent_batch)
            started = time.monotonic()
            async with lock:
                # After a rebalance the partition's new owner fetches the earlier events again.
                events = [event for event in taken if event.message.generation_id == app.consumer_generation_id]
                prometheus.RECORDS_IN.labels(stage=name).inc(len(events))
                try:
                    with prometheus.STAGE_DURATION.labels(stage=name).time():
                        await _process(app.consumer, processor, events, part, name, sealing)
                except Exception as error:
                    log.exception("%s: unhandled exception; current batch not committed", name)
                    crash(error)
                    raise
            part.rest()
            prometheus.LAST_PROGRESS.labels(stage=name).set(time.time())

    source = app.topic(
        topic.name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", allow_empty=True
    )
    app.agent(source, name=f"undertone.{name}", concurrency=1)(agent)
    return work()


async def next_batch(waiting: asyncio.Queue[Any], not_before: float, full: int) -> list[Any]:
    """All waiting events, at least one: immediately if `full` wait, else at `not_before` (monotonic, seconds)."""
    batch = [await waiting.get()]
    if len(batch) + waiting.qsize() < full:
        await asyncio.sleep(max(not_before - time.monotonic(), 0))
    while not waiting.empty():
        batch.append(waiting.get_nowait())
    return batch


async def _process(
    consumer: DeliveredConsumer, processor: Agent, events: Sequence[Any], part: Part, stage: str, sealing: Sealing
) -> None:
    """Process and deliver these events: together, or in small batches, one agent at a time, after a process died."""
    while events:
        at_once = await consumer.at_once()
        batch, events = events[:at_once], events[len(events) if at_once is None else at_once :]
        async with contextlib.nullcontext() if at_once is None else consumer.alone:
            await consumer.begin([event.message for event in batch])
            sources = await _opened(batch, consumer, sealing, part, stage)
            await retry_transient(_attempt(part, processor, sources), stage=stage, target="redis")
            consumer.delivered(event.message for event in batch)


def _attempt(part: Part, processor: Agent, sources: Sequence[Source]) -> Callable[[], Awaitable[None]]:
    batch = Batch(sources)

    def attempt() -> Awaitable[None]:
        part.begin("a batch", needs=("broker", "redis", KEYS))
        return processor.process(batch)

    return attempt


async def _opened(
    events: Sequence[Any], consumer: DeliveredConsumer, sealing: Sealing, part: Part, stage: str
) -> list[Source]:
    """The records of these events in clear, without those of people who were erased; waits while keys are missing."""
    messages = [event.message for event in events]
    condemned = [consumer.condemned(message) for message in messages]
    if not sealing.concerns(messages, enrol=True):
        return [_source(event, poison) for event, poison in zip(events, condemned, strict=True)]

    async def attempt() -> Sequence[Outcome]:
        part.begin("opening records", needs=("broker", KEYS))
        outcomes = await sealing.opened(messages, enrol=True, per_s=1)  # Faust's are in seconds
        for outcome in outcomes:
            if isinstance(outcome, Transient):
                raise outcome
        return outcomes

    found = []
    outcomes = await retry_transient(attempt, stage=stage, target="keys")
    for event, poison, outcome in zip(events, condemned, outcomes, strict=True):
        if isinstance(outcome, Erased):
            prometheus.RECORDS_ERASED.labels(stage=stage).inc()
        elif isinstance(outcome, Poison):
            value = Unread.because(outcome.reason, outcome.detail, event.message.value)
            found.append(replace(_source(event, poison or outcome), key=None, value=value))
        elif isinstance(outcome, Opened):
            event.message.key, event.message.value, event.message.headers = outcome
            found.append(_source(event, poison))
    return found


def _source(event: Any, condemned: Poison | None = None) -> Source:
    message = event.message
    # Faust gives seconds.
    return source_of(message, None if message.timestamp is None else message.timestamp * 1000, condemned)
