"""Reading to the end of a topic ends, also when the broker does not come back."""

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import topics
from schemas.errors import Transient
from schemas.settings import Settings
from streams.local.embedded import EmbeddedKafka
from workers.kafka import topic_reader
from workers.kafka.clients import make_reader
from workers.kafka.connect import ELSEWHERE, stopped
from workers.kafka.topic_reader import ToEnd

AT = TopicPartition(topics.ALERTS.name, 0)


async def read_to_the_end(to_end: ToEnd, reader: AIOKafkaConsumer) -> None:
    while not await to_end.reached():
        await reader.getmany(timeout_ms=50)


async def reader_of(settings: Settings) -> AIOKafkaConsumer:
    reader = make_reader(settings, AT.topic)
    await reader.start()
    return reader


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
