"""Reading a topic without a consumer group and without commits."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.partitioner import DefaultPartitioner

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.events import RiskAlert
from schemas.settings import Settings
from workers.kafka.authorization_errors import must_see, refusals_stop
from workers.kafka.broker_probe import answered
from workers.kafka.clients import make_reader
from workers.kafka.connect import stopped
from workers.kafka.record_time import EARLIEST_S

R = TypeVar("R")


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
        ends = await reader.end_offsets(list(reader.assignment())) if once else None
        while True:
            for records in (await reader.getmany(timeout_ms=200)).values():
                for each in records:
                    try:
                        yield codec.decode(each.value, record)
                    except DecodeError:
                        if skipped is not None:
                            skipped[topic.name] += 1
            if ends is not None and await _past(reader, ends):
                return


async def written(
    settings: Settings, topic: topics.Topic, since: datetime, until: Mapping[TopicPartition, int] | None = None
) -> AsyncIterator[ConsumerRecord]:
    """Raw records of a topic, from the first one written at `since` or later.

    A record whose timestamp a clock that was never set has given (CreateTime) counts as written after the one before.
    until: the offset after the last record, by partition; None: the current end offsets. Raises as `follow`.
    """
    async with _started(settings, topic, start="earliest") as reader:
        ends = await reader.end_offsets(list(reader.assignment()))
        stops = {at: min(end, ends[at] if until is None else until.get(at, 0)) for at, end in ends.items()}
        since_ms = round(since.timestamp() * 1000)
        oldest, first = [await reader.offsets_for_times(dict.fromkeys(stops, time)) for time in (0, since_ms)]
        for at, found in first.items():
            if found is not None or oldest[at] is not None:  # the embedded broker has no time index: read all there
                reader.seek(at, ends[at] if found is None else found.offset)
        while not await _past(reader, stops):
            for at, records in (await reader.getmany(timeout_ms=200)).items():
                for record in records:
                    dated = record.timestamp >= EARLIEST_S * 1000
                    if record.offset < stops[at] and (record.timestamp >= since_ms or not dated):
                        yield record


async def of_key(
    settings: Settings, wanted: Sequence[topics.Topic], key: bytes
) -> AsyncGenerator[list[ConsumerRecord], None]:
    """Raw records of one key: first all that exist, as one list, then those of each poll, maybe none. Never ends.

    Undertone's own producers choose the partition by the key, so only that one is read; of `memos.uploaded`, which
    others write, every partition. Records of one topic are in the order of their offsets. Raises as `follow`.
    """
    async with _started(settings, *wanted, start="earliest") as reader:
        own = [at for at in reader.assignment() if at.topic == topics.UPLOADED.name or _belongs(reader, at, key)]
        reader.pause(*(at for at in reader.assignment() if at not in own))
        ends = await reader.end_offsets(own)
        existing: list[ConsumerRecord] = []
        while not await _past(reader, ends):
            existing += await _polled(reader, key)
        yield existing
        while True:
            yield await _polled(reader, key)


async def newest(settings: Settings, topic: topics.Topic, most: int) -> list[ConsumerRecord]:
    """The last raw records of a topic, at most `most` of each partition. Raises as `follow`."""
    async with _started(settings, topic, start="earliest") as reader:
        partitions = list(reader.assignment())
        ends, starts = await reader.end_offsets(partitions), await reader.beginning_offsets(partitions)
        for at in partitions:
            reader.seek(at, max(starts[at], ends[at] - most))
        found: list[ConsumerRecord] = []
        while not await _past(reader, ends):
            for records in (await reader.getmany(timeout_ms=200)).values():
                found += records
    return found


def _belongs(reader: AIOKafkaConsumer, at: TopicPartition, key: bytes) -> bool:
    """Whether Kafka's default partitioner puts this key into this partition."""
    partitions = sorted(reader.partitions_for_topic(at.topic) or ())
    return bool(DefaultPartitioner()(key, partitions, partitions) == at.partition)


async def _polled(reader: AIOKafkaConsumer, key: bytes) -> list[ConsumerRecord]:
    fetched = await reader.getmany(timeout_ms=200)
    return [record for records in fetched.values() for record in records if record.key == key]


@asynccontextmanager
async def _started(settings: Settings, *wanted: topics.Topic, start: str) -> AsyncIterator[AIOKafkaConsumer]:
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


async def _past(reader: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    """Whether the reader has reached these offsets in every partition."""
    return all([await reader.position(at) >= end for at, end in ends.items()])


def follow_alerts(settings: Settings, codec: Codec, *, from_start: bool, once: bool) -> AsyncIterator[RiskAlert]:
    """The alerts, as `follow`."""
    return follow(settings, codec, topics.ALERTS, RiskAlert, from_start=from_start, once=once)
