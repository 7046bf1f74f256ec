"""Faust's consumer, which here commits the offsets of delivered records only.

Stock Faust (0.15.3) commits acknowledged events, and acknowledges too many: events whose body raised, events that it
skipped during a rebalance. It skips a gap of one event, any gap before its first commit, and counts a failed commit as
done. `tests/integration/test_faust_hazards.py` reproduces each. Here Faust's own offset tracking is unused: agents
report delivered events, in order, and those offsets are committed.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from workers.kafka import record_batches
from workers.kafka.authorization_errors import refused_topics
from workers.kafka.clients import COMMITTED

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
        return client


class DeliveredConsumer(driver.Consumer):
    """Commits the offsets up to which agents have called `delivered`."""

    logger = LOG

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._delivered: dict[TP, int] = {}
        self._committed: dict[TP, int] = {}
        """Offsets that the broker has accepted."""

    def _new_consumer_thread(self) -> ReadingThread:
        return ReadingThread(self, loop=self.loop, beacon=self.beacon)

    def delivered(self, messages: Iterable[Any]) -> None:
        """Report that all results of these messages are delivered. Messages are in order within each partition.

        Messages of an earlier generation are ignored: their partition's new owner fetches them again.
        """
        for message in messages:
            if message.generation_id == self.app.consumer_generation_id:
                self._delivered[message.tp] = message.offset + 1

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
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise

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
