"""Fetching ahead of the stage: everybody's memos in their order, within bounds, and only from partitions of ours."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from aiokafka import ConsumerRecord, TopicPartition

from schemas.codec import Codec
from schemas.errors import Poison, Transient
from schemas.events import MemoUploaded, Quality
from schemas.settings import Settings
from schemas.topics import UPLOADED as TOPIC
from tests.unit.schemas.records import UPLOADED
from workers.audio.memo import SAMPLING_RATE, Memo, Reserve
from workers.consumer.commit import Committer
from workers.consumer.fetch import BATCH_RECORDS, FETCHED_BYTES, LOADING_RECORDS, UNDER_WAY_RECORDS, Intake, Item, Load
from workers.consumer.unheard import Unheard
from workers.kafka.record import Unread
from workers.service.health import HEALTH

CODEC = Codec()
QUALITY = Quality(1.0, 30.0, 0.0, 8000.0)
FIRST, SECOND = TopicPartition(TOPIC.name, 0), TopicPartition(TOPIC.name, 1)
SETTINGS = Settings.load(batch_audio_s=3.0, inflight_audio_s=5.0)


def record(at: TopicPartition, offset: int, name: str, value: bytes | None = None) -> ConsumerRecord:
    """An upload whose user is the first letter of its name."""
    event = replace(UPLOADED, memo_id=name, user_id=name[0])
    value = CODEC.encode(event) if value is None else value
    return ConsumerRecord(
        at.topic, at.partition, offset, 1000 + offset, 0, name[:1].encode(), value, None, 1, len(value), [("n", b"1")]
    )


def a_second(event: MemoUploaded, **_: object) -> Memo:
    """Every memo lasts one second."""
    return Memo(event, np.zeros(SAMPLING_RATE, np.float32), QUALITY)


@dataclass
class Said:
    """What people said, by pseudonym."""

    refused: dict[str, str] = field(default_factory=dict)
    looks: int = 0

    async def refresh(self) -> None:
        self.looks += 1

    def refusal(self, user_id: str) -> str | None:
        return self.refused.get(user_id)


@dataclass
class Consumer:
    """Gives what is in `topic`, poll by poll, and nothing from partitions that are paused."""

    topic: list[dict[TopicPartition, list[ConsumerRecord]]] = field(default_factory=list)
    paused: set[TopicPartition] = field(default_factory=set)
    polls: int = 0

    def assignment(self) -> set[TopicPartition]:
        return {FIRST, SECOND}

    async def commit(self, _: object) -> None: ...

    async def fetch_committed_offsets(self, _: object) -> dict[TopicPartition, Any]:
        return {}

    @property
    def _coordinator(self) -> "Consumer":
        return self

    def pause(self, *partitions: TopicPartition) -> None:
        self.paused |= {*partitions}

    def resume(self, *partitions: TopicPartition) -> None:
        self.paused -= {*partitions}

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        self.polls += 1
        await asyncio.sleep(0)
        return {} if self.paused or not self.topic else self.topic.pop(0)


@dataclass
class World:
    """An intake whose partitions are ours."""

    consumer: Consumer
    committer: Committer
    intake: Intake
    tasks: set[asyncio.Task[Any]]
    """That run whether anything loads or not."""

    async def until(self, condition: Callable[[], object]) -> None:
        """Return when the condition holds; the intake is asked again whenever something became ready."""
        async with asyncio.timeout(30):
            while not condition():
                await self.intake.wait(0.01)

    async def polled(self) -> None:
        """Return when the topic was looked at from start to end again."""
        seen = self.consumer.polls
        await self.until(lambda: self.consumer.polls > seen + 1)

    async def loaded(self) -> None:
        """Return when nothing loads any more."""
        await self.until(lambda: not asyncio.all_tasks() - self.tasks)
        await asyncio.sleep(0)

    async def taken(self, count: int) -> list[Item]:
        """The next items, once so many are ready."""
        items: list[Item] = []
        async with asyncio.timeout(30):
            while len(items) < count:
                await self.intake.wait(0.01)
                items += self.intake.take()
        return items


@asynccontextmanager
async def fetching(
    polls: Collection[dict[TopicPartition, list[ConsumerRecord]]],
    load: Load = a_second,
    settings: Settings = SETTINGS,
    *,
    is_open: bool = True,
    said: Said | None = None,
) -> AsyncIterator[World]:
    """A world in which the intake runs."""
    consumer = Consumer([*polls])
    committer = Committer(consumer, "test")
    committer.assigned([FIRST, SECOND])
    with ThreadPoolExecutor(4) as executor:
        intake = Intake(settings, consumer, committer, CODEC, load, executor, "test", said or Said())
        if is_open:
            intake.open()
        running = asyncio.create_task(intake.run())
        try:
            yield World(consumer, committer, intake, asyncio.all_tasks())
        finally:
            intake.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def names(items: Collection[Item]) -> list[Any]:
    return [item.content.event.memo_id if isinstance(item.content, Memo) else item.content.reason for item in items]


async def test_memos_come_loaded_with_their_record_each_user_s_in_order() -> None:
    polls = [{FIRST: [record(FIRST, n, name) for n, name in enumerate(("a1", "b1", "a2"))]}]
    async with fetching(polls) as world:
        items = await world.taken(3)
    assert sorted(names(items)) == ["a1", "a2", "b1"]
    assert names(items).index("a1") < names(items).index("a2")
    source = items[0].source
    assert (source.topic, source.partition, dict(source.headers)) == (TOPIC.name, 0, {"n": b"1"})
    assert {item.source.timestamp_ms - item.source.offset for item in items} == {1000}
    assert [item.audio_s for item in items] == [1.0] * 3


async def test_what_cannot_be_read_is_poison_of_its_own_record() -> None:
    def load(event: MemoUploaded, **_: object) -> Memo:
        if event.memo_id == "b1":
            raise Poison("audio:undecodable", "no decoder reads these bytes")
        return a_second(event)

    polls = [{FIRST: [record(FIRST, 0, "a1", b"garbage"), record(FIRST, 1, "b1"), record(FIRST, 2, "c1")]}]
    async with fetching(polls, load) as world:
        items = await world.taken(3)
    assert sorted(names(items)) == ["audio:undecodable", "c1", "event:undecodable"]
    assert sum(item.audio_s for item in items) == 1.0


async def test_nothing_is_fetched_before_partitions_are_ours() -> None:
    async with fetching([{FIRST: [record(FIRST, 0, "a1")]}], is_open=False) as world:
        await asyncio.sleep(0)
        assert world.consumer.polls == 0
        world.intake.open()
        assert names(await world.taken(1)) == ["a1"]


async def test_a_batch_ends_with_the_memo_that_fills_it() -> None:
    polls = [{FIRST: [record(FIRST, n, name) for n, name in enumerate("abcde")]}]
    async with fetching(polls) as world:
        await world.until(lambda: world.consumer.paused)
        assert len(world.intake.take()) == SETTINGS.batch_audio_s
        assert len(await world.taken(2)) == 2
        assert world.intake.take() == []


async def test_a_batch_of_records_without_audio_is_bounded_too() -> None:
    many = BATCH_RECORDS + 10
    polls = [{FIRST: [record(FIRST, n, f"{n}", b"garbage")]} for n in range(many)]
    async with fetching(polls) as world:
        await world.until(lambda: not world.consumer.topic)
        await world.loaded()
        assert len(world.intake.take()) == BATCH_RECORDS
        assert len(world.intake.take()) == 10


async def test_audio_beyond_the_bound_pauses_partitions_and_polling_goes_on() -> None:
    async with fetching([{FIRST: [record(FIRST, n, name) for n, name in enumerate("abcde")]}]) as world:
        await world.until(lambda: world.consumer.paused == {FIRST, SECOND})
        world.consumer.topic.append({SECOND: [record(SECOND, 0, "z1")]})
        await world.polled()
        assert world.consumer.topic, "what waits on a paused partition is not fetched"
        batch = world.intake.take()
        await world.polled()
        assert world.consumer.topic, "the audio of a batch is in memory until the batch is done"
        world.intake.finished(batch)
        await world.until(lambda: not world.consumer.paused and not world.consumer.topic)


async def test_a_user_whose_memo_stays_unread_stops_the_fetching_in_the_end() -> None:
    polls = [{FIRST: [record(FIRST, 0, "a1")]}]
    async with fetching(polls) as world:
        await world.taken(1)
        world.committer.started(SECOND, range(UNDER_WAY_RECORDS))
        await world.until(lambda: world.consumer.paused)


async def test_many_records_may_load_at_once_but_not_all() -> None:
    gate = threading.Event()

    def load(event: MemoUploaded, **_: object) -> Memo:
        gate.wait(30)
        return a_second(event)

    polls = [{FIRST: [record(FIRST, n, f"{n:03d}")]} for n in range(2 * LOADING_RECORDS)]
    async with fetching(polls, load, SETTINGS.model_copy(update={"inflight_audio_s": 1e9})) as world:
        await world.until(lambda: world.consumer.paused)
        assert len(world.consumer.topic) == LOADING_RECORDS
        gate.set()
        await world.until(lambda: not world.consumer.topic)


async def test_what_was_fetched_from_a_lost_partition_is_forgotten_with_its_audio() -> None:
    async with fetching([{FIRST: [record(FIRST, n, name) for n, name in enumerate("abcde")]}]) as world:
        await world.until(lambda: world.consumer.paused)
        world.intake.drop([FIRST])
        world.committer.revoked([FIRST])
        assert world.intake.take() == []
        world.consumer.topic.append({SECOND: [record(SECOND, 0, "z1")]})
        world.intake.open()
        assert names(await world.taken(1)) == ["z1"]


async def test_nothing_is_fetched_between_losing_a_partition_and_having_the_others() -> None:
    async with fetching([]) as world:
        await world.polled()
        world.intake.drop([FIRST])
        await world.intake.wait(0.01)
        polls = world.consumer.polls
        await world.intake.wait(0.01)
        assert world.consumer.polls == polls
        world.intake.open()
        await world.polled()


async def test_a_closed_intake_holds_nothing() -> None:
    async with fetching([{FIRST: [record(FIRST, 0, "a1")]}]) as world:
        await world.until(lambda: not world.consumer.topic)
        await world.loaded()
        world.intake.close()
        assert world.intake.take() == []


async def test_records_of_a_partition_that_is_not_ours_are_left_to_its_owner() -> None:
    async with fetching([{FIRST: [record(FIRST, 0, "a1")]}, {SECOND: [record(SECOND, 0, "z1")]}]) as world:
        world.committer.revoked([FIRST])
        assert names(await world.taken(1)) == ["z1"]
        assert world.intake.take() == []


async def test_audio_is_read_anew_when_asked() -> None:
    read: list[str] = []

    def load(event: MemoUploaded, **_: object) -> Memo:
        read.append(event.memo_id)
        if len(read) == 1:
            raise Poison("audio:missing", "there is no such object")
        return a_second(event)

    async with fetching([{FIRST: [record(FIRST, 0, "a1")]}], load) as world:
        items = await world.taken(1)
        assert names(items) == ["audio:missing"]
        (again,) = await world.intake.loaded_again(items)
    assert names([again]) == ["a1"]
    assert (again.source, again.tracker) == (items[0].source, items[0].tracker)


async def test_a_memo_that_loading_fails_on_is_poison_and_its_neighbours_are_loaded() -> None:
    attempts: list[str] = []

    def load(event: MemoUploaded, **_: object) -> Memo:
        attempts.append(event.memo_id)
        if event.memo_id == "a1":
            raise ZeroDivisionError
        return a_second(event)

    polls = [{FIRST: [record(FIRST, 0, "a1"), record(FIRST, 1, "a2"), record(FIRST, 2, "b1")]}]
    async with fetching(polls, load) as world:
        items = await world.taken(3)
    assert sorted(names(items)) == ["a2", "b1", "defect:ZeroDivisionError"]
    assert attempts.count("a1") == 2


async def test_a_value_that_was_not_read_is_poison_with_its_reason() -> None:
    unread = Unread.because("event:too_large", "the record is larger than 7 bytes", b"12345678")
    async with fetching([{FIRST: [record(FIRST, 0, "a1", unread)]}]) as world:
        assert names(await world.taken(1)) == ["event:too_large"]


LONG_S = 29 * 60.0


class LongMemos:
    """Loads memos of 29 minutes that hold no memory, and counts the most seconds between reserving and finishing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.held_s = self.most_s = 0.0

    def load(self, event: MemoUploaded, *, reserve: Reserve) -> Memo:
        reserve(LONG_S)
        with self._lock:
            self.held_s += LONG_S
            self.most_s = max(self.most_s, self.held_s)
        return Memo(event, np.broadcast_to(np.float32(0.0), round(LONG_S * SAMPLING_RATE)), QUALITY)

    def finish(self, intake: Intake, items: list[Item]) -> None:
        with self._lock:
            self.held_s -= LONG_S * len(items)
        intake.finished(items)


