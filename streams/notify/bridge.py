"""The loop that delivers `risk.alerts` to a receiver outside Kafka, sequentially within each partition.

A receiver may get `risk.scored` as well, as the row of its channel says; "alert" is a record of either. Its offset is
committed when the receiver has accepted it, or has refused it permanently. While a receiver is unavailable its
partitions wait and polling continues, so the group keeps the member. Delivery is at least once: after a crash an alert
may be delivered twice; deduplication is up to the receiver.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Collection, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from schemas.channels import bridge_group, topics_of
from schemas.codec import Codec, DecodeError
from schemas.errors import Poison, Transient
from schemas.events import RiskAlert, RiskScored
from schemas.settings import Settings
from streams.notify.receivers import Receiver, ScoreReceiver, Skipped
from workers.consumer.isolation import attempted
from workers.kafka.clients import make_consumer
from workers.kafka.connect import stopped
from workers.kafka.record import ERASED
from workers.privacy.key_requests import KEYS
from workers.service import prometheus
from workers.service.health import BROKER_WITHIN_S, HEALTH
from workers.service.retry import retry_transient

log = logging.getLogger(__name__)

WAITING_RECORDS = 500
"""Maximum waiting alerts of a partition in memory; above it the partition is paused."""
ATTEMPT_WITHIN_S = 120.0
"""Timeout of one attempt besides the request, as for the receiver's `Retry-After`; after it the bridge is stuck."""
REASONS = ("receiver:refused", "receiver:gave_up", "event:undecodable")
"""Reason codes of undelivered alerts."""


@dataclass(eq=False, slots=True)
class PartitionQueue:
    """One partition. known_until: offset before which records are delivered history; task: delivers the rest.

    in_flight: the record being delivered.
    """

    at: TopicPartition
    known_until: int = 0
    history: list[RiskAlert] = field(default_factory=list)
    waiting: "asyncio.Queue[Any]" = field(default_factory=asyncio.Queue)
    task: "asyncio.Task[None] | None" = None
    in_flight: Any = None
    closing: bool = False

    def oldest_written_at(self, now: float) -> float:
        """Unix time at which the oldest waiting alert was written; now when none waits."""
        return now if self.in_flight is None else float(self.in_flight.timestamp) / 1000


