"""Reading a topic without a consumer group and without commits."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.errors import Transient
from schemas.events import RiskAlert
from schemas.settings import Settings
from workers.kafka.authorization_errors import must_see, refusals_stop
from workers.kafka.broker_probe import answered
from workers.kafka.clients import make_reader
from workers.kafka.connect import ELSEWHERE, stopped
from workers.kafka.partitioner import partition_of
from workers.kafka.sealed_clients import OpeningConsumer
from workers.privacy.sealing import sealing_of
from workers.service.record_time import EARLIEST_S

R = TypeVar("R")

STALLED_S = 30.0
"""Seconds without a record after which a reader that has not reached the end gives up."""


async def follow(
    settings: Settings,
    codec: Codec,
    topic: topics.Topic,
    record: type[R],
    *,
    from_start: bool,
    once: bool,
    skipped: Counter[str] | None = None,
) -> AsyncIterator[R]:
    """Records of a topic as they arrive; with `once`, only existing ones. Skips undecodable records.

    skipped: counts what was skipped under the name of the topic. Raises Transient when the broker is unavailable,
    BrokerRefused when it refuses.
    """
    async with _started(settings, topic, start="earliest" if from_start else "latest") as reader:
        to_end = ToEnd(settings, reader, await _ends(settings, reader)) if once else None
        while True:
            for records in (await reader.getmany(timeout_ms=200)).values():
                for each in records:
                    try:
                        yield codec.decode(each.value, record)
                    except DecodeError:
                        if skipped is not None:
                            skipped[topic.name] += 1
            if to_end is not None and await to_end.reached():
                return


async def written(
    settings: Settings, topic: topics.Topic, since: datetime, until: Mapping[TopicPartition, int] | None = None
) -> AsyncIterator[ConsumerRecord]:
    """Raw records of a topic, from the first one written at `since` or later.

    A record whose timestamp a clock that was never set has given (CreateTime) counts as written after the one before.
    until: the offset after the last record, by partition; None: the current end offsets. Raises as `follow`.
    """
    async with _started(settings, topic, start="earliest") as reader:
        ends = await _ends(settings, reader)
        stops = {at: min(end, ends[at] if until is None else until.get(at, 0)) for at, end in ends.items()}
        since_ms = round(since.timestamp() * 1000)
        oldest, first = [await reader.offsets_for_times(dict.fromkeys(stops, time)) for time in (0, since_ms)]
        for at, found in first.items():
            if found is not None or oldest[at] is not None:  # the embedded broker has no time index: read all there
                reader.seek(at, ends[at] if found is None else found.offset)
        to_end = ToEnd(settings, reader, stops)
        while not await to_end.reached():
            for at, records in (await reader.getmany(timeout_ms=200)).items():
                for record in records:
                    dated = record.timestamp >= EARLIEST_S * 1000
                    if record.offset < stops[at] and (record.timestamp >= since_ms or not dated):
                        yield record


async def of_key(
    settings: Settings, wanted: Sequence[topics.Topic], key: bytes
) -> AsyncGenerator[list[ConsumerRecord], None]:
    """Raw records of one key: first all that exist, as one list, then those of each poll, maybe none. Never ends.

    Only the partitions of the key and of its subject are read, which murmur2 names for every producer
    (docs/produce.md): a record that one with another partitioner wrote is not found. Records of one partition are in
    the order of their offsets. Raises as `follow`.
    """
    async with _started(settings, *wanted, start="earliest") as reader:
        reader.wanted = await sealing_of(settings).keys_of(key.decode("utf-8", "replace"))
        own = [at for at in reader.assignment() if any(_belongs(reader, at, each) for each in reader.wanted)]
        reader.pause(*(at for at in reader.assignment() if at not in own))
        to_end = ToEnd(settings, reader, await _ends(settings, reader, own))
        existing: list[ConsumerRecord] = []
        while not await to_end.reached():
            existing += await _polled(reader)
        yield existing
        while True:
            yield await _polled(reader)


async def newest(settings: Settings, topic: topics.Topic, most: int) -> list[ConsumerRecord]:
    """The last raw records of a topic, at most `most` of each partition. Raises as `follow`."""
    async with _started(settings, topic, start="earliest") as reader:
        partitions = list(reader.assignment())
        ends, starts = await _ends(settings, reader), await reader.beginning_offsets(partitions)
        for at in partitions:
            reader.seek(at, max(starts[at], ends[at] - most))
        found: list[ConsumerRecord] = []
        to_end = ToEnd(settings, reader, ends)
        while not await to_end.reached():
            for records in (await reader.getmany(timeout_ms=200)).values():
                found += records
    return found


def _belongs(reader: AIOKafkaConsumer, at: TopicPartition, key: bytes) -> bool:
    """Whether Kafka's default partitioner puts this key into this partition."""
    partitions: set[int] = reader.partitions_for_topic(at.topic) or {at.partition}
    return bool(partition_of(key, len(partitions)) == at.partition)


async def _polled(reader: OpeningConsumer) -> list[ConsumerRecord]:
    return [record for records in (await reader.getmany(timeout_ms=200)).values() for record in records]


@asynccontextmanager
async def _started(settings: Settings, *wanted: topics.Topic, start: str) -> AsyncIterator[OpeningConsumer]:
    await answered(settings)
    names = [topic.name for topic in wanted]
    reader = make_reader(settings, *names, start=start)
    try:
        with refusals_stop():
            await reader.start()
            must_see(reader, *names)
        yield reader
    finally:
        await stopped(reader)


async def _ends(
    settings: Settings, reader: AIOKafkaConsumer, partitions: Sequence[TopicPartition] | None = None
) -> dict[TopicPartition, int]:
    """The offsets after the last records. Raises Transient when the brokers of the partitions do not answer.

    partitions: None for all that the reader has.
    """
    try:
        async with asyncio.timeout(STALLED_S):
            return dict(await reader.end_offsets(list(reader.assignment() if partitions is None else partitions)))
    except (TimeoutError, KafkaTimeoutError) as error:
        raise await _stalled(settings) from error


async def _stalled(settings: Settings) -> Transient:
    """Why nothing is read: raises what the probe of the broker does, else returns that only other brokers fail."""
    await answered(settings)
    return Transient(f"KAFKA_BOOTSTRAP={settings.kafka_bootstrap}: {ELSEWHERE}")


class ToEnd:
    """Whether a reader has reached these offsets in every partition.

    A client retries without end while brokers do not answer: a command that only reads what there is must not.
    """

    def __init__(self, settings: Settings, reader: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> None:
        self._settings, self._reader, self._ends = settings, reader, ends
        self._positions: list[int] = []
        self._moved_at = time.monotonic()

    async def reached(self) -> bool:
        """Whether the end is reached. Raises Transient after STALLED_S without progress."""
        try:
            async with asyncio.timeout(STALLED_S):
                positions = [await self._reader.position(at) for at in self._ends]
        except TimeoutError as error:
            raise await _stalled(self._settings) from error
        if positions != self._positions:
            self._positions, self._moved_at = positions, time.monotonic()
        elif time.monotonic() - self._moved_at > STALLED_S:
            raise await _stalled(self._settings)
        return all(position >= end for position, end in zip(positions, self._ends.values(), strict=True))


def follow_alerts(settings: Settings, codec: Codec, *, from_start: bool, once: bool) -> AsyncIterator[RiskAlert]:
    """The alerts, as `follow`."""
    return follow(settings, codec, topics.ALERTS, RiskAlert, from_start=from_start, once=once)