async def test_memos_larger_than_the_room_proceed_in_turn_each_alone() -> None:
    memos, done = LongMemos(), 0
    polls = [{FIRST: [record(FIRST, n, f"{chr(97 + n % 20)}{n}") for n in range(64)]}]
    async with fetching(polls, memos.load) as world:
        while done < 64:
            items = await world.taken(1)
            assert len(items) == 1
            memos.finish(world.intake, items)
            done += 1
    assert memos.most_s == LONG_S


async def test_a_memo_that_waits_for_its_turn_never_holds_room_that_the_turn_before_needs() -> None:
    first_fails = threading.Semaphore(3)

    def load(event: MemoUploaded, *, reserve: Reserve) -> Memo:
        if event.memo_id == "a0" and first_fails.acquire(blocking=False):
            raise Transient("its storage is away for a moment")
        reserve(4.0)
        return Memo(event, np.zeros(4 * SAMPLING_RATE, np.float32), QUALITY)

    polls = [{FIRST: [record(FIRST, n, f"a{n}") for n in range(6)]}]
    async with fetching(polls, load) as world:
        for n in range(6):
            items = await world.taken(1)
            assert names(items) == [f"a{n}"]
            world.intake.finished(items)


async def test_a_memo_that_waits_for_room_is_given_up_with_its_partition() -> None:
    waiting = threading.Event()

    def load(event: MemoUploaded, *, reserve: Reserve) -> Memo:
        if event.memo_id == "b1":
            waiting.set()
        reserve(4.0)
        return Memo(event, np.zeros(4 * SAMPLING_RATE, np.float32), QUALITY)

    async with fetching([{FIRST: [record(FIRST, 0, "a1")]}], load) as world:
        (held,) = await world.taken(1)
        world.consumer.topic.append({SECOND: [record(SECOND, 0, "b1")]})
        await world.until(waiting.is_set)
        world.intake.drop([SECOND])
        world.committer.revoked([SECOND])
        world.committer.assigned([SECOND])
        world.intake.open()
        world.intake.finished([held])
        world.consumer.topic.append({SECOND: [record(SECOND, 0, "c1")]})
        assert names(await world.taken(1)) == ["c1"]


