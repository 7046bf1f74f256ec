"""The loop that brings `risk.alerts` to a receiver outside Kafka, one alert after another within each partition.

An alert's offset is committed when the receiver has accepted it, or has refused it for good. While a receiver is away
its partitions wait and polling goes on, so the group keeps the member. The same alert may come twice after a crash;
what makes it the same to the receiver is the receiver's part.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from schemas import topics
from schemas.channels import bridge_group
from schemas.codec import Codec, DecodeError
from schemas.errors import Poison, Transient
from schemas.events import RiskAlert
from schemas.settings import Settings
from streams.notify.receivers import Receiver
from workers.kafka.clients import make_consumer
from workers.kafka.retry import retry_transient
from workers.service import prometheus
from workers.service.health import BROKER_WITHIN_S, HEALTH

log = logging.getLogger(__name__)

WAITING_RECORDS = 500
"""Alerts of a partition that may wait in memory; beyond it the partition is paused."""
ATTEMPT_WITHIN_S = 120.0
"""For one attempt, its wait for the receiver's `Retry-After` included; beyond it the bridge counts as stuck."""
REASONS = ("receiver:refused", "receiver:gave_up", "event:undecodable")
"""Why an alert may not be delivered."""


@dataclass(eq=False, slots=True)
class PartitionQueue:
    """One partition. known_until: records before it are history and were delivered; task: delivers the rest.

    under_way: the record that is being delivered.
    """

    at: TopicPartition
    known_until: int = 0
    history: list[RiskAlert] = field(default_factory=list)
    waiting: "asyncio.Queue[Any]" = field(default_factory=asyncio.Queue)
    task: "asyncio.Task[None] | None" = None
    under_way: Any = None
    ending: bool = False

    def oldest_written_at(self, now: float) -> float:
        """Unix time at which the oldest alert that waits was written; now when none waits."""
        return now if self.under_way is None else float(self.under_way.timestamp) / 1000


