"""The loop of a heavy hop over a real Kafka connection, with a stage that costs nothing."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from schemas import topics
from schemas.codec import Codec
from schemas.errors import DeadLetterCapReached, Poison, Stop, Transient
from schemas.event_enums import ConsentState
from schemas.events import Consent, DeadLetter, Extractor, MemoFeatures, MemoUploaded, Modality, Quality
from schemas.pipeline import ACOUSTIC
from schemas.settings import Settings
from tests.servers import Broker
from workers.audio.memo import SAMPLING_RATE, Memo
from workers.consumer.fetch import Load
from workers.consumer.stage import Outcome
from workers.consumer.worker import Worker
from workers.kafka.clients import make_producer
from workers.kafka.consumer_lag import Observer
from workers.kafka.topic_reader import follow
from workers.service import prometheus

CODEC = Codec()
MOMENT = datetime(2026, 5, 1, 8, tzinfo=UTC)
QUALITY = Quality(1.0, 30.0, 0.0, 8000.0)
Fault = Callable[[Sequence[Memo]], None]


class CheapStage:
    """Features of one number. `fault` may raise before a batch is processed; bad memos are poison."""

    name = "acoustic"
    device = "none"

    def __init__(self, fault: Fault = lambda _: None) -> None:
        self.extractors = {Modality.ACOUSTIC: Extractor("cheap", "1", "0")}
        self.fault = fault
        self.processed: Counter[str] = Counter()

    def process(self, batch: Sequence[Memo]) -> Sequence[Outcome[MemoFeatures]]:
        self.fault(batch)
        self.processed.update(memo.event.memo_id for memo in batch)
        return [self._outcome(memo) for memo in batch]

    def close(self) -> None: ...

    def is_bad(self, memo_id: str) -> bool:
        return memo_id.startswith("bad")

    def _outcome(self, memo: Memo) -> Outcome[MemoFeatures]:
        event = memo.event
        if self.is_bad(event.memo_id):
            return Poison("acoustic:bad", "this memo is bad on purpose")
        extractor, one = self.extractors[Modality.ACOUSTIC], np.ones((1, 1), np.float32)
        return [
            MemoFeatures(
                event.memo_id, event.user_id, event.recorded_at, event.uploaded_at, Modality.ACOUSTIC, extractor,
                memo.duration_s, 15.0, one, one[0], ("one",), memo.quality,
            )
        ]  # fmt: skip


class PreparingStage(CheapStage):
    """The same, with something to prepare."""

    left = 3

    def prepare(self) -> bool:
        self.left -= 1
        return self.left > 0


class TwofoldStage(CheapStage):
    """The same, in two modalities: one worker gives both."""

    def process(self, batch: Sequence[Memo]) -> Sequence[Outcome[MemoFeatures]]:
        return [
            outcome if isinstance(outcome, Poison) else [*outcome, replace(outcome[0], modality=Modality.EMBEDDING)]
            for outcome in super().process(batch)
        ]


class OverlappingStage(CheapStage):
    """The same, two batches at once; those of slow memos take longer."""

    at_once = 2

    def __init__(self, fault: Fault = lambda _: None) -> None:
        super().__init__(fault)
        self.most, self._under_way, self._turn = 0, 0, threading.Lock()

    def process(self, batch: Sequence[Memo]) -> Sequence[Outcome[MemoFeatures]]:
        with self._turn:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
        time.sleep(0.3 if any(memo.event.memo_id.startswith("slow") for memo in batch) else 0.02)
        with self._turn:
            self._under_way -= 1
        return super().process(batch)


class MendedStage(CheapStage):
    """The same after the fix."""

    def is_bad(self, memo_id: str) -> bool:
        return False


def load(event: MemoUploaded, **_: object) -> Memo:
    if event.memo_id.startswith("unreadable"):
        raise Poison("audio:undecodable", "no audio")
    return Memo(event, np.zeros(SAMPLING_RATE, np.float32), QUALITY)


def event(memo_id: str, user: str = "u") -> MemoUploaded:
    return MemoUploaded(memo_id, user, MOMENT, MOMENT, "memory://a")


@pytest.fixture
def settings(broker: Broker) -> Settings:
    broker.create(*(topic.name for topic in topics.TOPICS))
    return Settings.load(
        kafka_bootstrap=broker.bootstrap, session_timeout_s=6.0, stop_deadline_s=5.0, dead_letter_back_off_s=0.1
    )


async def upload(settings: Settings, *values: bytes | MemoUploaded, timestamp_ms: int | None = None) -> None:
    producer: AIOKafkaProducer = make_producer(settings)
    await producer.start()
    try:
        for number, value in enumerate(values):
            data = value if isinstance(value, bytes) else CODEC.encode(value)
            key = f"user-{number % 5}".encode()
            await producer.send_and_wait(topics.UPLOADED.name, data, key, timestamp_ms=timestamp_ms)
    finally:
        await producer.stop()


@asynccontextmanager
async def working(
    settings: Settings, stage: CheapStage, *, owns_input: bool = True, load: Load = load
) -> AsyncIterator[Awaitable[None]]:
    async with Worker(settings, stage, load, CODEC, owns_input=owns_input) as worker:
        run = asyncio.create_task(worker.run())
        try:
            yield run
        finally:
            worker.stop()
            await asyncio.gather(run, return_exceptions=True)


async def everything(settings: Settings, topic: topics.Topic) -> list[Any]:
    return [r async for r in follow(settings, CODEC, topic, topic.record, from_start=True, once=True)]


async def caught_up(settings: Settings) -> None:
    """Wait until the group has committed every upload."""
    async with Observer(settings) as observer:
        while await observer.backlog(ACOUSTIC.group, topics.UPLOADED.name):
            await asyncio.sleep(0.05)


async def first_of(*works: Awaitable[None]) -> None:
    """Wait until one of them is done, and raise what it raises."""
    tasks = [asyncio.ensure_future(work) for work in works]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def test_every_memo_leads_to_its_features_and_is_committed_and_the_stage_prepares_beside(
    settings: Settings,
) -> None:
    await upload(settings, *(event(f"memo-{n}") for n in range(40)))
    stage = PreparingStage()
    async with working(settings, stage):
        await caught_up(settings)
        while stage.left > 0:
            await asyncio.sleep(0.01)
    assert stage.left == 0, "asked again once nothing was left"
    features = await everything(settings, topics.FEATURES)
    assert Counter(f.memo_id for f in features) == Counter(f"memo-{n}" for n in range(40))


@pytest.mark.parametrize("wanted", [("acoustic", "embedding"), ("embedding",)])
async def test_one_worker_gives_the_modalities_of_its_stage_that_are_asked_for(
    settings: Settings, wanted: tuple[str, ...]
) -> None:
    await upload(settings, event("memo-1"), event("bad"), event("memo-2"))
    asked = settings.model_copy(update={"modalities": tuple(map(Modality, wanted))})
    async with working(asked, TwofoldStage()):
        await caught_up(settings)
    features = await everything(settings, topics.FEATURES)
    assert {(f.memo_id, f.modality) for f in features} == {(f"memo-{n}", m) for n in (1, 2) for m in wanted}
    assert [letter.reason for letter in await everything(settings, topics.DEAD)] == ["acoustic:bad"]


async def test_what_cannot_be_read_or_processed_becomes_a_dead_letter_alone(settings: Settings) -> None:
    garbage = b"this is no Avro"
    await upload(settings, event("memo-1"), garbage, event("bad"), event("unreadable"), event("memo-2"))
    async with working(settings, CheapStage()):
        await caught_up(settings)
    letters: list[DeadLetter] = await everything(settings, topics.DEAD)
    assert sorted(letter.reason for letter in letters) == ["acoustic:bad", "audio:undecodable", "event:undecodable"]
    assert {letter.value for letter in letters} == {
        garbage,
        CODEC.encode(event("bad")),
        CODEC.encode(event("unreadable")),
    }
    assert sorted(f.memo_id for f in await everything(settings, topics.FEATURES)) == ["memo-1", "memo-2"]


async def test_a_memo_that_no_hop_can_read_is_a_dead_letter_of_one_hop_only(settings: Settings) -> None:
    await upload(settings, event("unreadable"), event("bad"))
    async with working(settings, CheapStage(), owns_input=False):
        await caught_up(settings)
    assert [letter.reason for letter in await everything(settings, topics.DEAD)] == ["acoustic:bad"]


async def test_a_transient_failure_makes_the_partition_wait_and_loses_nothing(settings: Settings) -> None:
    failures = iter([True, True, False])

    def fault(_: Sequence[Memo]) -> None:
        if next(failures, False):
            raise Transient("storage is away")

    await upload(settings, *(event(f"memo-{n}") for n in range(5)))
    stage = CheapStage(fault)
    async with working(settings, stage):
        await caught_up(settings)
    assert {f.memo_id for f in await everything(settings, topics.FEATURES)} == {f"memo-{n}" for n in range(5)}
    assert set(stage.processed.values()) == {1}


async def test_a_stop_ends_the_worker_and_its_batch_comes_again(settings: Settings) -> None:
    def fault(_: Sequence[Memo]) -> None:
        raise Stop("on purpose")

    await upload(settings, *(event(f"memo-{n}") for n in range(5)))
    async with working(settings, CheapStage(fault)) as run:
        with pytest.raises(Stop, match="on purpose"):
            await run
    assert await everything(settings, topics.FEATURES) == []
    async with working(settings, CheapStage()):
        await caught_up(settings)
    assert {f.memo_id for f in await everything(settings, topics.FEATURES)} == {f"memo-{n}" for n in range(5)}


async def test_a_memo_that_the_stage_fails_on_becomes_a_dead_letter_alone(settings: Settings) -> None:
    def fault(batch: Sequence[Memo]) -> None:
        if any(memo.event.memo_id == "memo-3" for memo in batch):
            raise RuntimeError("a defect")

    await upload(settings, *(event(f"memo-{n}") for n in range(7)))
    stage = CheapStage(fault)
    async with working(settings, stage):
        await caught_up(settings)
    (letter,) = await everything(settings, topics.DEAD)
    assert (letter.reason, CODEC.decode(letter.value, MemoUploaded).memo_id) == ("defect:RuntimeError", "memo-3")
    others = {f"memo-{n}" for n in range(7)} - {"memo-3"}
    assert {f.memo_id for f in await everything(settings, topics.FEATURES)} == others
    assert set(stage.processed) == others


async def test_features_that_the_broker_does_not_take_are_a_dead_letter_of_their_memo(settings: Settings) -> None:
    class Verbose(CheapStage):
        def _outcome(self, memo: Memo) -> Outcome[MemoFeatures]:
            outcome = super()._outcome(memo)
            if memo.event.memo_id != "memo-1" or isinstance(outcome, Poison):
                return outcome
            return [replace(outcome[0], summary=np.zeros(2_500_000, np.float32), names=())]

    await upload(settings, *(event(f"memo-{n}") for n in range(3)))
    async with working(settings, Verbose()):
        await caught_up(settings)
    (letter,) = await everything(settings, topics.DEAD)
    assert letter.reason == "result:refused"
    assert CODEC.decode(letter.value, MemoUploaded).memo_id == "memo-1"
    assert {f.memo_id for f in await everything(settings, topics.FEATURES)} == {"memo-0", "memo-2"}


async def test_a_stage_that_fails_on_everybody_stops_at_the_cap(settings: Settings) -> None:
    def fault(_: Sequence[Memo]) -> None:
        raise RuntimeError("a defect")

    strict = settings.model_copy(update={"dead_letter_max_run": 2})
    await upload(settings, *(event(f"memo-{n}", f"user-{n}") for n in range(5)))
    async with working(strict, CheapStage(fault)) as run:
        with pytest.raises(DeadLetterCapReached):
            await run
    assert len(await everything(settings, topics.DEAD)) <= strict.dead_letter_max_run


async def test_too_many_dead_letters_stop_the_worker_before_it_commits(settings: Settings) -> None:
    strict = settings.model_copy(update={"dead_letter_max_run": 2})
    await upload(settings, *(event(f"bad-{n}") for n in range(12)))
    async with working(strict, CheapStage()) as run:
        with pytest.raises(DeadLetterCapReached):
            await run
    async with Observer(settings) as observer:
        committed = await observer.positions(ACOUSTIC.group, topics.UPLOADED.name)
    letters = len(await everything(settings, topics.DEAD))
    assert sum(committed.values()) <= letters < 12


async def test_half_of_all_poison_stops_the_worker_and_nothing_good_is_lost_after_the_fix(settings: Settings) -> None:
    way = [event(f"{'bad' if n % 2 else 'good'}-{n:03d}") for n in range(300)]
    await upload(settings, *way)
    async with working(settings, CheapStage()) as run:
        with pytest.raises(DeadLetterCapReached, match="UNDERTONE_DEAD_LETTER_MAX_SHARE"):
            await run
    letters = await everything(settings, topics.DEAD)
    assert len(letters) < 100
    async with working(settings, MendedStage()):
        await caught_up(settings)
    delivered = {f.memo_id for f in await everything(settings, topics.FEATURES)}
    assert delivered | {CODEC.decode(each.value, MemoUploaded).memo_id for each in letters} == {e.memo_id for e in way}
    assert {e.memo_id for e in way if e.memo_id.startswith("good")} <= delivered


async def test_a_fault_that_passes_in_time_leaves_no_dead_letter(settings: Settings) -> None:
    """The store refuses everything for a while: the cap is passed, one record is tried again, and all go on."""
    refusals = iter([True] * 25)

    def refusing(event: MemoUploaded, **_: object) -> Memo:
        if next(refusals, False):
            raise Poison("audio:refused", "no right to read this")
        return load(event)

    await upload(settings, *(event(f"memo-{n}") for n in range(25)))
    strict = settings.model_copy(update={"dead_letter_max_run": 2})
    async with working(strict, CheapStage(), load=refusing) as run:
        await first_of(run, caught_up(settings))
    letters = await everything(settings, topics.DEAD)
    features = await everything(settings, topics.FEATURES)
    assert len(letters) <= 2 * 3
    assert len({f.memo_id for f in features}) + len(letters) == 25


async def test_a_memo_that_is_slow_to_read_holds_up_nobody_but_its_user(settings: Settings) -> None:
    released = threading.Event()

    def slow(event: MemoUploaded, **_: object) -> Memo:
        if event.memo_id == "slow":
            released.wait(20)
        return load(event)

    await upload(settings, event("slow"), *(event(f"memo-{n}") for n in range(1, 20)))  # of five users
    async with working(settings, CheapStage(), load=slow):
        while len(done := {f.memo_id for f in await everything(settings, topics.FEATURES)}) < 16:
            await asyncio.sleep(0.05)
        assert "slow" not in done
        released.set()
        await caught_up(settings)


async def test_work_that_takes_longer_than_the_poll_interval_and_the_session_keeps_the_partitions(
    settings: Settings,
) -> None:
    """Fetching and heartbeats go on beside the stage: one batch, processed once, committed by the same member."""
    impatient = settings.model_copy(update={"max_poll_interval_s": 1.0, "session_timeout_s": 4.0})
    await upload(settings, *(event(f"memo-{n}") for n in range(5)))
    stage = CheapStage(lambda _: time.sleep(5.0))
    async with working(impatient, stage):
        await caught_up(settings)
    assert set(stage.processed.values()) == {1}
    assert len(await everything(settings, topics.FEATURES)) == 5


async def test_stopping_finishes_the_batch_under_way_and_commits_it(settings: Settings) -> None:
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def fault(_: Sequence[Memo]) -> None:
        loop.call_soon_threadsafe(begun.set)
        time.sleep(0.5)

    await upload(settings, event("memo"))
    async with Worker(settings, CheapStage(fault), load, CODEC, owns_input=True) as worker:
        run = asyncio.create_task(worker.run())
        await begun.wait()
        worker.stop()
        await run
    assert [f.memo_id for f in await everything(settings, topics.FEATURES)] == ["memo"]
    async with Observer(settings) as observer:
        positions = await observer.positions(ACOUSTIC.group, topics.UPLOADED.name)
    assert sum(positions.values()) == 1
    assert all(isinstance(at, TopicPartition) for at in positions)


async def test_a_users_memos_keep_their_order_however_long_each_takes_to_load(settings: Settings) -> None:
    def slow_at_first(event: MemoUploaded, **_: object) -> Memo:
        time.sleep(0.3 if event.memo_id.endswith("0") else 0.0)
        return load(event)

    producer = make_producer(settings)
    await producer.start()
    for number in range(30):
        await producer.send_and_wait(topics.UPLOADED.name, CODEC.encode(event(f"memo-{number:02d}")), b"one")
    await producer.stop()
    async with Worker(settings, CheapStage(), slow_at_first, CODEC, owns_input=True) as worker:
        run = asyncio.create_task(worker.run())
        await caught_up(settings)
        worker.stop()
        await run
    delivered = [f.memo_id for f in await everything(settings, topics.FEATURES)]
    assert delivered == [f"memo-{number:02d}" for number in range(30)]


async def test_batches_at_once_are_delivered_in_the_order_in_which_they_were_begun(settings: Settings) -> None:
    memos = [event(f"{'slow' if number % 4 == 0 else 'memo'}-{number:02d}") for number in range(20)]
    async with make_producer(settings) as producer:
        for each in memos:
            await producer.send_and_wait(topics.UPLOADED.name, CODEC.encode(each), b"one")
    stage = OverlappingStage()
    async with working(settings.model_copy(update={"batch_audio_s": 2.0}), stage):
        await caught_up(settings)
    assert stage.most == 2
    assert [f.memo_id for f in await everything(settings, topics.FEATURES)] == [each.memo_id for each in memos]
    assert set(stage.processed.values()) == {1}


async def test_a_stop_commits_nothing_of_the_batch_that_came_after_it(settings: Settings) -> None:
    def fault(batch: Sequence[Memo]) -> None:
        if any(memo.event.memo_id == "slow" for memo in batch):
            raise Stop("on purpose")

    async with make_producer(settings) as producer:
        for name in ("slow", "after"):
            await producer.send_and_wait(topics.UPLOADED.name, CODEC.encode(event(name)), b"one")
    one_each = settings.model_copy(update={"batch_audio_s": 1.0})
    async with working(one_each, OverlappingStage(fault)) as run:
        with pytest.raises(Stop, match="on purpose"):
            await run
    assert await everything(settings, topics.FEATURES) == []
    async with working(one_each, OverlappingStage()):
        await caught_up(settings)
    assert [f.memo_id for f in await everything(settings, topics.FEATURES)] == ["slow", "after"]


async def test_nothing_is_read_of_somebody_who_paused_and_the_memo_is_settled_without_a_dead_letter(
    settings: Settings,
) -> None:
    """Said and acknowledged before the memos: no worker opens them; what comes after it was given again is read."""

    async def say(state: ConsentState) -> None:
        producer: AIOKafkaProducer = make_producer(settings)
        await producer.start()
        try:
            said = Consent("c", "ann", MOMENT, state, "local")
            await producer.send_and_wait(topics.CONSENTS.name, CODEC.encode(said), b"ann")
        finally:
            await producer.stop()

    opened: list[str] = []

    def noting(event: MemoUploaded, **options: object) -> Memo:
        opened.append(event.memo_id)
        return load(event, **options)

    unread = prometheus.MEMOS_UNREAD.labels(stage="acoustic", reason="paused")
    before = unread._value.get()
    async with working(settings, CheapStage(), load=noting):
        await upload(settings, event("first", "ann"))
        await caught_up(settings)
        await say(ConsentState.PAUSED)
        await upload(settings, event("second", "ann"), event("third", "bob"))
        await caught_up(settings)
        await say(ConsentState.GIVEN)
        await upload(settings, event("fourth", "ann"))
        await caught_up(settings)
    assert sorted(opened) == ["first", "fourth", "third"]
    features = {record.memo_id: record for record in await everything(settings, topics.FEATURES)}
    assert features.keys() == {"first", "second", "third", "fourth"}
    assert features["second"].quality.reasons == ("consent:paused",)
    assert features["second"].summary.size == 0
    assert unread._value.get() == before + 1
    assert await everything(settings, topics.DEAD) == []
