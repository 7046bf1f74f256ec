"""Clients at the border, on a real protocol: what waits for keys is neither lost nor passed, and delays nobody else."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import topics
from schemas.errors import Transient, Unknown
from schemas.sealed_frame import is_sealed, parse
from schemas.settings import Settings
from streams.local.embedded import EmbeddedKafka
from tests.keys import sealing
from tests.samples import counted
from workers.kafka import sealed_clients
from workers.kafka.clients import client_options, make_consumer, make_producer, make_reader
from workers.kafka.connect import stopped
from workers.kafka.record import ERASED, Unread
from workers.kafka.sealed_clients import NOT_SENT, OpeningConsumer
from workers.privacy.key_requests import KEYS
from workers.privacy.sealing import Sealing, close_all, sealing_of
from workers.service.health import HEALTH

TOPIC = topics.UPLOADED.name
GROUP = "undertone-acoustic"


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka([TOPIC, topics.AUDIT.name]) as kafka:
        yield kafka


@pytest.fixture
def settings(broker: EmbeddedKafka, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a home of their own; the topics hold what earlier tests have written."""
    yield sealing(tmp_path, kafka_bootstrap=broker.bootstrap)
    close_all()
    HEALTH.has(KEYS)


@asynccontextmanager
async def started(client: Any) -> AsyncIterator[Any]:
    try:
        await client.start()
        yield client
    finally:
        await stopped(client)


@asynccontextmanager
async def from_now_on(settings: Settings, *, stage: str | None = "acoustic") -> AsyncIterator[OpeningConsumer]:
    """A consumer of every partition that begins with what is written after this."""
    # Not `seek_to_end`: aiokafka takes the answer to an earlier request, for the beginning, for the one to that.
    consumer = make_reader(settings, TOPIC, start="latest")
    consumer._stage = stage
    async with started(consumer):
        for at in consumer.assignment():
            await consumer.position(at)
        yield consumer


async def polled(
    consumer: OpeningConsumer, count: int, found: list[Any] | None = None, *, at: Collection[TopicPartition] = ()
) -> list[Any]:
    """The next records, once there are so many. found: those of an earlier call that did not return; at: of these."""
    found = [] if found is None else found
    while len(found) < count:
        found += [record for records in (await consumer.getmany(*at, timeout_ms=100)).values() for record in records]
    return found


async def send(settings: Settings, *records: tuple[bytes, bytes, int], topic: str = TOPIC) -> None:
    """Write key and value to a partition."""
    async with make_producer(settings) as producer:
        for key, value, partition in records:
            await producer.send_and_wait(topic, value, key, partition=partition, headers=[("ce_id", b"memo-1")])


async def test_between_producer_and_consumer_nothing_is_in_clear(settings: Settings) -> None:
    raw = AIOKafkaConsumer(TOPIC, **client_options(settings), group_id=None)
    async with from_now_on(settings) as consumer, started(raw):
        await raw.seek_to_end()
        await send(settings, (b"ann", b"happy", 0))
        (record,) = await polled(consumer, 1)
        assert (record.key, record.value) == (b"ann", b"happy")
        on_topic = await raw.getone()
    seen = on_topic.key + on_topic.value + b"".join(value for _, value in on_topic.headers)
    assert is_sealed(on_topic.value)
    assert not [word for word in (b"ann", b"happy", b"memo-1") if word in seen]


async def test_off_writes_the_bytes_that_it_is_given(settings: Settings) -> None:
    off = settings.model_copy(update={"seal": "off"})
    async with from_now_on(off) as consumer:
        await send(off, (b"ann", b"happy", 0))
        (record,) = await polled(consumer, 1)
    assert (record.key, record.value, record.headers) == (b"ann", b"happy", (("ce_id", b"memo-1"),))
    assert not list(settings.home.iterdir()), "no keys were made"


async def test_events_of_the_audit_trail_keep_their_key(settings: Settings) -> None:
    async with started(make_reader(settings, topics.AUDIT.name)) as reader:
        await send(settings, (b"dr-ross", b"viewed", 0), topic=topics.AUDIT.name)
        (record,) = await polled(reader, 1)
    assert (record.key, record.value) == (b"dr-ross", b"viewed")


