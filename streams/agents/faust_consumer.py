"""Faust's consumer, which here commits the offsets of delivered records only.

Stock Faust (0.15.3) commits acknowledged events, and acknowledges too many: events whose body raised, events that it
skipped during a rebalance. It skips a gap of one event, any gap before its first commit, and counts a failed commit as
done. `tests/integration/test_faust_hazards.py` reproduces each. Here Faust's own offset tracking is unused: agents
report delivered events, in order, and those offsets are committed.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import faust
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from schemas.errors import Poison
from schemas.pipeline import AGENTS_GROUP
from workers.consumer.attempts import PROCESS_DIED, Attempts
from workers.consumer.commit import POSITION_S, committed_metadata
from workers.kafka import record_batches
from workers.kafka.authorization_errors import refused_topics
from workers.kafka.clients import COMMITTED
from workers.service.retry import retry_transient

FETCH_WAIT_S = 0.05
"""`fetch.max.wait.ms`, in seconds: how long a broker delays its response to a fetch that finds no records.

A client has one fetch request in flight per broker. It leaves out partitions whose records are not yet processed, and
these then wait for its end, even if new records have arrived. The workers use the client's half second: with 50 ms and
the embedded broker they missed resubmitted records after a kill (`test_up.py`), for an unknown reason.
"""
READ_WITHIN_S = 0.05
"""Interval of checking which partitions are active: one whose queue was full is not read until the next check."""
LOG = logging.getLogger("faust.undertone")
"""Logger of these services: otherwise Faust logs their start and stop under the name of this module."""
PASS_EVERY_S = 1.0
"""Interval of stepping past what is no record."""
TURN_EVERY = 100
"""Messages after which the event loop gets control."""


class ReadingThread(driver.AIOKafkaConsumerThread):
    """Faust's thread of the Kafka client, with a shorter fetch wait, and without aborted records."""

    logger = LOG

    def _create_worker_consumer(self, transport: Any) -> Any:
        """Set `fetch.max.wait.ms` and `isolation.level`: Faust uses 1.5 s, reads uncommitted, and has no setting."""
        record_batches.install()
        client = super()._create_worker_consumer(transport)
        client._fetch_max_wait_ms = int(FETCH_WAIT_S * 1000)
        client._isolation_level = COMMITTED
        commit = client.commit

        async def commit_with_metadata(offsets: Mapping[Any, Any]) -> None:
            if offsets:  # none is left when all partitions were revoked meanwhile
                await commit(self.consumer.with_metadata(offsets))

        client.commit = commit_with_metadata
        return client

    async def committed_metadata(self, partitions: Collection[TP]) -> Mapping[Any, tuple[int, str]]:
        """Committed offset and metadata of each partition. Raises Transient and KafkaError."""
        found: Mapping[Any, tuple[int, str]] = await self.call_thread(
            committed_metadata, self._ensure_consumer(), [TopicPartition(*tp) for tp in partitions]
        )
        return found

    async def positions(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        """The offset that is read next, of partitions that have one."""
        return cast("Mapping[TP, int]", await self.call_thread(_positions, self._ensure_consumer(), partitions))


async def _positions(consumer: Any, partitions: Collection[TP]) -> Mapping[TP, int]:
    found = {}
    for tp in partitions:
        with contextlib.suppress(IllegalStateError, TimeoutError):
            async with asyncio.timeout(POSITION_S):
                found[tp] = await consumer.position(TopicPartition(*tp))
    return found


class DeliveredConsumer(driver.Consumer):
    """Commits the offsets up to which agents have called `delivered`, and marks those that they work on."""

    logger = LOG

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._delivered: dict[TP, int] = {}
        self._committed: dict[TP, int] = {}
        """Offsets that the broker has accepted."""
        self._attempts = Attempts()
        self._found: dict[TP, int] = {}
        """Committed offsets at the assignment, of partitions that had one."""
        self._passed_at = 0.0
        self._recalling = asyncio.Lock()
        self.alone = asyncio.Lock()
        """Held by the agent that works on suspects: what another works on would be suspected, too."""
        self._first: dict[TP, int] = {}
        self._last: dict[TP, int] = {}
        """First and last offset of the batch that an agent works on, or has worked on last."""

    def _new_consumer_thread(self) -> ReadingThread:
        return ReadingThread(self, loop=self.loop, beacon=self.beacon)

    def delivered(self, messages: Iterable[Any]) -> None:
        """Report that all results of these messages are delivered. Messages are in order within each partition.

        Messages of an earlier generation are ignored: their partition's new owner fetches them again.
        """
        for message in messages:
            if message.generation_id == self.app.consumer_generation_id:
                self._delivered[message.tp] = message.offset + 1

    # Records that kill their process

    async def at_once(self) -> int | None:
        """How many messages may be processed at once; None without a limit. Retries while the broker is unavailable."""
        async with self._recalling:
            await self._recall([tp for tp in self.assignment() if not self._attempts.knows(tp)])
        return self._attempts.at_once((tp, self._delivered.get(tp, 0)) for tp in self.assignment())

    async def _recall(self, partitions: Collection[TP]) -> None:
        if not partitions:
            return
        found = await retry_transient(
            lambda: self._thread.committed_metadata(partitions), stage=AGENTS_GROUP, target="broker"
        )
        at = {TP(*tp): found[tp] for tp in found}
        self._found.update({tp: position for tp, (position, _) in at.items() if position})
        suspected = {tp: position for tp, (position, mark) in at.items() if self._attempts.recall(tp, position, mark)}
        if self._attempts.at_once(suspected.items()) is not None:
            LOG.warning("agents: a process died; its records are processed again, in small batches")
        if suspected:
            await self._commit(suspected)

    async def begin(self, messages: Sequence[Any]) -> None:
        """Mark these messages, which are processed next, and what else is due."""
        first = {message.tp: message.offset for message in reversed(messages)}
        self._first.update(first)
        self._last.update({message.tp: message.offset for message in messages})
        if due := self._attempts.due(first.keys()) & self._first.keys():
            await self._commit({tp: first.get(tp, self._delivered.get(tp, self._first[tp])) for tp in due})

    def condemned(self, message: Any) -> Poison | None:
        """Why a message is not processed: it has killed its last process."""
        return PROCESS_DIED if self._attempts.condemns(message.tp, message.offset) else None

    async def release(self) -> None:
        """Remove the marks: this process ends, and not because of a record."""
        marked = self._attempts.marked() & self._first.keys()
        self._last.clear()
        if marked:
            await self._commit({tp: self._delivered.get(tp, self._first[tp]) for tp in marked})

    def with_metadata(self, offsets: Mapping[Any, Any]) -> Mapping[Any, OffsetAndMetadata]:
        """The offsets of a commit, each with the mark of the messages that an agent works on. Called in the thread."""
        marked = {}
        for at, offset in offsets.items():
            last = self._last.get(TP(*at), -1)
            metadata = self._attempts.metadata(TP(*at), offset.offset, last if last >= offset.offset else None)
            self._attempts.committed(TP(*at), metadata)
            marked[at] = OffsetAndMetadata(offset.offset, metadata)
        return marked

    def refused_topics(self) -> set[str]:
        """Topics that the broker does not authorize this client to read."""
        client = getattr(self._thread, "_consumer", None)
        return set() if client is None else refused_topics(client)

    def ack(self, message: Any) -> bool:
        """Accept Faust's acknowledgement, which commits no offset."""
        message.acked = True
        self._unacked_messages.discard(message)
        return False

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let the application finish and commit, then drop the offsets of these partitions."""
        await super().on_partitions_revoked(revoked)
        self._forget(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Start these partitions from their committed offsets."""
        self._forget(assigned)
        await super().on_partitions_assigned(assigned, generation_id)

    def _forget(self, partitions: Collection[TP]) -> None:
        for partition in partitions:
            self._delivered.pop(partition, None)
            self._committed.pop(partition, None)
            self._found.pop(partition, None)
            self._first.pop(partition, None)
            self._last.pop(partition, None)
        self._attempts.forget(partitions)

    # Reading

    async def _drain_messages(self, fetcher: Any) -> None:
        """Read until stopped. Faust's own method creates four tasks per message, to cancel it on a rebalance.

        Here all messages of one fetch are cancelled together.
        """
        try:
            while not (self.should_stop or fetcher.should_stop):
                if self.flow_active and not self._get_active_partitions():
                    await asyncio.sleep(READ_WITHIN_S)  # Faust's own wait takes a second
                    continue
                await asyncio.sleep(0)
                fetched = [each async for each in self.getmany(timeout=READ_WITHIN_S)]
                if fetched:
                    await self.wait_first(self._hand_over(fetched), self.suspend_flow.wait())
                elif time.monotonic() - self._passed_at >= PASS_EVERY_S:
                    await self._pass_what_is_no_record()
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise

    async def _pass_what_is_no_record(self) -> None:
        """Step past the markers of transactions and the records of aborted ones: consumer lag counts them.

        Called between two fetches: whatever was fetched is with its agent.
        """
        self._passed_at = time.monotonic()
        idle = {}
        for tp in self.assignment():
            delivered, read = self._delivered.get(tp, self._found.get(tp)), self._read_offset[tp]
            if delivered is not None and (read is None or read < delivered):
                idle[tp] = delivered
        for tp, position in (await self._thread.positions(idle)).items():
            if position > idle[tp] and tp in self.assignment() and self._delivered.get(tp, idle[tp]) == idle[tp]:
                self._delivered[tp] = position

    async def _hand_over(self, fetched: Sequence[tuple[TP, Any]]) -> None:
        """Pass messages to their agents, until a rebalance: the rest is fetched again."""
        for count, (tp, message) in enumerate(fetched, 1):
            if not self.flow_active or message.generation_id != self.app.consumer_generation_id:
                return
            read = self._read_offset[tp]
            if read is None or message.offset >= read:
                await self.callback(message)
                self._read_offset[tp] = message.offset
            if count % TURN_EVERY == 0:
                await asyncio.sleep(0)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust asks its streams' sensors whether they are stuck; here `workers.service.health` detects it."""

    # Hooks of Faust's commit

    def _filter_tps_with_pending_acks(self, topics: Collection[Any] | None = None) -> Iterator[TP]:
        return (tp for tp in list(self._delivered) if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self._delivered.get(tp)

    def _should_commit(self, tp: TP, offset: int) -> bool:
        return offset != self._committed.get(tp)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Missing offsets (compaction, control records) are no gap between delivered records."""

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        committed: bool = await super()._commit_offsets(offsets, start_new_transaction)
        if committed:
            self._committed.update({tp: offset for tp, offset in offsets.items() if tp in self._delivered})
        return committed


class Transport(driver.Transport):
    """Faust's transport over aiokafka with this consumer."""

    Consumer = DeliveredConsumer


class App(faust.App):
    """A Faust application that commits the offsets of delivered records only."""

    logger = LOG

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Create none: Faust's are for tables, which are unused, and the working directory may be read-only."""
