"""Reading the topic of audit events."""

from schemas.codec import Codec
from schemas.settings import Settings
from schemas.topics import AUDIT
from streams.api.publish import Publisher
from streams.audit.reading import read_trail
from streams.audit.trail import KafkaAuditTrail
from streams.audit.verify import Stored
from streams.local.embedded import EmbeddedKafka
from tests.unit.streams.audit.trails import event
from workers.kafka.clients import make_producer


async def test_every_record_is_read_once_from_where_it_is_asked_for() -> None:
    with EmbeddedKafka([AUDIT.name]) as kafka:
        settings = Settings(kafka_bootstrap=kafka.bootstrap)
        async with make_producer(settings) as producer:
            trail = KafkaAuditTrail(Publisher(producer, Codec()))
            for number in range(30):
                await trail.record(event(number, f"actor-{number % 7}"))
        everything: list[Stored] = []
        extent = await read_trail(settings, lambda known: known.begins, everything.append)
        assert sum(extent.ends.values()) == len(everything) == 30
        for number in extent.ends:
            offsets = [each.offset for each in everything if each.partition == number]
            assert offsets == list(range(extent.ends[number]))
        rest: list[Stored] = []
        await read_trail(settings, lambda known: {number: end // 2 for number, end in known.ends.items()}, rest.append)
        assert len(rest) == sum(end - end // 2 for end in extent.ends.values())