async def test_a_wait_for_room_is_no_sign_of_a_stuck_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.consumer.fetch.LOAD_WITHIN_S", 1e-9)
    waiting = threading.Event()

    def load(event: MemoUploaded, *, reserve: Reserve) -> Memo:
        if event.memo_id == "b1":
            waiting.set()
        reserve(LONG_S)
        return a_second(event)

    async with fetching([{FIRST: [record(FIRST, 0, "a1")]}], load) as world:
        (held,) = await world.taken(1)
        held.share.settle(LONG_S)
        world.consumer.topic.append({SECOND: [record(SECOND, 0, "b1")]})
        await world.until(waiting.is_set)
        await world.until(lambda: not [fault for fault in HEALTH.faults() if fault.startswith("loading")])
        world.intake.finished([held])
        assert names(await world.taken(1)) == ["b1"]


async def test_records_of_many_bytes_are_fetched_until_their_bound() -> None:
    large = bytes(FETCHED_BYTES // 4)
    polls = [{FIRST: [record(FIRST, n, f"{n}", large)]} for n in range(8)]
    async with fetching(polls) as world:
        await world.until(lambda: world.consumer.paused)
        assert len(world.consumer.topic) >= 2, "the rest waits on its paused partition"
        while world.consumer.topic:
            await world.loaded()
            world.intake.finished(world.intake.take())


async def test_nothing_is_loaded_of_somebody_who_does_not_consent_and_each_memo_is_looked_up() -> None:
    loaded: list[str] = []

    def load(event: MemoUploaded, **_: object) -> Memo:
        loaded.append(event.memo_id)
        return a_second(event)

    said = Said({"a": "consent:paused"})
    polls = [{FIRST: [record(FIRST, n, name) for n, name in enumerate(("a1", "b1", "a2"))]}]
    async with fetching(polls, load, said=said) as world:
        items = await world.taken(3)
    assert loaded == ["b1"]
    contents = [item.content for item in items]
    unheard = [each for each in contents if isinstance(each, Unheard)]
    assert {(each.event.memo_id, each.reason) for each in unheard} == {
        ("a1", "consent:paused"),
        ("a2", "consent:paused"),
    }
    assert said.looks == 3
