"""Reads single records by their place, to compare them with what a dead letter states."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from schemas.errors import Poison, Transient, Unknown
from schemas.settings import Settings
from workers.kafka.clients import make_sampler
from workers.kafka.connect import stopped
from workers.privacy.clear_records import Opened
from workers.privacy.sealing import sealing_of

Place: TypeAlias = tuple[str, int, int]
"""Topic, partition and offset of a record."""

READ_S = 10.0
"""Timeout of reading one record that exists."""


@dataclass(frozen=True, slots=True)
class Original:
    """Key and value of a record in clear, and the value as it is on the topic. Unknown: its key is.

    A record that does not open, because its key is unknown or it was changed, has no value in clear.
    """

    key: bytes | None
    value: bytes | None
    raw: bytes | None = None
    unknown: bool = False


async def originals(settings: Settings, places: Collection[Place]) -> Mapping[Place, Original]:
    """The records at these places, without those that do not exist any more or may not be read.

    Those of erased people are left out as well. Raises KafkaError, TimeoutError, and Transient while keys cannot be
    read.
    """
    found: dict[Place, Original] = {}
    for topic in sorted({place[0] for place in places}):
        try:
            async with _sampler(settings, topic) as sampler:
                for place in await _existing(sampler, [place for place in places if place[0] == topic]):
                    record = await _read(sampler, place)
                    if record is not None and (original := await _opened(settings, record)) is not None:
                        found[place] = original
        except TopicAuthorizationFailedError:
            continue
    return found


@asynccontextmanager
async def _sampler(settings: Settings, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    sampler = make_sampler(settings, topic)
    try:
        await sampler.start()
        sampler.pause(*sampler.assignment())
        yield sampler
    finally:
        await stopped(sampler)


async def _existing(sampler: AIOKafkaConsumer, places: Collection[Place]) -> list[Place]:
    """The places between the oldest and the newest record of their partition, in order."""
    partitions = sorted(sampler.assignment() & {TopicPartition(topic, number) for topic, number, _ in places})
    starts, ends = await sampler.beginning_offsets(partitions), await sampler.end_offsets(partitions)
    known = [(place, TopicPartition(*place[:2])) for place in sorted(places)]
    return [place for place, at in known if at in starts and starts[at] <= place[2] < ends[at]]


async def _opened(settings: Settings, record: ConsumerRecord) -> Original | None:
    (outcome,) = await sealing_of(settings).opened([record])
    match outcome:
        case Opened():
            return Original(outcome.key, outcome.value, record.value)
        case Unknown() | Poison():
            return Original(None, None, record.value, unknown=True)
        case Transient():
            raise outcome
    return None


async def _read(sampler: AIOKafkaConsumer, place: Place) -> ConsumerRecord | None:
    at = TopicPartition(*place[:2])
    sampler.seek(at, place[2])
    sampler.resume(at)
    try:
        async with asyncio.timeout(READ_S):
            record = await sampler.getone(at)
    except (TimeoutError, KafkaError) as error:
        if isinstance(error, KafkaError) and (error.retriable or isinstance(error, TopicAuthorizationFailedError)):
            raise
        return None  # a transaction's marker, or a record that this client cannot read
    finally:
        sampler.pause(at)
    return record if record.offset == place[2] else None
