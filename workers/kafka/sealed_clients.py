"""Kafka clients at the border of sealing: their users write and read records in clear.

What cannot be opened yet is read again later: its partition goes back to the first such record and waits with
back-off, while the others go on.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError

from schemas.errors import Erased, Poison, Transient
from schemas.headers import Headers
from workers.kafka.record import ERASED, Unread
from workers.privacy.clear_records import Outcome
from workers.privacy.sealing import Sealing
from workers.service import prometheus

NOT_SENT = object()
"""In place of the broker's answer for a record of a person who was erased."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 10.0
"""Seconds until records that cannot be opened are tried again: the first time; doubled each time, up to the second."""


class SealingProducer(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka has no types
    """A producer that seals what it sends, as the settings say. enters: as `Sealing.sealed`."""

    def __init__(self, sealing: Sealing, *, enters: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self._sealing, self._enters = sealing, enters

    async def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Headers | None = None,
    ) -> "asyncio.Future[Any]":
        """As aiokafka's; a record of a person who was erased is not sent. Raises Transient while keys are missing.

        headers: hold afterwards what is on the topic, so that the span of the record has the same ids.
        """
        if value is None:
            return await self._sent(topic, value, key, partition, timestamp_ms, headers)
        given = [] if headers is None else headers
        written = await self._sealing.sealed(topic, key, value, given, enters=self._enters)
        if written is None:
            given.clear()
            not_sent: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            not_sent.set_result(NOT_SENT)
            return not_sent
        given[:] = written.headers
        return await self._sent(topic, written.value, written.key, partition, timestamp_ms, given)

    async def _sent(self, *arguments: Any) -> "asyncio.Future[Any]":
        sent: asyncio.Future[Any] = await super().send(*arguments)
        return sent


def refused() -> Poison:
    """The error of a command that submits a record which was NOT_SENT."""
    return Poison("event:refused", "cannot be submitted: this person's data was erased, or is being erased")


@dataclass(slots=True)
class Held:
    """A partition with a record that cannot be opened yet. until: monotonic seconds; again_s: the wait after that."""

    until: float
    again_s: float
    waits: bool = True


class OpeningConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    """A consumer that opens what it reads. stage: in metrics; None for a reader outside any group.

    A member of a group gets ERASED as the value of a record of a person who was erased, to commit past it, and nothing
    of a partition while keys are missing; a reader gets no such record, and Transient.
    """

    def __init__(self, *names: str, sealing: Sealing, stage: str | None, enrols: bool = False, **options: Any) -> None:
        super().__init__(*names, **options)
        self._sealing, self._stage, self._enrols = sealing, stage, enrols
        self.wanted: frozenset[bytes] | None = None
        """Keys, as they are on the topics, of the only records that are wanted; None for all."""
        self._held: dict[TopicPartition, Held] = {}
        self._paused: set[TopicPartition] = set()
        """Partitions that the user of this consumer has paused."""
        self._unopened: dict[TopicPartition, int] = {}
        """First offset of what was fetched and waits for keys."""

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """As aiokafka's. Raises Transient for a reader while keys are missing."""
        self._end_waits()
        fetched: dict[TopicPartition, list[ConsumerRecord]] = await super().getmany(
            *partitions, timeout_ms=timeout_ms, max_records=max_records
        )
        if self.wanted is not None:
            wanted = self.wanted
            fetched = {at: [each for each in some if each.key in wanted] for at, some in fetched.items()}
        fetched = {at: records for at, records in fetched.items() if records}
        if not any(self._sealing.concerns(records, enrol=self._enrols) for records in fetched.values()):
            return fetched
        return await self._opened(fetched)

    async def position(self, partition: TopicPartition) -> int:
        """As aiokafka's; what waits for keys is not passed yet."""
        position: int = await super().position(partition)
        return min(position, self._unopened.get(partition, position))

    def pause(self, *partitions: TopicPartition) -> None:
        """As aiokafka's."""
        self._paused.update(partitions)
        super().pause(*partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        """As aiokafka's; a partition that waits for keys goes on waiting."""
        self._paused.difference_update(partitions)
        super().resume(*(at for at in partitions if at not in self._held or not self._held[at].waits))

    def _end_waits(self) -> None:
        """Fetch again from partitions that have waited."""
        now, assigned = time.monotonic(), self.assignment()
        for at, held in list(self._held.items()):
            if at not in assigned:
                del self._held[at]
            elif held.waits and held.until <= now:
                held.waits = False
                if at not in self._paused:
                    super().resume(at)

    async def _opened(
        self, fetched: Mapping[TopicPartition, Sequence[ConsumerRecord]]
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        records = [record for some in fetched.values() for record in some]
        states = {at: self._state(at) for at in fetched}
        self._unopened = {at: some[0].offset for at, some in fetched.items()}
        outcomes: Iterator[Outcome] = iter(())
        try:
            outcomes = iter(await self._sealing.opened(records, enrol=self._enrols))
        except BaseException:
            self._unfetch(self._unopened)
            raise
        finally:
            first, self._unopened = self._unopened, {}
        found = {}
        for at, some in fetched.items():
            own = [next(outcomes) for _ in some]
            # Of one that was revoked, and perhaps assigned again, everything is fetched again.
            if states[at] is self._state(at) and (
                settled := self._settled(at, list(zip(some, own, strict=True)), first)
            ):
                found[at] = settled
        return found

    def _settled(
        self, at: TopicPartition, pairs: Sequence[tuple[ConsumerRecord, Outcome]], first: Mapping[TopicPartition, int]
    ) -> list[ConsumerRecord]:
        """The records in clear, up to the first that cannot be opened yet."""
        records: list[ConsumerRecord] = []
        for record, outcome in pairs:
            if isinstance(outcome, Transient):
                if self._stage is None:
                    self._unfetch(first)
                    raise outcome
                self._hold(at, record.offset)
                return records
            if isinstance(outcome, Erased):
                if self._stage is None:
                    continue
                prometheus.RECORDS_ERASED.labels(stage=self._stage).inc()
                record.key, record.value, record.headers = None, ERASED, ()
            elif isinstance(outcome, Poison):
                record.key = None
                record.value = Unread.because(outcome.reason, outcome.detail, record.value)
            else:
                record.key, record.value, record.headers = outcome
            records.append(record)
        self._held.pop(at, None)
        return records

    def _hold(self, at: TopicPartition, offset: int) -> None:
        """Read a partition again from here, after a while."""
        self._unfetch({at: offset})
        wait_s = self._held[at].again_s if at in self._held else FIRST_WAIT_S
        self._held[at] = Held(time.monotonic() + wait_s, min(2 * wait_s, LONGEST_WAIT_S))
        with suppress(IllegalStateError):
            super().pause(at)

    def _unfetch(self, offsets: Mapping[TopicPartition, int]) -> None:
        for at, offset in offsets.items():
            with suppress(IllegalStateError):  # revoked meanwhile
                self.seek(at, offset)

    def _state(self, at: TopicPartition) -> object:
        """What aiokafka knows of an assigned partition: another object with every assignment."""
        subscription = self._subscription.subscription
        assignment = None if subscription is None else subscription.assignment
        return assignment.state_value(at) if assignment is not None and at in assignment.tps else None