class Bridge(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One bridge. `async with Bridge(settings, codec, receiver) as bridge: await bridge.run(stop)`."""

    def __init__(self, settings: Settings, codec: Codec, receiver: Receiver) -> None:
        self._settings, self._codec, self._receiver = settings, codec, receiver
        self._kinds = {topic.name: topic.record for topic in topics_of(receiver.name)}
        self._queues: dict[TopicPartition, PartitionQueue] = {}
        self._new: set[TopicPartition] = set()
        for reason in REASONS:
            # Prometheus sees no increase in a counter that first appears with its first failure.
            prometheus.ALERTS_UNDELIVERED.labels(stage=receiver.name, reason=reason).inc(0)

    async def __aenter__(self) -> Self:
        """Connect and join the group."""
        async with AsyncExitStack() as exits:
            self._consumer: AIOKafkaConsumer = make_consumer(
                self._settings, group=bridge_group(self._receiver.name), stage=self._receiver.name
            )
            exits.push_async_callback(stopped, self._consumer)
            self._consumer.subscribe([*self._kinds], listener=self)
            await self._consumer.start()
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Finish current deliveries within the deadline and leave the group; undelivered alerts stay on the topic."""
        await self._close(list(self._queues))
        await self._exits.aclose()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set. Raises any unhandled exception, with the current alert not committed."""
        loop = HEALTH.part(self._receiver.name)
        while not stop.is_set():
            loop.begin("next poll", within_s=BROKER_WITHIN_S, needs=("broker", KEYS))
            for at in sorted(self._new & self._consumer.assignment()):
                await retry_transient(lambda at=at: self._start(at), stage=self._receiver.name, target="broker")  # type: ignore[misc]
            for at, records in (await self._consumer.getmany(timeout_ms=200)).items():
                # A partition that is not started yet is rewound when it starts.
                if at in self._queues:
                    self._enqueue(self._queues[at], records)
            for queue in list(self._queues.values()):
                await self._supervise(queue)
            prometheus.LAST_PROGRESS.labels(stage=self._receiver.name).set(time.time())
        loop.rest()

    async def _start(self, at: TopicPartition) -> None:
        queue = PartitionQueue(at)
        try:
            if self._receiver.needs_history:
                committed = await self._consumer.committed(at)
                if committed is None:
                    # First start: do not deliver old alerts; open episodes are posted from history.
                    committed = (await self._consumer.end_offsets([at]))[at]
                    await self._consumer.commit({at: committed})
                queue.known_until = committed
                await self._consumer.seek_to_beginning(at)
        except (CommitFailedError, IllegalStateError):
            return  # revoked meanwhile; started again at the next assignment
        except KafkaError as error:
            raise Transient(f"cannot read offsets ({type(error).__name__})") from error
        self._new.discard(at)
        self._queues[at] = queue

    def _enqueue(self, queue: PartitionQueue, records: Sequence[Any]) -> None:
        for record in records:
            if record.offset >= queue.known_until:
                queue.waiting.put_nowait(record)
            elif isinstance(alert := self._decoded(record), RiskAlert):
                queue.history.append(alert)

    async def _supervise(self, queue: PartitionQueue) -> None:
        """Start delivery once the history is complete, raise its failure, and pause a full partition."""
        if queue.task is None and await self._knows_history(queue):
            self._receiver.assign(queue.at.partition, queue.history)
            queue.history = []
            queue.task = asyncio.create_task(self._deliver_all(queue))
        if queue.closing or queue.at not in self._consumer.assignment():
            return
        if queue.task is not None and queue.task.done():
            queue.task.result()
        self._export_lag(queue)
        paused = queue.at in self._consumer.paused()
        if paused != (queue.waiting.qsize() > WAITING_RECORDS):
            (self._consumer.resume if paused else self._consumer.pause)(queue.at)

    async def _knows_history(self, queue: PartitionQueue) -> bool:
        """Whether the history has been read; False for a partition that was revoked meanwhile."""
        try:
            position = await self._consumer.position(queue.at)
        except IllegalStateError:
            return False
        return bool(position >= queue.known_until) and not queue.closing

    def _export_lag(self, queue: PartitionQueue) -> None:
        labels, now = self._labels(queue.at), time.time()
        prometheus.LAG_RECORDS.labels(**labels).set(queue.waiting.qsize() + (queue.in_flight is not None))
        prometheus.LAG_SECONDS.labels(**labels).set(max(now - queue.oldest_written_at(now), 0.0))

    def _labels(self, at: TopicPartition) -> dict[str, str]:
        return {"stage": self._receiver.name, "topic": at.topic, "partition": str(at.partition)}

    def _decoded(self, record: Any) -> RiskAlert | RiskScored | None:
        if record.value is ERASED:
            return None
        kind: type[RiskAlert] | type[RiskScored] = RiskAlert if self._kinds[record.topic] is RiskAlert else RiskScored
        try:
            return self._codec.decode(record.value, kind)
        except DecodeError as error:
            self._count_undelivered(record, Poison("event:undecodable", str(error)))
        return None

    async def _deliver_all(self, queue: PartitionQueue) -> None:
        while True:
            record = await queue.waiting.get()
            if queue.closing:
                return
            queue.in_flight = record
            await self._deliver(queue, record)
            await retry_transient(
                lambda record=record: self._commit(queue.at, record.offset + 1),  # type: ignore[misc]
                stage=self._receiver.name,
                target="broker",
            )
            queue.in_flight = None

    async def _deliver(self, queue: PartitionQueue, record: Any) -> None:
        stage = self._receiver.name
        prometheus.RECORDS_IN.labels(stage=stage).inc()
        alert = self._decoded(record)
        if alert is None:
            return
        if poison := await self._refused(queue, alert):
            if isinstance(poison, Skipped):
                prometheus.BRIDGE_SKIPPED.labels(stage=stage, reason=poison.reason).inc()
            else:
                self._count_undelivered(record, poison)
            return
        prometheus.RECORDS_OUT.labels(stage=stage).inc()
        prometheus.DELIVERY_LATENCY.labels(stage=stage).observe(max(time.time() - record.timestamp / 1000, 0.0))

    async def _refused(self, queue: PartitionQueue, alert: RiskAlert | RiskScored) -> Poison | None:
        """Why an alert cannot be delivered, None once it is; one that the program fails on delays no other."""
        stage = self._receiver.name

        def deliver() -> Awaitable[None]:
            return retry_transient(lambda: self._attempt(queue, alert), stage=stage, target="receiver")

        try:
            return await attempted(deliver, stage)
        except Poison as poison:
            return poison

    async def _attempt(self, queue: PartitionQueue, alert: RiskAlert | RiskScored) -> None:
        within_s = ATTEMPT_WITHIN_S + self._settings.bridge_timeout_s
        with HEALTH.during("delivery", "an alert", within_s=within_s):
            if isinstance(alert, RiskAlert):
                await self._receiver.deliver(queue.at.partition, alert)
            elif isinstance(self._receiver, ScoreReceiver):
                await self._receiver.deliver_score(queue.at.partition, alert)

    def _count_undelivered(self, record: Any, poison: Poison) -> None:
        """Count an alert as undelivered and log its offset, where it stays for the topic's retention."""
        stage = self._receiver.name
        prometheus.RECORDS_FAILED.labels(stage=stage).inc()
        prometheus.ALERTS_UNDELIVERED.labels(stage=stage, reason=poison.reason).inc()
        log.error("alert not delivered, partition=%d offset=%d: %s", record.partition, record.offset, poison)

    async def _commit(self, at: TopicPartition, position: int) -> None:
        try:
            await self._consumer.commit({at: position})
        except (CommitFailedError, IllegalStateError):
            log.info("offset commit rejected after rebalance; alert will be redelivered")
        except KafkaError as error:
            if not error.retriable:
                raise
            raise Transient(f"offset commit failed ({type(error).__name__})") from error

    async def _close(self, partitions: Collection[TopicPartition]) -> None:
        """Let current deliveries finish within the deadline, then release the partitions."""
        queues = [queue for at in partitions if (queue := self._queues.pop(at, None)) is not None]
        for queue in queues:
            queue.closing = True
            queue.waiting.put_nowait(None)
        tasks = [queue.task for queue in queues if queue.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=self._settings.stop_deadline_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for queue in queues:
            self._receiver.revoke(queue.at.partition)
            for gauge in (prometheus.LAG_RECORDS, prometheus.LAG_SECONDS):
                with suppress(KeyError):
                    gauge.remove(*self._labels(queue.at).values())

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Release them."""
        self._new -= set(revoked)
        await self._close(revoked)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Start them in the next iteration of the loop."""
        HEALTH.has("partitions")
        self._new |= set(assigned)
        prometheus.REBALANCES.labels(stage=self._receiver.name).inc()
        prometheus.PARTITIONS_ASSIGNED.labels(stage=self._receiver.name).set(len(assigned))