async def test_a_span_gets_the_ids_that_are_on_the_topic(settings: Settings) -> None:
    headers = [("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    async with from_now_on(settings) as consumer:
        async with make_producer(settings) as producer:
            await producer.send_and_wait(TOPIC, b"happy", b"ann", headers=headers)
        (record,) = await polled(consumer, 1)
    assert list(record.headers) == headers
    assert b"4bf92f3577b34da6a3ce929d0e0e4736" not in headers[0][1]


# Erased


async def test_a_member_commits_past_an_erased_person_and_a_reader_never_sees_one(settings: Settings) -> None:
    border = sealing_of(settings)
    async with from_now_on(settings) as member, from_now_on(settings, stage=None) as reader:
        await send(settings, (b"ann", b"1", 0), (b"ben", b"2", 0), (b"ann", b"3", 0))
        subject = border.keyring.subject("ann")
        border.keyring.directory.destroy_keys(subject)
        border.keyring.forget(subject)
        with counted("records_erased_total", stage="acoustic") as grown:
            records = await polled(member, 3)
        assert [record.value is ERASED for record in records] == [True, False, True]
        assert [record.key for record in records] == [None, b"ben", None]
        assert grown == [2]
        assert [record.value for record in await polled(reader, 1)] == [b"2"]
        assert await member.position(TopicPartition(TOPIC, 0)) == records[-1].offset + 1


async def test_of_a_person_who_is_erased_nothing_is_sent(settings: Settings) -> None:
    await send(settings, (b"ann", b"1", 0))
    border = sealing_of(settings)
    border.keyring.directory.mark_erasing("ann")
    border.keyring.forget(border.keyring.subject("ann"))
    headers = [("ce_id", b"1")]
    async with make_producer(settings) as producer:
        assert await producer.send_and_wait(TOPIC, b"2", b"ann", headers=headers) is NOT_SENT
    assert headers == [], "no span is made of it"


# Keys that are missing


class Seconds:
    """A clock that the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Borrowed:
    """A border without the keys of another one, until it is lent them."""

    def __init__(self, own: Sealing, other: Sealing) -> None:
        self._now, self._other = own, other
        self.asked = 0

    def lend(self) -> None:
        self._now = self._other

    def concerns(self, *arguments: Any, **how: Any) -> bool:
        return self._now.concerns(*arguments, **how)

    async def opened(self, *arguments: Any, **how: Any) -> Any:
        self.asked += 1
        return await self._now.opened(*arguments, **how)


def borrowed(settings: Settings, tmp_path: Path) -> Borrowed:
    return Borrowed(sealing_of(settings.model_copy(update={"home": tmp_path / "older"})), sealing_of(settings))


async def test_a_partition_waits_for_keys_in_its_order_and_the_others_go_on(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_clients, "FIRST_WAIT_S", 0.02)
    off, border = settings.model_copy(update={"seal": "off"}), borrowed(settings, tmp_path)
    waiting, other = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)
    async with from_now_on(settings) as consumer:
        consumer._sealing = border  # type: ignore[assignment]
        await send(off, (b"ben", b"1", 0))
        await send(settings, (b"ann", b"2", 0))
        await send(off, (b"ben", b"3", 0), (b"ben", b"4", 1))
        before = await polled(consumer, 2)
        assert {(record.partition, record.value) for record in before} == {(0, b"1"), (1, b"4")}
        while border.asked < 4:
            consumer.resume(*consumer.assignment())  # as a loop does that has room
            assert await consumer.getmany(timeout_ms=20) == {}
        assert waiting in consumer.paused()
        first = next(record.offset for record in before if record.partition == 0)
        assert await consumer.position(waiting) == first + 1, "what waits is not passed"
        await send(off, (b"ben", b"5", 1))
        assert [record.value for record in await polled(consumer, 1)] == [b"5"]
        assert other not in consumer.paused()
        border.lend()
        assert [(record.key, record.value) for record in await polled(consumer, 2)] == [(b"ann", b"2"), (b"ben", b"3")]
        assert not consumer._held


async def test_waits_grow_and_a_partition_that_its_user_paused_stays_paused(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_clients, "FIRST_WAIT_S", 0.01)
    at, border = TopicPartition(TOPIC, 0), borrowed(settings, tmp_path)
    async with from_now_on(settings) as consumer:
        consumer._sealing = border  # type: ignore[assignment]
        await send(settings, (b"ann", b"1", 0))
        while border.asked < 4:
            await consumer.getmany(timeout_ms=20)
        assert consumer._held[at].again_s == pytest.approx(0.01 * 2**4)
        consumer.pause(at)
        border.lend()
        while consumer._held[at].waits:
            await consumer.getmany(timeout_ms=20)
        assert at in consumer.paused()
        assert await consumer.getmany(timeout_ms=50) == {}
        consumer.resume(at)
        assert [record.value for record in await polled(consumer, 1)] == [b"1"]


async def test_a_reader_says_that_keys_are_missing_and_loses_nothing(settings: Settings, tmp_path: Path) -> None:
    off, border = settings.model_copy(update={"seal": "off"}), borrowed(settings, tmp_path)
    async with from_now_on(settings, stage=None) as reader:
        reader._sealing = border  # type: ignore[assignment]
        await send(off, (b"ben", b"1", 0))
        await send(settings, (b"ann", b"2", 0))
        found: list[Any] = []
        with pytest.raises(Unknown):
            await polled(reader, 2, found)
        border.lend()
        assert [record.value for record in await polled(reader, 2, found)] == [b"1", b"2"]


async def test_records_that_wait_for_an_answer_are_not_passed_and_come_again_when_their_reader_is_stopped(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker looks at its position while it fetches, to step past what is no record."""
    asked, at = asyncio.Event(), TopicPartition(TOPIC, 0)

    async def never(*_: Any, **__: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    async with from_now_on(settings) as consumer:
        begin = await consumer.position(at)
        await send(settings, (b"ann", b"1", 0))
        with monkeypatch.context() as patched:
            patched.setattr(Sealing, "opened", never)
            fetching = asyncio.create_task(polled(consumer, 1, at=[at]))
            await asked.wait()
            assert await consumer.position(at) == begin
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)
        assert [record.value for record in await polled(consumer, 1, at=[at])] == [b"1"]


async def test_a_partition_that_was_assigned_again_meanwhile_is_fetched_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records come once: a position that goes back would be a rewound partition."""
    member = make_consumer(settings, group=GROUP, stage="acoustic")
    fetched, go_on, opened = asyncio.Event(), asyncio.Event(), Sealing.opened

    async def late(border: Sealing, *arguments: Any, **how: Any) -> Any:
        fetched.set()
        await go_on.wait()
        return await opened(border, *arguments, **how)

    member.subscribe([TOPIC])
    async with started(member):
        await send(settings, (b"ann", b"last", 0))
        monkeypatch.setattr(Sealing, "opened", late)
        fetching = asyncio.create_task(member.getmany(timeout_ms=5000))
        await fetched.wait()
        member._subscription.subscription._assign(set(member.assignment()))
        for at in member.assignment():
            member._subscription.subscription.assignment.state_value(at).reset_to(0)
        go_on.set()
        assert await fetching == {}


async def test_a_forged_record_becomes_a_dead_letter_of_nobody(settings: Settings) -> None:
    border = sealing_of(settings)
    async with from_now_on(settings) as consumer:
        written = await border.sealed(topics.FEATURES.name, b"ann", b"x", [])
        assert written is not None
        await send(settings, (written.key or b"", written.value, 0))
        (record,) = await polled(consumer, 1)
    assert isinstance(record.value, Unread)
    assert (record.key, record.value.reason, record.value.size) == (None, "record:forged", len(written.value))


async def test_a_record_of_nobody_holds_its_partition_for_a_time_and_can_be_sent_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its subject is invented, or the key directory was restored from an older backup: nothing says which."""
    monkeypatch.setattr(sealed_clients, "FIRST_WAIT_S", 0.01)
    older = settings.model_copy(update={"home": tmp_path / "older", "unknown_key_wait_s": 60.0})
    clock = Seconds()
    monkeypatch.setattr(sealing_of(older)._unknown, "_clock", clock)
    async with from_now_on(older) as consumer:
        await send(settings, (b"ann", b"1", 0), (b"ann", b"2", 0))
        await send(older, (b"ben", b"3", 0))
        while KEYS not in HEALTH.lacking():
            assert await consumer.getmany(timeout_ms=20) == {}
        assert "restored from an older backup" in HEALTH.lacking()[KEYS]
        clock.now += 60
        records = await polled(consumer, 3)
        assert [record.key for record in records] == [None, None, b"ben"]
        assert [record.value.reason for record in records[:2]] == ["record:forged"] * 2
        frame = records[0].value.sealed
    async with from_now_on(settings) as consumer:
        await send(older, (parse(frame).subject.hex().encode(), frame, 0))
        (record,) = await polled(consumer, 1)
        assert (record.key, record.value) == (b"ann", b"1"), "once the directory is the newest one, it opens"


async def test_an_outage_that_ends_within_a_poll_is_transient_for_a_producer(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> None:
        raise Transient("the key directory does not answer")

    async with make_producer(settings) as producer:
        with monkeypatch.context() as patched:
            patched.setattr(Sealing, "_warm", away)
            with pytest.raises(Transient):
                await producer.send(TOPIC, b"1", b"ann")
        assert await producer.send_and_wait(TOPIC, b"1", b"ann") is not NOT_SENT
