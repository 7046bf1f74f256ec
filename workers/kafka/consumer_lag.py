"""Consumer lag of every stage, measured on the broker."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Self

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupLoadInProgressError, KafkaError, NoError, UnknownTopicOrPartitionError
from aiokafka.structs import OffsetAndMetadata
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_fixed

from schemas import topics
from schemas.pipeline import DRIFT, FUSION, feature_stages
from schemas.settings import Settings
from workers.kafka.authorization_errors import must_see
from workers.kafka.clients import client_options, make_reader, make_sampler
from workers.kafka.connect import stopped
from workers.service.record_time import arrived_s

ANSWER_S = 10.0
"""Timeout of finding a group's coordinator."""
SAMPLE_S = 5.0
"""Timeout of reading one existing record."""


class Observer:
    """Reads committed and end offsets without joining any group. `async with Observer(settings) as observer`.

    observed: the topics that its methods accept.
    """

    def __init__(self, settings: Settings, observed: Sequence[topics.Topic] = topics.TOPICS) -> None:
        self._settings = settings
        self._names = [topic.name for topic in observed]

    async def __aenter__(self) -> Self:
        """Connect."""
        async with AsyncExitStack() as exits:
            self._admin = AIOKafkaAdminClient(**client_options(self._settings))
            exits.push_async_callback(self._admin.close)
            await self._admin.start()
            self._reader = make_reader(self._settings, *self._names)
            exits.push_async_callback(stopped, self._reader)
            await self._reader.start()
            must_see(self._reader, *self._names)
            # It never fetches: a fetch that waits for records would block other requests on the same connection.
            self._reader.pause(*self._reader.assignment())
            self._sampler = make_sampler(self._settings, *self._names)
            exits.push_async_callback(stopped, self._sampler)
            await self._sampler.start()
            self._sampler.pause(*self._sampler.assignment())
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._exits.aclose()

    async def positions(self, group: str, topic: str) -> Mapping[TopicPartition, int]:
        """The next offset that `group` will read, by partition of `topic`: the oldest one without a commit.

        Raises GroupAuthorizationFailedError when this process has no permission to describe the group.
        """
        partitions = self._partitions(topic)
        # A new broker has no coordinator yet. Partitions are listed: the embedded broker does not support "all".
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, KafkaError) and error.retriable),
            stop=stop_after_delay(ANSWER_S),
            wait=wait_fixed(0.2),
            reraise=True,
        ):
            with attempt:
                committed = await self._committed(group, partitions)
                if missing := [at for at in partitions if at not in committed]:
                    # A coordinator that is still loading omits partitions, and aiokafka ignores its error.
                    raise GroupLoadInProgressError(f"{len(missing)} committed offsets of {group} missing")
        starts = await self._reader.beginning_offsets(partitions)
        return {at: max(committed[at].offset, starts[at]) for at in partitions}

    async def _committed(
        self, group: str, partitions: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, OffsetAndMetadata]:
        try:
            found: Mapping[TopicPartition, OffsetAndMetadata] = await self._admin.list_consumer_group_offsets(
                group, partitions=partitions
            )
        except NoError as error:
            # aiokafka's word for any error of a partition: its topic is gone, or refused, which the next start tells.
            raise UnknownTopicOrPartitionError(*error.args) from error
        return found

    async def waiting(self, group: str, topic: str) -> Mapping[TopicPartition, tuple[int, int]]:
        """By partition of `topic`: the next offset that `group` will read, and its consumer lag in records."""
        positions = await self.positions(group, topic)
        ends = await self._reader.end_offsets(list(positions))
        return {at: (position, max(ends[at] - position, 0)) for at, position in positions.items()}

    async def backlog(self, group: str, topic: str) -> int:
        """Consumer lag of `group` on `topic`, in records."""
        return sum(records for _, records in (await self.waiting(group, topic)).values())

    async def written_at(self, at: TopicPartition, offset: int) -> float | None:
        """Unix time at which the first existing record from `offset` on was written; None without such a record.

        Now for a record with an impossible timestamp.
        """
        self._sampler.seek(at, offset)
        self._sampler.resume(at)
        try:
            async with asyncio.timeout(SAMPLE_S):
                record = await self._sampler.getone(at)
        except TimeoutError:
            return None
        finally:
            self._sampler.pause(at)
        return arrived_s(record.timestamp, time.time())

    async def size(self, topic: str) -> tuple[int, int]:
        """The numbers of partitions and records of a topic."""
        partitions = self._partitions(topic)
        ends = await self._reader.end_offsets(partitions)
        starts = await self._reader.beginning_offsets(partitions)
        return len(partitions), sum(ends[at] - starts[at] for at in partitions)

    async def memos_under_way(self) -> int:
        """Upper bound of memos in flight: the lag of the slowest feature worker plus that of each agent."""
        features = feature_stages(self._settings.modalities)
        uploads = [await self.backlog(stage.group, stage.reads.name) for stage in features]
        return max(uploads) + sum([await self.backlog(stage.group, stage.reads.name) for stage in (FUSION, DRIFT)])

    def _partitions(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, p) for p in sorted(self._reader.partitions_for_topic(topic) or ())]
