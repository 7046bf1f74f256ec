"""The loop of a Faust agent: Faust brings the events, the loop takes what has come and hands it over in batches.

Faust 0.15 loses records in ways that its own examples do not avoid, so every agent keeps to three rules: the position
moves by `DeliveredConsumer`, which knows nothing but what was delivered, whatever Faust acknowledges; batches of one
agent are processed one after the other, in the order in which their events came; and a batch that fails for good ends
the process, because a Faust that goes on would leave it behind.

Faust's own `take` waits for its batch and then stops reading until that was processed. Here the next batch gathers in
the meantime: at high load batches grow, at low load an event waits for nothing. The agent takes events from its channel
as they are, without Faust's stream around each: that serves processors, acknowledgements and sensors, which none of
these hops uses, and takes longer than decoding an event.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from schemas import topics
from schemas.settings import Settings
from streams.agents.batch_locks import BatchLocks
from streams.agents.faust_consumer import App
from workers.kafka.record import Batch, Source
from workers.kafka.retry import retry_transient
from workers.service import prometheus
from workers.service.health import HEALTH, Part

log = logging.getLogger(__name__)

GATHER_S = 0.05
"""Between the beginnings of two batches of an agent, unless a full one waits: a batch has costs of its own."""


class Agent(Protocol):
    """What an agent runs."""

    async def process(self, batch: Batch) -> None:
        """Do everything that these records ask for, delivered when it returns. Raises Transient to be called again."""


def add_agent(
    app: App,
    name: str,
    topic: topics.Topic,
    processor: Agent,
    settings: Settings,
    turns: BatchLocks,
    crash: Callable[[Exception], None],
) -> Coroutine[Any, Any, None]:
    """An agent that reads `topic`, and the loop that gives batches to `processor`, to be run beside the application.

    Each batch is processed in the agent's turn; `crash` is told of an error that ends the process.
    """
    waiting: asyncio.Queue[Any] = asyncio.Queue(settings.agent_batch)

    async def agent(stream: Any) -> None:
        queue = stream.channel.queue
        with contextlib.suppress(StopAsyncIteration):  # by which Faust ends a channel
            while True:
                await waiting.put(await queue.get())

    async def work() -> None:
        part, turn = HEALTH.part(name), turns.of(name)
        began = 0.0
        while True:
            waited = await taken(waiting, began + GATHER_S, settings.agent_batch)
            began = time.monotonic()
            async with turn:
                # What was taken before a rebalance is fetched again by whoever has the partition now.
                events = [event for event in waited if event.message.generation_id == app.consumer_generation_id]
                prometheus.RECORDS_IN.labels(stage=name).inc(len(events))
                try:
                    with prometheus.STAGE_DURATION.labels(stage=name).time():
                        await retry_transient(_attempt(part, processor, events), stage=name, target="redis")
                except Exception as error:
                    log.exception("the %s agent cannot go on; its batch is not committed and comes again", name)
                    crash(error)
                    raise
                app.consumer.delivered(event.message for event in events)
            part.rest()
            prometheus.LAST_PROGRESS.labels(stage=name).set(time.time())

    source = app.topic(
        topic.name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", allow_empty=True
    )
    app.agent(source, name=f"undertone.{name}", concurrency=1)(agent)
    turns.of(name)
    return work()


async def taken(waiting: asyncio.Queue[Any], not_before: float, most: int) -> list[Any]:
    """All that waits, at least one: at once if `most` wait, else when it is time again."""
    found = [await waiting.get()]
    if len(found) + waiting.qsize() < most:
        await asyncio.sleep(max(not_before - time.monotonic(), 0))
    while not waiting.empty():
        found.append(waiting.get_nowait())
    return found


def _attempt(part: Part, processor: Agent, events: Sequence[Any]) -> Callable[[], Awaitable[None]]:
    batch = Batch([_source(event) for event in events])

    def attempt() -> Awaitable[None]:
        part.begin("a batch", needs=("broker", "redis"))
        return processor.process(batch)

    return attempt


def _source(event: Any) -> Source:
    message = event.message
    headers = dict(message.headers) if message.headers else {}
    return Source(message.topic, message.partition, message.offset, message.key, message.value, headers)
