"""The loop of a feature worker: fetch → load → process → deliver → commit.

Fetching and loading continue while the stage works; neither blocks the event loop. Each user's memos are processed in
order. A record's offset is committed only after the broker acknowledged all its results, and never past one without.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Collection, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Gauge

from schemas import topics
from schemas.codec import Codec
from schemas.errors import Poison
from schemas.events import MemoFeatures, Modality
from schemas.pipeline import feature_stage
from schemas.reasons import CONSENT
from schemas.settings import Settings
from workers.audio.memo import Memo
from workers.consumer.circuit_breaker import CircuitBreaker, Settled
from workers.consumer.commit import Committer
from workers.consumer.consents import open_consents
from workers.consumer.fetch import Intake, Item, Load
from workers.consumer.isolation import isolated, of_record
from workers.consumer.stage import Names, Outcome, Overlaps, Prepares, Stage, settle
from workers.consumer.unheard import Unheard
from workers.kafka.authorization_errors import must_see, refusal, refusals_stop
from workers.kafka.clients import make_consumer, make_producer
from workers.kafka.connect import started, stopped
from workers.kafka.dead_letters import DeadLetterCap
from workers.kafka.producer import Delivery, Outgoing
from workers.kafka.record import Source
from workers.service import prometheus
from workers.service.health import BROKER_WITHIN_S, HEALTH
from workers.service.retry import retry_transient
from workers.service.shutdown import SHUTDOWN

log = logging.getLogger(__name__)

LOADERS = 4
"""Memos read and decoded concurrently."""
RELEASE_S = 1.0
"""Timeout of removing marks at the end."""
IDLE_S = 0.5
"""Seconds between two iterations while no record is ready."""
SLOWEST = 0.1
"""Maximum seconds per second of audio before a stage reports progress."""

Done: TypeAlias = Settled[Item, MemoFeatures]


@dataclass(frozen=True, slots=True)
class InFlight:
    """A batch that the stage is processing."""

    batch: list[Item]
    settling: asyncio.Task[list[Done]]


class Worker(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One process of a feature worker. `async with Worker(...) as worker: await worker.run()`.

    stage: processes memos; load: reads and decodes the audio of an event (raises Poison, Transient); owns_input:
    whether this worker writes the dead letters of unreadable memos, so that each is written once.
    """

    def __init__(
        self, settings: Settings, stage: Stage[Memo, MemoFeatures], load: Load, codec: Codec, *, owns_input: bool
    ) -> None:
        self._settings, self._stage, self._load, self._codec = settings, stage, load, codec
        self._owns_input = owns_input
        self._breaker = CircuitBreaker(DeadLetterCap.of(settings), settings.dead_letter_back_off_s)
        self._stopping = asyncio.Event()
        self._idle = asyncio.Event()
        self._ended = 0.0
        self._unprepared = stage if isinstance(stage, Prepares) else None
        self._at_once = stage.at_once if isinstance(stage, Overlaps) else 1
        self._working = HEALTH.part(stage.name)
        self._gives = modalities_of(stage)

    async def __aenter__(self) -> Self:
        """Connect and join the group."""
        async with AsyncExitStack() as exits:
            exits.callback(self._stage.close)
            self._stage_executor = _executor(exits, self._at_once, self._stage.name)
            producer = await started(lambda: make_producer(self._settings), self._settings, stage=self._stage.name)
            exits.push_async_callback(stopped, producer)
            self._delivery = Delivery(producer, self._codec, self._stage.name)
            name = self._stage.name
            self._consumer = make_consumer(self._settings, group=feature_stage(name).group, stage=name, enrols=True)
            exits.push_async_callback(stopped, self._consumer)
            self._committer = Committer(self._consumer, self._stage.name)
            loader = _executor(exits, LOADERS, "load")
            permission = await exits.enter_async_context(open_consents(self._settings, self._codec))
            self._intake = Intake(
                self._settings, self._consumer, self._committer, self._codec, self._load, loader, name, permission
            )
            self._consumer.subscribe([topics.UPLOADED.name], listener=self)
            with refusals_stop():
                await self._consumer.start()
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave the group; undelivered records will be reprocessed."""
        await self._exits.aclose()

    def stop(self) -> None:
        """Shut down gracefully: start no new batch; finish, deliver and commit those of the stage."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop`. Raises Stop and any unexpected error, with the current batch not committed."""
        fetching = asyncio.create_task(self._intake.run())
        working = asyncio.create_task(self._work_until_stopped())
        stopping = asyncio.create_task(self._stopping.wait())
        tasks = (fetching, working, stopping)
        try:
            ends: set[asyncio.Future[Any]] = {*tasks, self._intake.failed}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for ended in ends:
                if ended.done() and not ended.cancelled() and (error := ended.exception()):
                    SHUTDOWN.begin(refusal(error) or error)
            if self._stopping.is_set():
                await asyncio.wait({working}, timeout=self._settings.stop_deadline_s)
        finally:
            past_deadline = self._stopping.is_set() and not working.done()
            self._intake.close()
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            self._working.rest()
            if not past_deadline:
                await self._release()
        if self._intake.failed.done():
            self._intake.failed.result()
        for failure in results:
            if isinstance(failure, Exception):
                raise refusal(failure) or failure

    async def _release(self) -> None:
        """Remove the marks of records that did not end this process; an unavailable broker keeps them."""
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(RELEASE_S):
                await self._committer.release()

    # Processing and delivery

    async def _work_until_stopped(self) -> None:
        in_flight: deque[InFlight] = deque()
        try:
            while in_flight or not self._stopping.is_set():
                self._begin(in_flight)
                if in_flight:
                    await self._finish(in_flight.popleft())
                else:
                    self._idle.set()
                    self._working.rest()
                    await (self._prepare(self._unprepared) if self._unprepared else self._intake.wait(IDLE_S))
                must_see(self._consumer, topics.UPLOADED.name)
                self._working.begin("committing", within_s=BROKER_WITHIN_S, needs=("broker",))
                self._gauge(prometheus.LAST_PROGRESS, time.time())
                self._gauge(prometheus.INFLIGHT_RECORDS, self._committer.under_way)
                await self._committer.commit_in_time()
        finally:
            for each in in_flight:
                each.settling.cancel()
            await asyncio.gather(*(each.settling for each in in_flight), return_exceptions=True)
        await self._committer.commit()

    def _begin(self, in_flight: deque[InFlight]) -> None:
        """Start as many batches as the stage accepts; they are delivered in the order of their start."""
        while len(in_flight) < self._at_once and not self._stopping.is_set() and (batch := self._intake.take()):
            self._idle.clear()
            in_flight.append(InFlight(batch, asyncio.create_task(self._settled(batch))))

    async def _prepare(self, stage: Prepares) -> None:
        """Let the stage prepare for some seconds; a shutdown does not wait for it."""
        self._working.begin("preparing", within_s=batch_within_s(()))
        preparing = asyncio.get_running_loop().run_in_executor(self._stage_executor, stage.prepare)
        stopping = asyncio.create_task(self._stopping.wait())
        ends: set[asyncio.Future[Any]] = {preparing, stopping}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if preparing.done() and not preparing.result():
            self._unprepared = None

    async def _finish(self, in_flight: InFlight) -> None:
        batch = in_flight.batch
        self._working.begin("a batch", within_s=batch_within_s(_memos(batch)))
        settled = await in_flight.settling
        self._working.begin("circuit breaker", within_s=HEALTH.stuck_after_s + self._settings.dead_letter_back_off_s)
        settled = await self._breaker.passed(settled, self._settled_again, self._stopping)
        self._gauge(prometheus.DEAD_LETTER_SHARE, self._breaker.share)
        failed = await isolated(self._deliver, settled, self._stage.name)
        if failed:
            self._breaker.failed(done.user for done, _ in failed)
            await self._deliver([replace(done, outcome=poison) for done, poison in failed])
        for item in batch:
            item.tracker.finished(item.source.offset)
        self._intake.finished(batch)
        self._observe_delivered(batch)

    async def _deliver(self, settled: Sequence[Done]) -> None:
        """Send the results and dead letters of these records. Raises what no retry resolves."""
        outgoing = self._outgoing(settled)
        await retry_transient(lambda: self._delivery.send(outgoing), stage=self._stage.name, target="broker")
        prometheus.RECORDS_OUT.labels(stage=self._stage.name).inc(len(outgoing))

    def _observe_delivered(self, batch: list[Item]) -> None:
        now = time.time()
        for memo in _memos(batch):
            prometheus.observe_latency(self._stage.name, memo.event.recorded_at, memo.event.uploaded_at, now)
        for reason in (item.content.reason for item in batch if isinstance(item.content, Unheard)):
            prometheus.MEMOS_UNREAD.labels(stage=self._stage.name, reason=reason.removeprefix(CONSENT)).inc()

    def _gauge(self, gauge: Gauge, value: float) -> None:
        gauge.labels(stage=self._stage.name).set(value)

    async def _settled(self, batch: Sequence[Item]) -> list[Done]:
        memos = _memos(batch)
        loop = asyncio.get_running_loop()
        began = time.perf_counter()

        def attempt() -> asyncio.Future[list[Outcome[MemoFeatures]]]:
            self._working.begin("a batch", within_s=batch_within_s(memos))
            return loop.run_in_executor(self._stage_executor, settle, self._stage, memos, of_record)

        settled = await retry_transient(attempt, stage=self._stage.name, target="storage")
        # Of two concurrent batches, the second counts from the end of the first.
        ended = time.perf_counter()
        took_s, audio_s = ended - max(began, self._ended), sum(item.audio_s for item in batch)
        self._ended = ended
        prometheus.STAGE_DURATION.labels(stage=self._stage.name).observe(took_s)
        prometheus.AUDIO_SECONDS.labels(stage=self._stage.name).inc(audio_s)
        prometheus.BATCH_FILL.labels(stage=self._stage.name).observe(audio_s / self._settings.batch_audio_s)
        if audio_s:
            self._gauge(prometheus.REAL_TIME_FACTOR, took_s / audio_s)
        remaining = iter(settled)
        outcomes = [
            next(remaining) if isinstance(item.content, Memo) else self._without(item.content) for item in batch
        ]
        return [Settled(*each, each[0].source.key) for each in zip(batch, outcomes, strict=True)]

    def _without(self, content: Unheard | Poison) -> Outcome[MemoFeatures]:
        """The outcome of a record that has no memo."""
        return content if isinstance(content, Poison) else content.features(self._gives)

    async def _settled_again(self, batch: Sequence[Item]) -> list[Done]:
        """Load and process again: the cause of a failure may have been outside the record."""
        return await self._settled(await self._intake.loaded_again(batch))

    def _outgoing(self, settled: Sequence[Done]) -> list[Outgoing]:
        failures, outgoing = [], []
        for item, outcome in ((each.record, each.outcome) for each in settled):
            if not isinstance(outcome, Poison):
                wanted = (each for each in outcome if each.modality in self._settings.modalities)
                outgoing += [_features(features, item.source) for features in wanted]
                continue
            prometheus.RECORDS_FAILED.labels(stage=self._stage.name).inc()
            if self._owns_input or isinstance(item.content, Memo):
                failures.append((item.source, outcome))
        return outgoing + self._delivery.dead_letters(failures)

    # Rebalances

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Finish the current batches within the deadline and commit; waiting records go to the new owner."""
        if not revoked:
            return
        prometheus.REBALANCES.labels(stage=self._stage.name).inc()
        self._intake.drop(revoked)
        try:
            async with asyncio.timeout(self._settings.stop_deadline_s):
                await self._idle.wait()
        except TimeoutError:
            log.warning("partitions revoked before their batch finished; batch will be reprocessed")
        await self._committer.commit()
        if self._idle.is_set():
            await self._committer.release()
        self._committer.revoked(revoked)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Start these partitions from their committed offsets."""
        HEALTH.has("partitions")
        self._committer.assigned(assigned)
        self._intake.open()
        self._gauge(prometheus.PARTITIONS_ASSIGNED, len(self._consumer.assignment()))


def batch_within_s(memos: Collection[Memo]) -> float:
    """Timeout in seconds for progress in a batch: the longest memo may be processed in one piece."""
    return HEALTH.stuck_after_s + SLOWEST * max((memo.duration_s for memo in memos), default=0.0)


def modalities_of(stage: Stage[Memo, MemoFeatures]) -> Collection[Modality]:
    """What a stage gives: as it says, else as the table of stages says."""
    return tuple(stage.extractors) if isinstance(stage, Names) else feature_stage(stage.name).modalities


def _memos(batch: Sequence[Item]) -> list[Memo]:
    """The memos of a batch, without unreadable records."""
    return [item.content for item in batch if isinstance(item.content, Memo)]


def _features(features: MemoFeatures, source: Source) -> Outgoing:
    return Outgoing(topics.FEATURES, features.user_id.encode(), features, source)


def _executor(exits: AsyncExitStack, threads: int, name: str) -> Executor:
    executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
    exits.callback(executor.shutdown, wait=False, cancel_futures=True)
    return executor
