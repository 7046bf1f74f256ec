"""Reconciliation after Redis has lost its data: resubmits uploads on a broker, with a store that can lose it again."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas import topics
from schemas.errors import Poison
from schemas.event_enums import CareActionKind
from schemas.events import CareAction
from schemas.pipeline import ACOUSTIC, AGENTS_GROUP, feature_stages
from schemas.redrive_headers import revision_of
from schemas.settings import Settings
from schemas.state_keys import MARK, MUTES
from streams.drift import mutes
from streams.recovery import resubmit
from streams.recovery.resubmit import Reconciler
from tests.integration.test_worker import CODEC, CheapStage, event, everything, load
from tests.servers import Broker
from tests.unit.streams.scores import scored
from workers.kafka.clients import make_producer
from workers.kafka.dead_letters import dead_letter
from workers.kafka.record import Source
from workers.kafka.topic_reader import written
from workers.state.deadlines import MemoryDeadlines
from workers.state.store import MemoryStore

HEADERS = [("traceparent", b"00-1-2-01")]


@pytest.fixture
def settings(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Settings:
    broker.create(*(topic.name for topic in topics.TOPICS))
    monkeypatch.setattr(resubmit, "EVERY_S", 0.1)
    monkeypatch.setattr(resubmit, "GRACE_S", 0.0)
    return Settings.load(kafka_bootstrap=broker.bootstrap, join_timeout_s=0.5)


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    producer = make_producer(settings)
    await producer.start()
    yield producer
    await producer.stop()


async def commit(settings: Settings, topic: topics.Topic, *groups: str) -> None:
    """Commit the end of the topic for each group."""
    for group in groups:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_bootstrap, group_id=group, enable_auto_commit=False
        )
        places = [TopicPartition(topic.name, number) for number in range(settings.partitions)]
        consumer.assign(places)
        async with consumer:
            await consumer.commit(await consumer.end_offsets(places))


async def extracted(settings: Settings) -> None:
    await commit(settings, topics.UPLOADED, *(stage.group for stage in feature_stages(settings.modalities)))


async def publish_memos(producer: AIOKafkaProducer) -> None:
    """One memo of each kind: scored, dead letter of a worker or of fusion, unreadable, and two with no outcome."""
    (bad,) = CheapStage().process([load(event("dead at fusion"))])[0]  # type: ignore[misc]
    for number, memo in enumerate(("scored", "dead at a worker", "dead at fusion", "lost-1", "lost-2")):
        key = f"user-{number}".encode()
        await producer.send_and_wait(
            topics.UPLOADED.name, CODEC.encode(event(memo)), key, partition=number % 4, headers=HEADERS
        )
    await producer.send_and_wait(topics.UPLOADED.name, b"this is no Avro", b"user-1")
    await producer.send_and_wait(topics.SCORED.name, CODEC.encode(scored(0.5, 0, memo="scored")), b"user-0")
    now, poison = datetime.now(UTC), Poison("test:bad", "on purpose")
    for topic, value in (
        (topics.UPLOADED, CODEC.encode(event("dead at a worker"))),
        (topics.FEATURES, CODEC.encode(bad)),
        (topics.UPLOADED, b"this is no Avro"),
    ):
        letter = dead_letter(Source(topic.name, 0, 0, b"user-1", value, {}), poison, "test", now)
        await producer.send_and_wait(topics.DEAD.name, CODEC.encode(letter), b"user-1")
    await producer.send_and_wait(topics.FEATURES.name, CODEC.encode(bad), b"user-2")


async def test_memos_without_an_outcome_are_resubmitted_unchanged_and_once(
    settings: Settings, producer: AIOKafkaProducer
) -> None:
    await publish_memos(producer)
    await extracted(settings)
    await commit(settings, topics.FEATURES, AGENTS_GROUP)
    store, now = MemoryStore(), datetime.now(UTC)
    mute = CareAction("a-mute", "user-1", now, "dr-a", CareActionKind.MUTED)
    await producer.send_and_wait(topics.CARE.name, CODEC.encode(mute), b"user-1")
    reconcilers = [Reconciler(settings, store, MemoryDeadlines(), producer, CODEC) for _ in range(2)]
    assert sorted(await asyncio.gather(*(each.reconcile() for each in reconcilers)), key=str) == [2, None]
    assert [await each.reconcile() for each in reconcilers] == [None, None]
    assert mutes.muted_by(mutes.load((await store.read([MUTES.key()]))[MUTES.key()]), "user-1", now)
    uploads = Counter(memo.memo_id for memo in await everything(settings, topics.UPLOADED))
    assert uploads == Counter(["scored", "dead at a worker", "dead at fusion", *["lost-1", "lost-2"] * 2])
    everywhere = written(settings, topics.UPLOADED, datetime(2026, 1, 1, tzinfo=UTC))
    again = [r async for r in everywhere if dict(r.headers) == dict(HEADERS)]
    places = Counter((r.key, r.value, r.partition) for r in again)
    assert sorted(places.values()) == [1, 1, 1, 2, 2]


async def test_a_memo_that_lost_a_modality_with_its_join_is_resubmitted_too(
    settings: Settings, producer: AIOKafkaProducer
) -> None:
    """Its other part was read after the loss, and has led to a score without the lost one."""
    for memo in ("lost a part", "not usable"):
        await producer.send_and_wait(topics.UPLOADED.name, CODEC.encode(event(memo)), b"user-1", partition=0)
    reasons = {"lost a part": ("missing:acoustic",), "not usable": ("quality:noisy",)}
    for memo, why in reasons.items():
        score = replace(scored(None, 0, memo=memo), reasons=why)
        await producer.send_and_wait(topics.SCORED.name, CODEC.encode(score), b"user-1")
    await extracted(settings)
    assert await Reconciler(settings, MemoryStore(), MemoryDeadlines(), producer, CODEC).reconcile() == 1
    uploads = [r async for r in written(settings, topics.UPLOADED, datetime(2026, 1, 1, tzinfo=UTC))]
    assert [revision_of(dict(r.headers)) for r in uploads] == [0, 0, 1]


async def test_an_upload_of_a_producer_whose_clock_was_never_set_is_resubmitted_too(
    settings: Settings, producer: AIOKafkaProducer
) -> None:
    """Its timestamp is from 1970, where the topic takes that of the producer."""
    for memo, timestamp_ms in (("before", None), ("unset", 1000)):
        await producer.send_and_wait(
            topics.UPLOADED.name, CODEC.encode(event(memo)), b"user-1", partition=0, timestamp_ms=timestamp_ms
        )
    await extracted(settings)
    assert await Reconciler(settings, MemoryStore(), MemoryDeadlines(), producer, CODEC).reconcile() == 2


async def test_uploads_that_a_worker_has_yet_to_process_are_not_resubmitted(
    settings: Settings, producer: AIOKafkaProducer
) -> None:
    await publish_memos(producer)
    await commit(settings, topics.UPLOADED, ACOUSTIC.group)  # the other one has done nothing yet
    assert await Reconciler(settings, MemoryStore(), MemoryDeadlines(), producer, CODEC).reconcile() == 0


async def test_it_waits_until_the_features_were_read(settings: Settings, producer: AIOKafkaProducer) -> None:
    await publish_memos(producer)
    await extracted(settings)
    reconciling = asyncio.create_task(
        Reconciler(settings, MemoryStore(), MemoryDeadlines(), producer, CODEC).reconcile()
    )
    await asyncio.wait([reconciling], timeout=2.0)
    assert not reconciling.done()
    await commit(settings, topics.FEATURES, AGENTS_GROUP)
    assert await reconciling == 2


async def test_a_second_loss_meanwhile_restarts_reconciliation(settings: Settings, producer: AIOKafkaProducer) -> None:
    await publish_memos(producer)
    await extracted(settings)
    store = MemoryStore()
    reconciler = Reconciler(settings, store, MemoryDeadlines(), producer, CODEC)
    reconciling = asyncio.create_task(reconciler.reconcile())
    await asyncio.wait([reconciling], timeout=1.0)
    await store.delete([MARK.key()])
    assert await reconciling is None
    await commit(settings, topics.FEATURES, AGENTS_GROUP)
    assert await reconciler.reconcile() == 2


async def test_only_so_much_of_the_past_is_compared(settings: Settings, producer: AIOKafkaProducer) -> None:
    await publish_memos(producer)
    await extracted(settings)
    await commit(settings, topics.FEATURES, AGENTS_GROUP)
    await asyncio.sleep(2.0)
    short = settings.model_copy(update={"reconciled_s": 0.5})
    deadlines = MemoryDeadlines()
    assert await Reconciler(short, MemoryStore(), deadlines, producer, CODEC).reconcile() == 0
