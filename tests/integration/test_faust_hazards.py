"""Where stock Faust loses records (DESIGN §5), and that the agents here do not: real Faust over real connections.

Each story is told twice, by a Faust application as its documentation would have it and by
`streams.agents.faust_app.reading`. When Faust mends one of these, its half fails, and the rule that guards against it
may go.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas import topics
from schemas.pipeline import AGENTS_GROUP
from schemas.settings import Settings
from streams.agents.faust_app import make_app, reading
from streams.agents.faust_consumer import FETCH_WAIT_S
from tests.servers import Broker
from workers.kafka.consumer_lag import Observer
from workers.kafka.record import Batch, Source

TOPIC = topics.FEATURES.name
PLACE = TopicPartition(TOPIC, 0)
PATIENCE_S = 30.0


@pytest.fixture
def settings(one_broker: Broker) -> Settings:
    one_broker.create(*(topic.name for topic in topics.TOPICS))
    return Settings.load(
        kafka_bootstrap=one_broker.bootstrap, session_timeout_s=6.0, stop_deadline_s=3.0, agent_batch=1
    )


async def send(settings: Settings, *values: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap) as producer:
        for value in values:
            await producer.send_and_wait(TOPIC, value, partition=0)


async def position(settings: Settings) -> int:
    """What the group has committed; 0 for nothing."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap, group_id=AGENTS_GROUP, enable_auto_commit=False
    )
    consumer.assign([PLACE])
    async with consumer:
        return await consumer.committed(PLACE) or 0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def stock(
    settings: Settings, body: Callable[[Any], Awaitable[None]], concurrency: int = 1
) -> AsyncIterator[faust.App]:
    """A Faust application with one agent, its bookkeeping as Faust has it."""
    ours = make_app(settings)
    app = faust.App(
        AGENTS_GROUP,
        broker=ours.conf.broker,
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
        web_enabled=False,
        reply_create_topic=False,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=0.1,
        stream_wait_empty=False,
    )
    app._create_directories = lambda: None  # which would lie where the tests are begun
    source = app.topic(TOPIC, value_type=bytes, value_serializer="raw")
    app.agent(source, concurrency=concurrency)(body)
    app.finalize()
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


class Keeping:
    """A hop that keeps what it is given; `fault` may wait or raise before."""

    def __init__(self, fault: Callable[[Sequence[Source]], Awaitable[None]] | None = None) -> None:
        self.kept: list[bytes | None] = []
        self.begun: list[bytes | None] = []
        self._fault = fault

    async def process(self, batch: Batch) -> None:
        self.begun += [source.value for source in batch.sources]
        if self._fault is not None:
            await self._fault(batch.sources)
        self.kept += [source.value for source in batch.sources]


async def test_stock_take_acknowledges_what_its_body_failed_on(settings: Settings) -> None:
    failed = asyncio.Event()

    async def body(stream: Any) -> None:
        async for _ in stream.take(2, within=PATIENCE_S):
            failed.set()
            raise RuntimeError("a defect")

    await send(settings, b"1", b"2")
    async with stock(settings, body):
        await asyncio.wait_for(failed.wait(), PATIENCE_S)
    assert await position(settings) == 2  # both are behind the group, and nobody has processed them


async def test_ours_does_not(settings: Settings) -> None:
    async def defect(_: Sequence[Source]) -> None:
        raise RuntimeError("a defect")

    await send(settings, b"1", b"2")
    async with reading(settings, {"fusion": Keeping(defect)}) as (_, failed):
        with pytest.raises(RuntimeError, match="a defect"):
            await asyncio.wait_for(failed, PATIENCE_S)
    assert await position(settings) == 0
    mended = Keeping()
    async with reading(settings, {"fusion": mended}):
        await until(lambda: len(mended.kept) == 2)
    assert mended.kept == [b"1", b"2"]
    assert await position(settings) == 2


async def test_stock_steps_over_a_record_that_is_still_in_work(settings: Settings) -> None:
    done: list[bytes] = []
    release = asyncio.Event()

    async def body(stream: Any) -> None:
        async for value in stream:
            if value == b"slow":
                await release.wait()
            done.append(value)

    await send(settings, b"slow", b"1", b"2", b"3")
    async with stock(settings, body, concurrency=2) as app:
        await until(lambda: len(done) >= 2)
        await app.consumer.commit()
        assert await position(settings) > 0  # a crash now loses the slow one
        assert b"slow" not in done
        release.set()


