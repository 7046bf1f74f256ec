"""Faust's consumer with other bookkeeping: its position moves past what was delivered, and past nothing else.

Stock Faust (0.15.3) commits what was acknowledged, and acknowledges too much: events whose body raised, events that it
skipped around a rebalance. It steps over a gap of one event, over any gap before its first commit, and a commit that
failed counts as done. `tests/integration/test_faust_hazards.py` shows each. Here none of that bookkeeping is used: an
agent says which events were delivered, in their order, and that is what is committed.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from workers.kafka.authorization_errors import refused_topics

FETCH_WAIT_S = 0.05
"""How long a broker holds back a request for records where there are none.

A client has one request under way with a broker. It leaves out the partitions whose records are not yet taken, and
these, once they are, wait for its end, however much has come for them. The workers keep the client's half second:
beside the embedded broker 50 ms kept them from what was sent again after a kill (`test_up.py`); why is not known.
"""
READ_WITHIN_S = 0.05
"""Between two looks at which partitions may be read: one whose queue was full is not read until the next."""
LOG = logging.getLogger("faust.undertone")
"""Of these services: otherwise Faust logs their start and stop under the name of this module, as if it were ours."""
TURN_EVERY = 100
"""Messages between two turns of the event loop."""


class ReadingThread(driver.AIOKafkaConsumerThread):
    """Faust's thread of the Kafka client, which asks the broker for more at once."""

    logger = LOG

    def _create_worker_consumer(self, transport: Any) -> Any:
        """Faust lets a broker hold a request back for 1.5 s, and has no setting for it."""
        client = super()._create_worker_consumer(transport)
        client._fetch_max_wait_ms = int(FETCH_WAIT_S * 1000)
        return client


class DeliveredConsumer(driver.Consumer):
    """Commits the end of what agents have called `delivered`."""

    logger = LOG

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._delivered: dict[TP, int] = {}
        self._written: dict[TP, int] = {}
        """What the broker has accepted."""

    def _new_consumer_thread(self) -> ReadingThread:
        return ReadingThread(self, loop=self.loop, beacon=self.beacon)

    def delivered(self, messages: Iterable[Any]) -> None:
        """All that these messages led to has arrived. Messages of a partition come in the order of the partition.

        Those of an earlier assignment are passed over: they were fetched again, and are in other hands.
        """
        for message in messages:
            if message.generation_id == self.app.consumer_generation_id:
                self._delivered[message.tp] = message.offset + 1

    def refused_topics(self) -> set[str]:
        """Topics that the broker keeps from this client."""
        client = getattr(self._thread, "_consumer", None)
        return set() if client is None else refused_topics(client)

    def ack(self, message: Any) -> bool:
        """What Faust calls an acknowledgement; no position follows from it."""
        message.acked = True
        self._unacked_messages.discard(message)
        return False

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let the application finish and commit, then forget these partitions."""
        await super().on_partitions_revoked(revoked)
        self._forget(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Start afresh on these partitions, from what was committed."""
        self._forget(assigned)
        await super().on_partitions_assigned(assigned, generation_id)

    def _forget(self, partitions: Collection[TP]) -> None:
        for partition in partitions:
            self._delivered.pop(partition, None)
            self._written.pop(partition, None)

    # Reading

    async def _drain_messages(self, fetcher: Any) -> None:
        """Read until stopped. Faust's own makes four tasks for every message, to break off when partitions are taken.

        Here all that was fetched together is broken off together.
        """
        try:
            while not (self.should_stop or fetcher.should_stop):
                if self.flow_active and not self._get_active_partitions():
                    await asyncio.sleep(READ_WITHIN_S)  # Faust's own way to wait takes a second
                    continue
                await asyncio.sleep(0)
                fetched = [each async for each in self.getmany(timeout=READ_WITHIN_S)]
                if fetched:
                    await self.wait_first(self._hand_over(fetched), self.suspend_flow.wait())
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise

    async def _hand_over(self, fetched: Sequence[tuple[TP, Any]]) -> None:
        """Give messages to their agents, until partitions are taken: what is left then is fetched again."""
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
        """Faust asks its streams' sensors whether they are stuck; here `workers.service.health` tells."""

    # What Faust's committing asks of its bookkeeping

    def _filter_tps_with_pending_acks(self, topics: Collection[Any] | None = None) -> Iterator[TP]:
        return (tp for tp in list(self._delivered) if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self._delivered.get(tp)

    def _should_commit(self, tp: TP, offset: int) -> bool:
        return offset != self._written.get(tp)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Offsets that are not there (compaction, markers) are no gap in what was delivered."""

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        committed: bool = await super()._commit_offsets(offsets, start_new_transaction)
        if committed:
            self._written.update({tp: offset for tp, offset in offsets.items() if tp in self._delivered})
        return committed


class Transport(driver.Transport):
    """Faust's transport over aiokafka with this consumer."""

    Consumer = DeliveredConsumer


class App(faust.App):
    """A Faust application whose position moves past what was delivered only."""

    logger = LOG

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Faust's are for tables, of which there are none; where it starts may be read-only."""
