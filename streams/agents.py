"""The Faust agents: one per hop, each a loop of take, process, tell that it was delivered.

Faust 0.15 loses records in ways that its own examples do not avoid, so every agent keeps to four rules: events come by
`noack_take`, because `take` acknowledges also when the body raises; the position moves by `DeliveredConsumer`, which
knows nothing but what was delivered; `concurrency` is 1, so that the events of a partition are finished in their order;
and a batch that fails for good ends the process, because a Faust that goes on would leave it behind.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from schemas import topics
from schemas.settings import Settings
from streams.positions import App
from streams.turns import Turns
from workers import instruments
from workers.dead_letters import Source
from workers.health import HEALTH, Part
from workers.retries import until_it_succeeds

log = logging.getLogger(__name__)

TAKE_WITHIN_S = 0.05
"""How long a batch waits for more once it has begun."""


class Hop(Protocol):
    """What an agent runs."""

    async def process(self, sources: Sequence[Source]) -> None:
        """Do everything that these records ask for, delivered when it returns. Raises Transient to be called again."""


def add_agent(
    app: App,
    name: str,
    topic: topics.Topic,
    hop: Hop,
    settings: Settings,
    turns: Turns,
    crash: Callable[[Exception], None],
) -> None:
    """An agent that reads `topic` in batches and gives them to `hop`, in its turn; `crash` ends the process."""
    part, turn = HEALTH.part(name), turns.of(name)

    async def agent(stream: Any) -> None:
        async for taken in stream.noack_take(settings.agent_batch, within=TAKE_WITHIN_S):
            async with turn:
                # What was taken before a rebalance is fetched again by whoever has the partition now.
                events = [event for event in taken if event.message.generation_id == app.consumer_generation_id]
                try:
                    with instruments.STAGE_DURATION.labels(stage=name).time():
                        await until_it_succeeds(_attempt(part, hop, events), stage=name, target="redis")
                except Exception as error:
                    log.exception("the %s agent cannot go on; its batch is not committed and comes again", name)
                    crash(error)
                    raise
                app.consumer.delivered(event.message for event in events)
            for event in taken:
                event.ack()
            part.rest()
            instruments.LAST_PROGRESS.labels(stage=name).set(time.time())

    source = app.topic(
        topic.name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", allow_empty=True
    )
    app.agent(source, name=f"undertone.{name}", concurrency=1)(agent)


def _attempt(part: Part, hop: Hop, events: Sequence[Any]) -> Callable[[], Awaitable[None]]:
    sources = [_source(event) for event in events]

    def attempt() -> Awaitable[None]:
        part.begin("a batch", needs=("broker", "redis"))
        return hop.process(sources)

    return attempt


def _source(event: Any) -> Source:
    message = event.message
    headers = dict(message.headers) if message.headers else {}
    return Source(message.topic, message.partition, message.offset, message.key, message.value, headers)
