"""Records that the dashboard writes."""

import asyncio

import pytest
from aiokafka.errors import KafkaTimeoutError, TopicAuthorizationFailedError

from schemas import topics
from schemas.codec import Codec
from schemas.errors import Transient
from schemas.events import CareAction, MemoUploaded
from schemas.settings import Settings
from streams.api.publish import Publisher
from streams.local.embedded import EmbeddedKafka
from tests.unit.schemas.records import CARE, UPLOADED
from workers.kafka.clients import make_expiring_producer, make_producer
from workers.kafka.topic_reader import follow

CODEC = Codec()


async def test_records_are_on_their_topics_when_it_returns() -> None:
    with EmbeddedKafka(topic.name for topic in (topics.UPLOADED, topics.CARE)) as kafka:
        settings = Settings(kafka_bootstrap=kafka.bootstrap)
        async with make_producer(settings) as producer:
            publisher = Publisher(producer, CODEC)
            await publisher.publish(topics.UPLOADED, UPLOADED.user_id, UPLOADED)
            await publisher.publish(topics.CARE, CARE.user_id, CARE)
        uploads = follow(settings, CODEC, topics.UPLOADED, MemoUploaded, from_start=True, once=True)
        actions = follow(settings, CODEC, topics.CARE, CareAction, from_start=True, once=True)
        assert [each async for each in uploads] == [UPLOADED]
        assert [each async for each in actions] == [CARE]


async def test_a_memo_that_kafka_does_not_take_in_time_is_never_sent() -> None:
    with EmbeddedKafka([topics.UPLOADED.name]) as kafka:
        producer = make_expiring_producer(Settings(kafka_bootstrap=kafka.bootstrap), 1.0)
        await producer.start()
        publisher = Publisher(producer, CODEC)
        await publisher.publish(topics.UPLOADED, UPLOADED.user_id, UPLOADED)
    try:
        with pytest.raises(Transient, match="KAFKA_BOOTSTRAP"):
            await asyncio.wait_for(publisher.publish(topics.UPLOADED, UPLOADED.user_id, UPLOADED), 60)
        await asyncio.wait_for(producer.flush(), 60)  # it would wait for whatever is still to be sent
    finally:
        await producer.stop()


class Failing:
    """A producer that raises."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def send_and_wait(self, *_: object, **__: object) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "raised"),
    [(KafkaTimeoutError(), Transient), (TopicAuthorizationFailedError(), TopicAuthorizationFailedError)],
)
async def test_an_outage_is_transient_and_a_refusal_is_none(error: Exception, raised: type[Exception]) -> None:
    with pytest.raises(raised):
        await Publisher(Failing(error), CODEC).publish(topics.CARE, CARE.user_id, CARE)


class Silent:
    """A producer whose broker never acknowledges."""

    async def send_and_wait(self, *_: object, **__: object) -> None:
        await asyncio.Event().wait()


async def test_whoever_waits_for_an_acknowledgement_does_not_wait_for_ever() -> None:
    publisher = Publisher(Silent(), CODEC, within_s=0.01)
    with pytest.raises(Transient, match="in time"):
        await publisher.publish(topics.CARE, CARE.user_id, CARE)
