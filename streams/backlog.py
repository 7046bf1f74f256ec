"""How far the hops are behind, as the broker sees it."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Self

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas import topics
from schemas.events import Modality
from schemas.settings import Settings
from workers.kafka import client_options, make_reader

AGENTS_GROUP = "undertone-agents"
"""Consumer group of the fusion and drift agents."""


def worker_group(modality: Modality) -> str:
    """Consumer group of the workers of one modality."""
    return f"undertone-{modality}"


class Observer:
    """Looks at positions and ends of topics without joining any group. `async with Observer(settings) as observer`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def __aenter__(self) -> Self:
        """Connect."""
        async with AsyncExitStack() as exits:
            self._admin = AIOKafkaAdminClient(**client_options(self._settings))
            exits.push_async_callback(self._admin.close)
            await self._admin.start()
            self._reader = make_reader(self._settings, *(topic.name for topic in topics.TOPICS))
            exits.push_async_callback(self._reader.stop)
            await self._reader.start()
            # It never reads: a fetch that waits for records would hold up every question on the same connection.
            self._reader.pause(*self._reader.assignment())
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._exits.aclose()

    async def positions(self, group: str, topic: str) -> Mapping[TopicPartition, int]:
        """The next offset that `group` will read, by partition of `topic`; 0 where it has committed none."""
        partitions = [TopicPartition(topic, p) for p in self._reader.partitions_for_topic(topic) or ()]
        # Partitions are named one by one: the embedded broker does not answer for "all".
        committed = await self._admin.list_consumer_group_offsets(group, partitions=partitions)
        return {at: max(committed[at].offset, 0) if at in committed else 0 for at in partitions}

    async def backlog(self, group: str, topic: str) -> int:
        """Records of `topic` that `group` has not finished."""
        positions = await self.positions(group, topic)
        ends = await self._reader.end_offsets(list(positions))
        return sum(ends[at] - position for at, position in positions.items())

    async def size(self, topic: str) -> tuple[int, int]:
        """Partitions of a topic, and the records that it holds."""
        partitions = [TopicPartition(topic, p) for p in self._reader.partitions_for_topic(topic) or ()]
        ends = await self._reader.end_offsets(partitions)
        starts = await self._reader.beginning_offsets(partitions)
        return len(partitions), sum(ends[at] - starts[at] for at in partitions)

    async def memos_under_way(self) -> int:
        """Memos that were uploaded and are not finished, at most: the slowest hop of each stretch, added up."""
        uploads = [await self.backlog(worker_group(m), topics.UPLOADED.name) for m in self._settings.modalities]
        features = await self.backlog(AGENTS_GROUP, topics.FEATURES.name)
        return max(uploads) + features + await self.backlog(AGENTS_GROUP, topics.SCORED.name)
