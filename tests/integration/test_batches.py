"""Batches that a producer may write to Apache Kafka: every codec, transactions, header names that are not text."""

import asyncio

import pytest
from confluent_kafka import Producer
from kafka import KafkaProducer

from deploy.kafka.server import KafkaServer
from schemas import topics
from schemas.events import MemoFeatures
from schemas.pipeline import ACOUSTIC, AGENTS_GROUP
from schemas.settings import Settings
from streams.agents.faust_app import reading
from tests.faults.poisons.poison import RawKey
from tests.integration.test_worker import CODEC, CheapStage, event, everything, load, working
from tests.servers import Broker
from workers.kafka.consumer_lag import Observer
from workers.kafka.record import Batch

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka: KafkaServer) -> Settings:
    broker = Broker(kafka.bootstrap, real=True)
    broker.empty()
    broker.create(*(topic.name for topic in topics.TOPICS))
    return Settings.load(kafka_bootstrap=broker.bootstrap, session_timeout_s=6.0, stop_deadline_s=5.0)


class Reader:
    """An agent that notes the memos that it is given."""

    def __init__(self) -> None:
        self.memos: list[str] = []

    async def process(self, batch: Batch) -> None:
        self.memos += [CODEC.decode(source.value, MemoFeatures).memo_id for source in batch.sources]


async def read_by_both(settings: Settings) -> tuple[list[str], list[str]]:
    """The memos whose features a worker writes and an agent reads, until neither has any lag."""
    agent = Reader()
    async with working(settings, CheapStage()), reading(settings, {"fusion": agent}), Observer(settings) as observer:
        async with asyncio.timeout(90):
            while await observer.backlog(ACOUSTIC.group, topics.UPLOADED.name):
                await asyncio.sleep(0.1)
            while await observer.backlog(AGENTS_GROUP, topics.FEATURES.name):
                await asyncio.sleep(0.1)
    return sorted(each.memo_id for each in await everything(settings, topics.FEATURES)), sorted(agent.memos)


def features(name: str) -> bytes:
    """The features of a memo, as the worker writes them."""
    (outcome,) = CheapStage().process([load(event(name))])
    assert not isinstance(outcome, Exception)
    return CODEC.encode(outcome[0])


def test_aborted_records_are_not_read_and_markers_are_no_lag(settings: Settings) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap, "transactional.id": "uploads"})
    producer.init_transactions(30)
    for name, end in (("aborted", producer.abort_transaction), ("kept", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(topics.UPLOADED.name, CODEC.encode(event(name)), b"u")
        producer.produce(topics.FEATURES.name, features(f"{name}-features"), b"u")
        producer.flush(10)
        end(10)
    written, read = asyncio.run(read_by_both(settings))
    assert written == ["kept", "kept-features"]
    assert read == ["kept", "kept-features"]


def test_every_codec_is_read(settings: Settings) -> None:
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    for codec in codecs:
        producer = Producer({"bootstrap.servers": settings.kafka_bootstrap, "compression.type": codec})
        producer.produce(topics.UPLOADED.name, CODEC.encode(event(codec)), b"u")
        producer.produce(topics.FEATURES.name, features(f"{codec}-features"), b"u")
        assert producer.flush(30) == 0
    expected = sorted([*codecs, *(f"{codec}-features" for codec in codecs)])
    assert asyncio.run(read_by_both(settings)) == (expected, expected)


def test_a_header_name_that_is_not_text_stops_nobody(settings: Settings) -> None:
    producer = KafkaProducer(bootstrap_servers=settings.kafka_bootstrap)
    for topic, value in ((topics.UPLOADED, CODEC.encode(event("odd"))), (topics.FEATURES, features("odd-features"))):
        producer.send(topic.name, value, b"u", headers=[(RawKey(b"\xff\xfe"), b"1")]).get(30)
    producer.close()
    assert asyncio.run(read_by_both(settings)) == (["odd", "odd-features"], ["odd", "odd-features"])
