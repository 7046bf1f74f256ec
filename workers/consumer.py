"""The loop of a heavy hop: fetch → load → settle → deliver → commit.

Fetching and loading go on while the stage works; the event loop never waits for either. Within a partition, and so for
every user, memos are worked on in their order. A record's offset is committed only after everything it led to was
acknowledged by the broker, and never past one that was not. Loaded audio is bounded by its length in seconds; beyond
the bound partitions are paused, and polling goes on, so that the group keeps the member.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from prometheus_client import Gauge

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.errors import Poison
from schemas.events import MemoFeatures, MemoUploaded
from schemas.settings import Settings
from workers import instruments
from workers.dead_letters import DeadLetterCap, Source
from workers.delivery import Delivery, Outgoing
from workers.health import BROKER_WITHIN_S, HEALTH
from workers.kafka import make_consumer, make_producer
from workers.lanes import Lanes
from workers.memo import Memo
from workers.offsets import OffsetTracker
from workers.retries import until_it_succeeds
from workers.stage import Outcome, Stage, settle

log = logging.getLogger(__name__)

Load = Callable[[MemoUploaded], Memo]
LOADERS = 4
"""Memos read and decoded at the same time."""
FETCHED_RECORDS = 64
"""Records that may wait for their audio; how long it is, is not known before it is read."""
BATCH_RECORDS = 256
"""Records in one batch: those that cannot be read have no length that would bound it."""
COMMIT_INTERVAL_S = 0.5


LOAD_WITHIN_S = 120.0
"""To read and decode one memo, all attempts together; beyond it the worker counts as stuck."""
SLOWEST = 0.1
"""Seconds that a stage may need for a second of audio before it tells of progress."""


@dataclass(frozen=True, slots=True)
class Item:
    """A fetched record on its way through the loop; `content` is its memo once loaded, or why there is none."""

    source: Source
    tracker: OffsetTracker
    content: Memo | Poison
    written_at: float = 0.0
    """Unix time at which the broker took the record."""

    @property
    def audio_s(self) -> float:
        """Seconds of audio that it holds in memory."""
        return self.content.duration_s if isinstance(self.content, Memo) else 0.0


class Worker(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One process of one heavy hop. `async with Worker(...) as worker: await worker.run()`.

    stage: what to do with memos; load: reads and decodes the audio of an event (raises Poison, Transient);
    owns_input: whether this hop writes the dead letters of memos that no hop can read, so that each is written once.
    """

    def __init__(
        self, settings: Settings, stage: Stage[Memo, MemoFeatures], load: Load, codec: Codec, *, owns_input: bool
    ) -> None:
        self._settings, self._stage, self._load, self._codec = settings, stage, load, codec
        self._owns_input = owns_input
        self._cap = DeadLetterCap(
            settings.dead_letter_max_share, settings.dead_letter_window, settings.dead_letter_max_run
        )
        self._trackers: dict[TopicPartition, OffsetTracker] = {}
        self._inflight_s = 0.0
        self._stopping = asyncio.Event()
        self._idle = asyncio.Event()
        self._committed_at = 0.0
        self._working, self._fetching = HEALTH.part(stage.name), HEALTH.part("fetching")

    async def __aenter__(self) -> Self:
        """Connect and join the group."""
        self._lanes: Lanes[Item] = Lanes()
        async with AsyncExitStack() as exits:
            exits.callback(self._stage.close)
            self._loader = _executor(exits, LOADERS, "load")
            self._performer = _executor(exits, 1, self._stage.name)
            producer = make_producer(self._settings)
            exits.push_async_callback(producer.stop)
            await producer.start()
            self._delivery = Delivery(producer, self._codec, self._stage.name)
            self._consumer = make_consumer(self._settings, group=f"undertone-{self._stage.name}")
            exits.push_async_callback(self._consumer.stop)
            self._consumer.subscribe([topics.UPLOADED.name], listener=self)
            await self._consumer.start()
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave the group; what was not delivered comes again."""
        await self._exits.aclose()

    def stop(self) -> None:
        """Ask the loop to end: nothing new is begun; what the stage works on is finished, delivered and committed."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until asked to stop. Raises Stop, and any defect, with nothing of the batch under way committed."""
        fetching = asyncio.create_task(self._fetch_forever())
        working = asyncio.create_task(self._work_until_stopped())
        asked = asyncio.create_task(self._stopping.wait())
        tasks = (fetching, working, asked)
        try:
            ends: set[asyncio.Future[Any]] = {*tasks, self._lanes.failed}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set():
                await asyncio.wait({working}, timeout=self._settings.stop_deadline_s)
        finally:
            self._lanes.drop_all()
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            self._working.rest()
            self._fetching.rest()
        if self._lanes.failed.done():
            self._lanes.failed.result()
        for failure in results:
            if isinstance(failure, Exception):
                raise failure

    # Fetching and loading

    async def _fetch_forever(self) -> None:
        paused = False
        self._fetching.begin("its next look at the topic", needs=("broker",))
        while True:
            self._fetching.progress()
            if paused == self._has_room():
                paused = not paused
                partitions = self._consumer.assignment()
                (self._consumer.pause if paused else self._consumer.resume)(*partitions)
                self._gauge(instruments.PARTITIONS_PAUSED, len(partitions) if paused else 0)
            fetched = await self._consumer.getmany(timeout_ms=100, max_records=FETCHED_RECORDS)
            for partition, records in fetched.items():
                tracker = self._trackers.setdefault(partition, OffsetTracker())
                tracker.started(record.offset for record in records)
                instruments.RECORDS_IN.labels(stage=self._stage.name).inc(len(records))
                for record in records:
                    self._lanes.begin(partition, self._load_one(record, tracker))

    def _has_room(self) -> bool:
        return self._lanes.loading < FETCHED_RECORDS and self._inflight_s < self._settings.inflight_audio_s

    async def _load_one(self, record: Any, tracker: OffsetTracker) -> Item:
        headers = dict(record.headers or ())
        source = Source(record.topic, record.partition, record.offset, record.key, record.value, headers)
        loop = asyncio.get_running_loop()
        content: Memo | Poison
        try:
            content = await until_it_succeeds(
                lambda: loop.run_in_executor(self._loader, self._read, source.value),
                stage=self._stage.name,
                target="storage",
            )
        except DecodeError as error:
            content = Poison("event:undecodable", str(error))
        except Poison as poison:
            content = poison
        item = Item(source, tracker, content, record.timestamp / 1000)
        self._holds(item.audio_s)
        return item

    def _read(self, value: bytes | None) -> Memo:
        """Decode and load. In a thread, and again after Transient: a schema registry may be asked, and be away."""
        with HEALTH.during("loading", "a memo", within_s=LOAD_WITHIN_S):
            return self._load(self._codec.decode(value, MemoUploaded))

    def _holds(self, audio_s: float) -> None:
        self._inflight_s += audio_s
        instruments.INFLIGHT_AUDIO.labels(stage=self._stage.name).set(max(self._inflight_s, 0.0))

    # Working and delivering

    async def _work_until_stopped(self) -> None:
        while not self._stopping.is_set():
            self._idle.set()
            self._working.rest()
            batch = await self._next_batch()
            self._idle.clear()
            if batch:
                await self._finish(batch)
            self._working.begin("committing", within_s=BROKER_WITHIN_S, needs=("broker",))
            self._gauge(instruments.LAST_PROGRESS, time.time())
            self._gauge(instruments.INFLIGHT_RECORDS, sum(map(len, self._trackers.values())))
            if time.monotonic() - self._committed_at >= COMMIT_INTERVAL_S:
                await self._commit()
        await self._commit()

    async def _next_batch(self) -> list[Item]:
        """What is ready now, in the order of its partition, up to the bound on audio; waits a moment for the first."""
        batch: list[Item] = []
        seconds = 0.0
        while seconds < self._settings.batch_audio_s and len(batch) < BATCH_RECORDS:
            item = self._lanes.take()
            if item is None:
                break
            batch.append(item)
            seconds += item.audio_s
        if not batch:
            await self._lanes.wait(COMMIT_INTERVAL_S)
        self._holds(-seconds)
        return batch

    async def _finish(self, batch: list[Item]) -> None:
        outcomes = await self._settle(batch)
        for outcome in outcomes:
            self._cap.record(poisoned=isinstance(outcome, Poison))
        self._gauge(instruments.DEAD_LETTER_SHARE, self._cap.share)
        outgoing = self._outgoing(batch, outcomes)
        await until_it_succeeds(lambda: self._delivery.send(outgoing), stage=self._stage.name, target="broker")
        instruments.RECORDS_OUT.labels(stage=self._stage.name).inc(len(outgoing))
        for item in batch:
            item.tracker.finished(item.source.offset)
        self._observe_delivered(batch)

    def _observe_delivered(self, batch: list[Item]) -> None:
        now = time.time()
        for memo in (item.content for item in batch if isinstance(item.content, Memo)):
            instruments.observe_latency(self._stage.name, memo.event.recorded_at, memo.event.uploaded_at, now)

    def _gauge(self, gauge: Gauge, value: float) -> None:
        gauge.labels(stage=self._stage.name).set(value)

    async def _settle(self, batch: list[Item]) -> list[Outcome[MemoFeatures]]:
        memos = [item.content for item in batch if isinstance(item.content, Memo)]
        loop = asyncio.get_running_loop()
        began = time.perf_counter()

        def attempt() -> asyncio.Future[list[Outcome[MemoFeatures]]]:
            self._working.begin("a batch", within_s=batch_within_s(memos))
            return loop.run_in_executor(self._performer, settle, self._stage, memos)

        settled = await until_it_succeeds(attempt, stage=self._stage.name, target="storage")
        took_s, audio_s = time.perf_counter() - began, sum(item.audio_s for item in batch)
        instruments.STAGE_DURATION.labels(stage=self._stage.name).observe(took_s)
        instruments.AUDIO_SECONDS.labels(stage=self._stage.name).inc(audio_s)
        instruments.BATCH_FILL.labels(stage=self._stage.name).observe(audio_s / self._settings.batch_audio_s)
        if audio_s:
            self._gauge(instruments.REAL_TIME_FACTOR, took_s / audio_s)
        remaining = iter(settled)
        return [next(remaining) if isinstance(item.content, Memo) else item.content for item in batch]

    def _outgoing(self, batch: list[Item], outcomes: list[Outcome[MemoFeatures]]) -> list[Outgoing]:
        failures, outgoing = [], []
        for item, outcome in zip(batch, outcomes, strict=True):
            if not isinstance(outcome, Poison):
                outgoing += [_features(features, item.source) for features in outcome]
                continue
            instruments.RECORDS_FAILED.labels(stage=self._stage.name).inc()
            if self._owns_input or isinstance(item.content, Memo):
                failures.append((item.source, outcome))
        return outgoing + self._delivery.dead_letters(failures)

    # Committing

    async def _commit(self) -> None:
        self._committed_at = time.monotonic()
        positions = {p: t.committable() for p, t in self._trackers.items()}
        due = {p: position for p, position in positions.items() if position is not None}
        if not due:
            return
        outcome = "failed"
        try:
            await self._consumer.commit(due)
            outcome = "ok"
        except (CommitFailedError, IllegalStateError):
            log.info("a commit came after the partitions had moved on; their new owner repeats the work")
        except KafkaError as error:
            if not error.retriable:
                raise
            log.warning("a commit failed and is tried again: %s", type(error).__name__)
        else:
            for partition, position in due.items():
                if partition in self._trackers:
                    self._trackers[partition].committed(position)
        finally:
            instruments.COMMITS.labels(stage=self._stage.name, outcome=outcome).inc()

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Finish the batch under way, within the deadline, and commit; what waits on these partitions comes again."""
        if not revoked:
            return
        instruments.REBALANCES.labels(stage=self._stage.name).inc()
        for partition in revoked:
            self._holds(-sum(item.audio_s for item in self._lanes.drop(partition)))
        try:
            async with asyncio.timeout(self._settings.stop_deadline_s):
                await self._idle.wait()
        except TimeoutError:
            log.warning("partitions were taken away before their batch had finished; it comes again")
        await self._commit()
        for partition in revoked:
            self._trackers.pop(partition, None)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Start afresh on these partitions, from what was committed."""
        HEALTH.has("partitions")
        for partition in assigned:
            self._trackers[partition] = OffsetTracker()
        self._gauge(instruments.PARTITIONS_ASSIGNED, len(self._consumer.assignment()))


def batch_within_s(memos: Collection[Memo]) -> float:
    """Seconds within which a batch must tell of progress: the longest memo may be worked on in one piece."""
    return HEALTH.stuck_after_s + SLOWEST * max((memo.duration_s for memo in memos), default=0.0)


def _features(features: MemoFeatures, source: Source) -> Outgoing:
    return Outgoing(topics.FEATURES, features.user_id.encode(), features, source)


def _executor(exits: AsyncExitStack, threads: int, name: str) -> Executor:
    executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
    exits.callback(executor.shutdown, wait=False, cancel_futures=True)
    return executor
