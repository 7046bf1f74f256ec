"""Reading the topic of audit events as it is now."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiokafka import TopicPartition

from schemas.settings import Settings
from schemas.topics import AUDIT
from streams.audit.verify import Stored
from workers.kafka.authorization_errors import must_see, refusals_stop
from workers.kafka.broker_probe import answered
from workers.kafka.clients import make_reader
from workers.kafka.connect import stopped
from workers.kafka.topic_reader import ToEnd


@dataclass(frozen=True, slots=True)
class Extent:
    """The offsets of each partition at one moment. begins: of the oldest records; ends: after the newest ones."""

    begins: Mapping[int, int]
    ends: Mapping[int, int]


async def read_trail(
    settings: Settings,
    begin: Callable[[Extent], Mapping[int, int]],
    take: Callable[[Stored], None],
) -> Extent:
    """Every record up to the ends that the topic has now, each partition in the order of its offsets.

    begin: from which offset on, by partition, given the extent; it may raise. Raises Transient when the broker is
    unavailable, BrokerRefused when it refuses.
    """
    await answered(settings)
    reader = make_reader(settings, AUDIT.name)
    try:
        with refusals_stop():
            await reader.start()
            must_see(reader, AUDIT.name)
        places = list(reader.assignment())
        begins, ends = await reader.beginning_offsets(places), await reader.end_offsets(places)
        extent = Extent(_numbered(begins), _numbered(ends))
        starts = begin(extent)
        for at in places:
            reader.seek(at, max(starts.get(at.partition, 0), begins[at]))
        to_end = ToEnd(settings, reader, ends)
        while not await to_end.reached():
            for at, records in (await reader.getmany(timeout_ms=200)).items():
                for record in records:
                    if record.offset < ends[at]:
                        take(Stored(at.partition, record.offset, record.key, record.value))
    finally:
        await stopped(reader)
    return extent


def _numbered(offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
    return {at.partition: offset for at, offset in offsets.items()}
