"""Every record of a topic as it is on the brokers' disks: nothing is opened, and nothing is left out."""

from collections.abc import AsyncGenerator

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from schemas.settings import Settings
from schemas.topics import Topic
from workers.kafka import record_batches
from workers.kafka.authorization_errors import must_see, refusals_stop
from workers.kafka.broker_probe import answered
from workers.kafka.clients import MAX_RECORD_BYTES, client_options
from workers.kafka.connect import stopped
from workers.kafka.topic_reader import ToEnd


async def raw_records(settings: Settings, topic: Topic) -> AsyncGenerator[ConsumerRecord, None]:
    """Records from the first to the end that the topic had at the start, those of aborted transactions as well.

    Raises Transient when the broker is unavailable, BrokerRefused when it refuses.
    """
    await answered(settings)
    record_batches.install()
    reader = AIOKafkaConsumer(
        topic.name,
        **client_options(settings),
        isolation_level="read_uncommitted",
        group_id=None,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=MAX_RECORD_BYTES,
    )
    try:
        with refusals_stop():
            await reader.start()
            must_see(reader, topic.name)
        to_end = ToEnd(settings, reader, await reader.end_offsets(list(reader.assignment())))
        while not await to_end.reached():
            for records in (await reader.getmany(timeout_ms=200)).values():
                for record in records:
                    yield record
    finally:
        await stopped(reader)