async def test_ours_waits_for_it(settings: Settings) -> None:
    release = asyncio.Event()

    async def slow(sources: Sequence[Source]) -> None:
        if sources[0].value == b"slow":
            await release.wait()

    await send(settings, b"slow", b"1", b"2")
    hop = Keeping(slow)
    async with reading(settings, {"fusion": hop}) as (app, _):
        await until(lambda: bool(hop.begun))
        await app.consumer.commit()
        assert await position(settings) == 0
        assert hop.begun == [b"slow"]
        release.set()
        await until(lambda: len(hop.kept) == 3)
    assert hop.kept == [b"slow", b"1", b"2"]
    assert await position(settings) == 3


def failing_once(app: faust.App) -> None:
    """The next commit fails as one does that comes too late: Faust's thread says so, the broker has nothing."""
    thread = app.consumer._thread
    commit = thread.commit

    async def refused(_: Any) -> bool:
        thread.commit = commit
        return False

    thread.commit = refused


async def test_stock_takes_a_commit_that_failed_for_done(settings: Settings) -> None:
    done: list[bytes] = []

    async def body(stream: Any) -> None:
        async for value in stream:
            done.append(value)  # noqa: PERF401  # the stream never ends

    async with stock(settings, body) as app:
        failing_once(app)
        await send(settings, b"1")
        await until(lambda: len(done) == 1)
        for _ in range(3):
            await app.consumer.commit()
        assert await position(settings) == 0


async def test_ours_commits_again(settings: Settings) -> None:
    hop = Keeping()
    async with reading(settings, {"fusion": hop}) as (app, _):
        failing_once(app)
        await send(settings, b"1", b"2")
        await until(lambda: len(hop.kept) == 2)
        for _ in range(3):
            await app.consumer.commit()
        assert await position(settings) == 2


def held_back_ms(app: faust.App) -> int:
    """How long a broker may hold back a request of this application for more; what comes for a partition that the
    request leaves out, because its records were not yet taken, waits as long."""
    asked: int = app.consumer._thread._consumer._fetcher._fetch_max_wait_ms
    return asked


async def test_stock_lets_a_broker_hold_requests_back(settings: Settings) -> None:
    async def body(stream: Any) -> None:
        async for _ in stream:
            pass

    async with stock(settings, body) as app:
        await until(lambda: app.consumer._thread._consumer._fetcher is not None)
        assert held_back_ms(app) == 1500


async def test_ours_asks_for_more_at_once(settings: Settings) -> None:
    async with reading(settings, {"fusion": Keeping()}) as (app, _):
        assert held_back_ms(app) == FETCH_WAIT_S * 1000


def contents(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_nothing_is_written_where_the_agents_start(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container that is read-only."""
    monkeypatch.chdir(tmp_path)
    await send(settings, b"1")
    hop = Keeping()
    async with reading(settings, {"fusion": hop}):
        await until(lambda: bool(hop.kept))
    assert contents(tmp_path) == []


async def test_a_batch_longer_than_session_and_poll_interval_keeps_its_partitions(settings: Settings) -> None:
    impatient = settings.model_copy(update={"session_timeout_s": 4.0, "max_poll_interval_s": 1.0})

    async def slow(_: Sequence[Source]) -> None:
        await asyncio.sleep(5.0)

    await send(settings, b"1")
    hop = Keeping(slow)
    async with reading(impatient, {"fusion": hop}):
        await until(lambda: bool(hop.kept))
    assert hop.begun == [b"1"]
    assert await position(settings) == 1


async def test_stopping_finishes_the_batch_under_way_and_commits_it(settings: Settings) -> None:
    begun = asyncio.Event()

    async def slow(_: Sequence[Source]) -> None:
        begun.set()
        await asyncio.sleep(0.5)

    await send(settings, b"1")
    hop = Keeping(slow)
    async with reading(settings, {"fusion": hop}):
        await asyncio.wait_for(begun.wait(), PATIENCE_S)
    assert hop.kept == [b"1"]
    assert await position(settings) == 1


async def test_a_member_that_joins_in_the_middle_costs_no_record(settings: Settings) -> None:
    """Partitions change hands while batches are under way and events wait: what was not finished comes again."""

    async def slow(_: Sequence[Source]) -> None:
        await asyncio.sleep(0.02)

    values = {b"%d" % number for number in range(120)}
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap) as producer:
        for number in range(120):
            await producer.send_and_wait(TOPIC, b"%d" % number, partition=number % settings.partitions)
    first, second = Keeping(slow), Keeping(slow)
    async with reading(settings, {"fusion": first}):
        await until(lambda: len(first.kept) > 10)
        async with reading(settings, {"fusion": second}):
            await until(lambda: {*first.kept, *second.kept} == values)
    async with Observer(settings) as observer:
        assert await observer.backlog(AGENTS_GROUP, TOPIC) == 0