class Bridge(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One bridge. `async with Bridge(settings, codec, receiver) as bridge: await bridge.run(stop)`."""

    def __init__(self, settings: Settings, codec: Codec, receiver: Receiver) -> None:
        self._settings, self._codec, self._receiver = settings, codec, receiver
        self._lanes: dict[TopicPartition, PartitionQueue] = {}
        self._new: set[TopicPartition] = set()
        for reason in REASONS:
            # A counter that appears with its first failure shows Prometheus no increase.
            prometheus.ALERTS_UNDELIVERED.labels(stage=receiver.name, reason=reason).inc(0)

    async def __aenter__(self) -> Self:
        """Connect and join the group."""
        async with AsyncExitStack() as exits:
            self._consumer: AIOKafkaConsumer = make_consumer(self._settings, group=bridge_group(self._receiver.name))
            exits.push_async_callback(self._consumer.stop)
            self._consumer.subscribe([topics.ALERTS.name], listener=self)
            await self._consumer.start()
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Finish the delivery under way, within the deadline, and leave the group; what was not delivered waits."""
        await self._end(list(self._lanes))
        await self._exits.aclose()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set. Raises any defect, with the alert under way not committed."""
        loop = HEALTH.part(self._receiver.name)
        while not stop.is_set():
            loop.begin("its next look at the topic", within_s=BROKER_WITHIN_S, needs=("broker",))
            for at in sorted(self._new & self._consumer.assignment()):
                await retry_transient(lambda at=at: self._begin(at), stage=self._receiver.name, target="broker")  # type: ignore[misc]
            for at, records in (await self._consumer.getmany(timeout_ms=200)).items():
                # A partition that is not begun with yet goes back to its start when it is.
                if at in self._lanes:
                    self._sort(self._lanes[at], records)
            for lane in list(self._lanes.values()):
                await self._tend(lane)
            prometheus.LAST_PROGRESS.labels(stage=self._receiver.name).set(time.time())
        loop.rest()

    async def _begin(self, at: TopicPartition) -> None:
        lane = PartitionQueue(at)
        try:
            if self._receiver.needs_history:
                committed = await self._consumer.committed(at)
                if committed is None:
                    # The first time, what is over already is nobody's news; what is open is posted as history.
                    committed = (await self._consumer.end_offsets([at]))[at]
                    await self._consumer.commit({at: committed})
                lane.known_until = committed
                await self._consumer.seek_to_beginning(at)
        except (CommitFailedError, IllegalStateError):
            return  # taken away meanwhile; it comes again when it is assigned again
        except KafkaError as error:
            raise Transient(f"positions could not be read ({type(error).__name__})") from error
        self._new.discard(at)
        self._lanes[at] = lane

    def _sort(self, lane: PartitionQueue, records: Sequence[Any]) -> None:
        for record in records:
            if record.offset >= lane.known_until:
                lane.waiting.put_nowait(record)
            elif (alert := self._decoded(record)) is not None:
                lane.history.append(alert)

    async def _tend(self, lane: PartitionQueue) -> None:
        """Start delivering once the history is whole, raise what ended it, and bound what waits."""
        if lane.task is None and await self._knows_history(lane):
            self._receiver.take_up(lane.at.partition, lane.history)
            lane.history = []
            lane.task = asyncio.create_task(self._deliver_all(lane))
        if lane.ending or lane.at not in self._consumer.assignment():
            return
        if lane.task is not None and lane.task.done():
            lane.task.result()
        self._tell_lag(lane)
        paused = lane.at in self._consumer.paused()
        if paused != (lane.waiting.qsize() > WAITING_RECORDS):
            (self._consumer.resume if paused else self._consumer.pause)(lane.at)

    async def _knows_history(self, lane: PartitionQueue) -> bool:
        """Whether all that was delivered before has been read; never of a partition that was taken away meanwhile."""
        try:
            position = await self._consumer.position(lane.at)
        except IllegalStateError:
            return False
        return bool(position >= lane.known_until) and not lane.ending

    def _tell_lag(self, lane: PartitionQueue) -> None:
        place, now = self._place(lane.at), time.time()
        prometheus.LAG_RECORDS.labels(**place).set(lane.waiting.qsize() + (lane.under_way is not None))
        prometheus.LAG_SECONDS.labels(**place).set(max(now - lane.oldest_written_at(now), 0.0))

    def _place(self, at: TopicPartition) -> dict[str, str]:
        return {"stage": self._receiver.name, "topic": at.topic, "partition": str(at.partition)}

    def _decoded(self, record: Any) -> RiskAlert | None:
        try:
            return self._codec.decode(record.value, RiskAlert)
        except DecodeError as error:
            self._refused(record, Poison("event:undecodable", str(error)))
        return None

    async def _deliver_all(self, lane: PartitionQueue) -> None:
        while True:
            record = await lane.waiting.get()
            if lane.ending:
                return
            lane.under_way = record
            await self._deliver(lane, record)
            await retry_transient(
                lambda record=record: self._commit(lane.at, record.offset + 1),  # type: ignore[misc]
                stage=self._receiver.name,
                target="broker",
            )
            lane.under_way = None

    async def _deliver(self, lane: PartitionQueue, record: Any) -> None:
        stage = self._receiver.name
        prometheus.RECORDS_IN.labels(stage=stage).inc()
        alert = self._decoded(record)
        if alert is None:
            return
        try:
            await retry_transient(lambda: self._attempt(lane, alert), stage=stage, target="receiver")
        except Poison as poison:
            self._refused(record, poison)
            return
        prometheus.RECORDS_OUT.labels(stage=stage).inc()
        prometheus.DELIVERY_LATENCY.labels(stage=stage).observe(max(time.time() - record.timestamp / 1000, 0.0))

    async def _attempt(self, lane: PartitionQueue, alert: RiskAlert) -> None:
        with HEALTH.during("delivery", "an alert", within_s=ATTEMPT_WITHIN_S):
            await self._receiver.deliver(lane.at.partition, alert)

    def _refused(self, record: Any, poison: Poison) -> None:
        """Counted and named by its place, where it stays for as long as the topic keeps it."""
        stage = self._receiver.name
        prometheus.RECORDS_FAILED.labels(stage=stage).inc()
        prometheus.ALERTS_UNDELIVERED.labels(stage=stage, reason=poison.reason).inc()
        log.error("the alert at partition %d, offset %d was not delivered: %s", record.partition, record.offset, poison)

    async def _commit(self, at: TopicPartition, position: int) -> None:
        try:
            await self._consumer.commit({at: position})
        except (CommitFailedError, IllegalStateError):
            log.info("a commit came after the partitions had moved on; their new owner delivers again")
        except KafkaError as error:
            if not error.retriable:
                raise
            raise Transient(f"a commit failed ({type(error).__name__})") from error

    async def _end(self, partitions: Collection[TopicPartition]) -> None:
        """Let deliveries under way finish within the deadline, and give the partitions up."""
        lanes = [lane for at in partitions if (lane := self._lanes.pop(at, None)) is not None]
        for lane in lanes:
            lane.ending = True
            lane.waiting.put_nowait(None)
        tasks = [lane.task for lane in lanes if lane.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=self._settings.stop_deadline_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lane in lanes:
            self._receiver.forget(lane.at.partition)
            for gauge in (prometheus.LAG_RECORDS, prometheus.LAG_SECONDS):
                with suppress(KeyError):
                    gauge.remove(*self._place(lane.at).values())

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Give them up."""
        self._new -= set(revoked)
        await self._end(revoked)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Begin with them at the next turn of the loop."""
        HEALTH.has("partitions")
        self._new |= set(assigned)
        prometheus.REBALANCES.labels(stage=self._receiver.name).inc()
        prometheus.PARTITIONS_ASSIGNED.labels(stage=self._receiver.name).set(len(assigned))
