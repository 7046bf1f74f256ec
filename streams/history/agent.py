"""Reads the topics into the history; the one module of the room that knows Kafka.

Positions are stored with the rows, in one transaction, and Kafka's own are written for its tools only. While the
database does not answer, the partitions wait. A record that cannot be read, or that the program fails on, is counted
and passed over: it stays on its topic.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, NoReturn, Self

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from schemas.codec import Codec, DecodeError
from schemas.errors import Transient
from schemas.pipeline import HISTORY, HISTORY_GROUP, HISTORY_TOPICS
from schemas.settings import Settings
from streams.history.cohorts import by_prefix
from streams.history.database import Database
from streams.history.tables import unix_ms
from streams.history.writes import batch, positions
from streams.history.writes.batch import Keeping, Kept, Part, people_in
from streams.history.writes.conversion import taken_over_first
from streams.history.writes.positions import Fenced, Partition, Step, Stored
from streams.history.writes.upkeep import DATABASE, Upkeep, retried
from workers.consumer.isolation import isolated
from workers.kafka.clients import make_consumer
from workers.kafka.connect import started, stopped
from workers.kafka.record import ERASED
from workers.privacy.key_requests import KEYS
from workers.privacy.sealing import sealing_of
from workers.service import prometheus
from workers.service.health import BROKER_WITHIN_S, HEALTH
from workers.service.retry import retry_transient

log = logging.getLogger(__name__)

RECORDS = 2000
"""Most records in one transaction."""
NOTED_S = 3.0
"""Seconds between two notes of how far the history is, while nothing arrives."""
LABELS = {"stage": HISTORY}


class HistoryAgent(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One consumer. `async with HistoryAgent(settings, codec, database) as agent: await agent.run(stop)`."""

    def __init__(self, settings: Settings, codec: Codec, database: Database) -> None:
        self._settings, self._codec, self._database = settings, codec, database
        self._upkeep = Upkeep(database, by_prefix(settings.cohorts), settings.history_retention_s)
        self._border = sealing_of(settings)
        self._new: set[TopicPartition] = set()
        self._positions: dict[TopicPartition, int] = {}
        """Stored position of each partition that is read."""
        self._witnesses: dict[TopicPartition, Stored] = {}
        """Partitions whose last stored record is read once more, to see whether the log is still the same one."""
        self._committed: dict[TopicPartition, int] = {}
        self._noted_at = 0.0

    async def __aenter__(self) -> Self:
        """Connect and join the group."""
        async with AsyncExitStack() as exits:
            make = partial(make_consumer, self._settings, group=HISTORY_GROUP, stage=HISTORY, enrols=True)
            self._consumer: AIOKafkaConsumer = await started(make, self._settings, stage=HISTORY)
            exits.push_async_callback(stopped, self._consumer)
            self._consumer.subscribe([topic.name for topic in HISTORY_TOPICS], listener=self)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Leave the group; what was not stored is read again by whoever gets the partitions."""
        for at_partition in list(self._positions):
            self._release(at_partition)
        await self._exits.aclose()

    async def run(self, stop: asyncio.Event) -> None:
        """Store what arrives until `stop` is set. Raises any unhandled exception, with the current batch not stored."""
        asked = asyncio.create_task(stop.wait())
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._upkeep.run())]
        try:
            await asyncio.wait({asked, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            asked.cancel()
            for task in tasks:
                task.cancel()
            # A thread that stores a batch ends by itself: its transaction is stored whole, or not at all.
            await asyncio.gather(*tasks, return_exceptions=True)
            HEALTH.part(HISTORY).rest()

    async def _read(self) -> NoReturn:
        loop = HEALTH.part(HISTORY)
        while True:
            loop.begin("next poll", within_s=BROKER_WITHIN_S, needs=("broker", KEYS, DATABASE))
            for at in sorted(self._new & self._consumer.assignment()):
                await self._start(at)
            fetched = await self._consumer.getmany(timeout_ms=200, max_records=RECORDS)
            records = [record for at, some in fetched.items() for record in await self._next_of(at, some)]
            if records:
                with prometheus.STAGE_DURATION.labels(**LABELS).time():
                    await self._store(records)
            await self._note_current()
            prometheus.LAST_PROGRESS.labels(**LABELS).set(time.time())

    async def _start(self, at: TopicPartition) -> None:
        """Read a partition from its stored position, or from its beginning if its log was created again."""
        place = _place(at)
        stored = (await retried(partial(self._database.write, positions.stored, [place])))[place]
        begin, end = await retry_transient(partial(self._span, at), stage=HISTORY, target="broker")
        if end < stored.next_offset:
            await self._start_again(at, stored.next_offset)
            return
        if stored.next_offset < begin:
            try:
                await self._pass_over(at, stored, begin)
            except Fenced:
                return  # it is still new: read its position again
        # The last record that is stored is read once more, where it is still there: see `_next_of`.
        witness = stored.next_offset > begin
        try:
            self._consumer.seek(at, stored.next_offset - 1 if witness else begin)
        except IllegalStateError:
            return  # revoked meanwhile; started again at the next assignment
        if witness:
            self._witnesses[at] = stored
        self._new.discard(at)
        self._positions[at] = max(stored.next_offset, begin)

    async def _pass_over(self, at: TopicPartition, stored: Stored, begin: int) -> None:
        """Store that the log begins later than was read: where nothing is left of it, no record says so."""
        if stored.next_offset:
            log.warning("%d records were deleted before they were read", begin - stored.next_offset, extra=_about(at))
        step = Step(_place(at), stored.next_offset, begin, 0, stored.last_ms, stored.current_ms)
        await retried(partial(self._database.write, positions.advance, [step]))

    async def _span(self, at: TopicPartition) -> tuple[int, int]:
        """Offsets of the first record of a partition, and after its last one. Raises Transient."""
        try:
            begin, end = await self._consumer.beginning_offsets([at]), await self._consumer.end_offsets([at])
        except KafkaError as error:
            if not error.retriable:
                raise
            raise Transient(f"cannot read offsets ({type(error).__name__})") from error
        return begin[at], end[at]

    async def _start_again(self, at: TopicPartition, expected: int) -> None:
        """Read a partition from the beginning: under its name is another log than the one that was read."""
        log.warning("the log was created again: reading it from its beginning", extra=_about(at))
        self._release(at)
        self._new.add(at)
        with suppress(Fenced):
            await retried(partial(self._database.write, positions.rewind, {_place(at): expected}))

    async def _next_of(self, at: TopicPartition, records: Sequence[Any]) -> Sequence[Any]:
        """Of fetched records those that are not stored; none when the partition has to be started again."""
        position = self._positions.get(at)
        if position is None:
            return ()  # not started yet: it is rewound when it is
        witness = self._witnesses.pop(at, None)
        first = records[0]
        other_log = witness is not None and first.offset == position - 1 and first.timestamp != witness.last_ms
        # A client whose position is gone begins with the oldest record.
        if other_log or first.offset < position - (witness is not None):
            await self._start_again(at, position)
            return ()
        return [record for record in records if record.offset >= position]

    async def _store(self, records: Sequence[Any]) -> None:
        """Store records; those that the program fails on are counted and passed over."""
        prometheus.RECORDS_IN.labels(**LABELS).inc(len(records))
        failed = await isolated(self._store_some, records, HISTORY)
        for record, poison in failed:
            self._skip(record, poison.reason)
        ends = {_at(record): record.offset + 1 for record in records}
        behind = [at for at, end in ends.items() if at in self._positions and self._positions[at] < end]
        last = {_at(record): record for record in records}
        await self._store_parts([Part(self._step(at, last[at], 0), ()) for at in behind])

    async def _store_some(self, records: Sequence[Any]) -> None:
        by_partition: dict[TopicPartition, list[Any]] = defaultdict(list)
        for record in records:
            by_partition[_at(record)].append(record)
        parts = []
        for at, some in by_partition.items():
            if at in self._positions:
                kept = tuple(kept for record in some if (kept := self._decoded(record)) is not None)
                part = Part(self._step(at, some[-1], len(kept)), kept)
                in_clear = frozenset(user for user in people_in([part]) if not self._border.came_sealed(user))
                parts.append(replace(part, in_clear=in_clear))
        await self._store_parts(parts)

    async def _store_parts(self, parts: Sequence[Part]) -> None:
        if not parts:
            return
        try:
            changed = await retried(partial(self._write, parts))
        except Fenced:
            log.info("partitions are stored by another process; reading their positions again")
            for part in parts:
                at = TopicPartition(*part.step.at)
                self._release(at)
                self._new.add(at)
            return
        for part in parts:
            at = TopicPartition(*part.step.at)
            if at in self._positions:
                self._positions[at] = part.step.next_offset
                self._export_lag(at, part.step.last_ms)
        counted = sum(len(part.records) for part in parts)
        prometheus.RECORDS_OUT.labels(**LABELS).inc(changed)
        prometheus.RECORDS_REPEATED.labels(**LABELS).inc(counted - changed)

    async def _write(self, parts: Sequence[Part]) -> int:
        now = datetime.now(UTC)
        since = now - timedelta(seconds=self._settings.history_retention_s)
        keeping = Keeping(by_prefix(self._settings.cohorts), since)
        in_clear = frozenset[str]().union(*(part.in_clear for part in parts))
        await taken_over_first(self._database, people_in(parts), in_clear)
        return await self._database.write(batch.store, parts, keeping, unix_ms(now))

    def _step(self, at: TopicPartition, last: Any, counted: int) -> Step:
        now_ms = unix_ms(datetime.now(UTC))
        at_end = last.offset + 1 >= (self._consumer.highwater(at) or 0)
        current_ms = now_ms if at_end else min(max(last.timestamp, 0), now_ms)
        return Step(_place(at), self._positions[at], last.offset + 1, counted, last.timestamp, current_ms)

    def _decoded(self, record: Any) -> Kept | None:
        if record.value is ERASED:
            return None
        try:
            kept: Kept = self._codec.decode(record.value, RECORDS_OF[record.topic])
        except DecodeError:
            self._skip(record, "event:undecodable")
            return None
        return kept

    def _skip(self, record: Any, reason: str) -> None:
        prometheus.RECORDS_FAILED.labels(**LABELS).inc()
        log.warning("record not stored, reason=%s", reason, extra={**_about(_at(record)), "offset": record.offset})

    async def _note_current(self) -> None:
        """Note that everything is stored, of partitions that are read to their end while the broker answers."""
        now = time.monotonic()
        if now - self._noted_at < NOTED_S or "broker" in HEALTH.lacking():
            return
        self._noted_at = now
        at_end = {at: offset for at, offset in self._positions.items() if self._lag(at) == 0}
        for at in at_end:
            self._export_lag(at, 0)
        await retried(
            partial(
                self._database.write,
                positions.note_current,
                {_place(at): offset for at, offset in at_end.items()},
                unix_ms(datetime.now(UTC)),
            ),
        )
        offsets = {at: offset for at, offset in self._positions.items() if offset}
        if offsets and offsets != self._committed:
            with suppress(KafkaError):  # for Kafka's tools: nothing is read from there
                await self._consumer.commit(offsets)
            self._committed = offsets

    def _lag(self, at: TopicPartition) -> int | None:
        """Records that wait; None until the broker has said where the partition ends."""
        try:
            end = self._consumer.highwater(at)
        except IllegalStateError:
            return None
        return None if end is None else max(end - self._positions[at], 0)

    def _export_lag(self, at: TopicPartition, last_ms: int) -> None:
        lag = self._lag(at)
        if lag is not None:
            prometheus.LAG_RECORDS.labels(**_labels(at)).set(lag)
            prometheus.LAG_SECONDS.labels(**_labels(at)).set(max(time.time() - last_ms / 1000, 0.0) if lag else 0.0)

    def _release(self, at: TopicPartition) -> None:
        """Read a partition no more, until it is started again."""
        self._positions.pop(at, None)
        self._witnesses.pop(at, None)
        for gauge in (prometheus.LAG_RECORDS, prometheus.LAG_SECONDS):
            with suppress(KeyError):
                gauge.remove(*_labels(at).values())

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Release them: what this process still stores of them is refused once another one has stored more."""
        self._new -= set(revoked)
        for at in revoked:
            self._release(at)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Start them in the next iteration of the loop."""
        HEALTH.has("partitions")
        self._new |= set(assigned)
        prometheus.REBALANCES.labels(**LABELS).inc()
        prometheus.PARTITIONS_ASSIGNED.labels(**LABELS).set(len(assigned))


RECORDS_OF = {topic.name: topic.record for topic in HISTORY_TOPICS}


def _at(record: Any) -> TopicPartition:
    return TopicPartition(record.topic, record.partition)


def _place(at: TopicPartition) -> Partition:
    return at.topic, at.partition


def _labels(at: TopicPartition) -> dict[str, str]:
    return {**LABELS, "topic": at.topic, "partition": str(at.partition)}


def _about(at: TopicPartition) -> dict[str, Any]:
    return {"topic": at.topic, "partition": at.partition}
