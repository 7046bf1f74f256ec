"""Reading a topic: only what is asked for, and to an end, also when the broker does not come back."""

from contextlib import aclosing

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import topics
from schemas.errors import Transient
from schemas.settings import Settings
from streams.local.embedded import EmbeddedKafka
from workers.kafka import topic_reader
from workers.kafka.clients import make_producer, make_reader
from workers.kafka.connect import ELSEWHERE, stopped
from workers.kafka.topic_reader import ToEnd, of_key

AT = TopicPartition(topics.ALERTS.name, 0)


async def read_to_the_end(to_end: ToEnd, reader: AIOKafkaConsumer) -> None:
    while not await to_end.reached():
        await reader.getmany(timeout_ms=50)


async def reader_of(settings: Settings) -> AIOKafkaConsumer:
    reader = make_reader(settings, AT.topic)
    await reader.start()
    return reader


async def test_of_a_key_only_its_own_partition_is_read() -> None:
    """Every partition of uploads would be a week of everybody's memos."""
    wanted, (own, foreign) = (topics.UPLOADED, topics.SCORED), (b"ann", b"bob")
    with EmbeddedKafka([topic.name for topic in wanted]) as broker:
        settings = Settings.load(kafka_bootstrap=broker.bootstrap)
        async with make_producer(settings) as producer:
            sent = [await producer.send_and_wait(topic.name, b"1", key=own) for topic in wanted]
            (partition,) = {record.partition for record in sent}
            await producer.send_and_wait(topics.UPLOADED.name, b"2", key=foreign, partition=partition)
            await producer.send_and_wait(topics.UPLOADED.name, b"elsewhere", key=own, partition=partition ^ 1)
            async with aclosing(of_key(settings, wanted, own)) as polls:
                existing = await anext(polls)
                assert {(record.topic, record.value) for record in existing} == {(topic.name, b"1") for topic in wanted}
                await producer.send_and_wait(topics.SCORED.name, b"3", key=own)
                async for records in polls:
                    if records:
                        assert [record.value for record in records] == [b"3"]
                        break


async def test_records_that_do_not_come_from_a_broker_that_answers_are_its_addresses_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topic_reader, "STALLED_S", 0.2)
    with EmbeddedKafka([AT.topic]) as broker:
        settings = Settings.load(kafka_bootstrap=broker.bootstrap)
        reader = await reader_of(settings)
        try:
            assert await ToEnd(settings, reader, {AT: 0}).reached()
            unreached = ToEnd(settings, reader, {AT: 1})
            with pytest.raises(Transient, match=ELSEWHERE):
                await read_to_the_end(unreached, reader)
        finally:
            await stopped(reader)


async def test_a_broker_that_goes_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_reader, "STALLED_S", 0.2)
    with EmbeddedKafka([AT.topic]) as broker:
        settings = Settings.load(kafka_bootstrap=broker.bootstrap)
        reader = await reader_of(settings)
    try:
        unreached = ToEnd(settings, reader, {AT: 1})
        with pytest.raises(Transient, match=f"KAFKA_BOOTSTRAP={broker.bootstrap}: connection refused"):
            await read_to_the_end(unreached, reader)
    finally:
        await stopped(reader)
