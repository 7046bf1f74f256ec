"""Commit offsets: the finished records of each partition determine the group's committed position."""

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from schemas.errors import Transient
from workers.consumer.attempts import Attempts
from workers.consumer.offset_tracker import OffsetTracker
from workers.service import prometheus
from workers.service.retry import retry_transient

log = logging.getLogger(__name__)

COMMIT_INTERVAL_S = 0.5
POSITION_S = 0.05
"""Timeout of a position: a new partition has none until the broker responds."""


class Committer:
    """The positions of one consumer's assigned partitions. stage: for the metrics."""

    def __init__(self, consumer: Any, stage: str) -> None:
        self._consumer, self._stage = consumer, stage
        self._trackers: dict[TopicPartition, OffsetTracker] = {}
        self._attempts = Attempts()
        self._found: dict[TopicPartition, int] = {}
        """Committed offsets at the assignment, of partitions that had one."""
        self._committed_at = 0.0
        self._writing = asyncio.Lock()
        """Held during a request: of two at once, the later might carry the earlier position."""

    @property
    def under_way(self) -> int:
        """Fetched records that block a position."""
        return sum(map(len, self._trackers.values()))

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """Start these partitions from their committed offsets."""
        for partition in partitions:
            self._trackers[partition] = OffsetTracker()

    def revoked(self, partitions: Collection[TopicPartition]) -> None:
        """Forget these partitions; records finished later are not committed."""
        for partition in partitions:
            self._trackers.pop(partition, None)
            self._found.pop(partition, None)
        self._attempts.forget(partitions)

    def started(self, partition: TopicPartition, offsets: Collection[int]) -> OffsetTracker | None:
        """Register fetched records; returns the tracker to report finished ones to, None if revoked meanwhile."""
        tracker = self._trackers.get(partition)
        if tracker is not None:
            tracker.started(offsets)
        return tracker

    async def commit_in_time(self) -> None:
        """Commit, at most once per COMMIT_INTERVAL_S."""
        if time.monotonic() - self._committed_at >= COMMIT_INTERVAL_S:
            await self.commit()

    async def commit(self) -> None:
        """Commit new positions. A retriable failure leaves them due; raises any other KafkaError."""
        self._committed_at = time.monotonic()
        await self._pass_what_is_no_record()
        async with self._writing:
            positions = {p: t.committable() for p, t in self._trackers.items()}
            await self._write({p: position for p, position in positions.items() if position is not None})

    async def _pass_what_is_no_record(self) -> None:
        """Step past the markers of transactions and the records of aborted ones: consumer lag counts them."""
        for partition, tracker in list(self._trackers.items()):
            position = tracker.position if tracker.position is not None else self._found.get(partition)
            if position is None or tracker.last is not None:
                continue
            with suppress(IllegalStateError, TimeoutError):
                async with asyncio.timeout(POSITION_S):
                    consumed = await self._consumer.position(partition)
                if consumed > position:
                    tracker.passed(consumed)

    # Records that kill their process

    async def recall(self) -> None:
        """Read what the last owners have left at newly assigned partitions. Retries while the broker is unavailable."""
        unknown = [partition for partition in self._trackers if not self._attempts.knows(partition)]
        if not unknown:
            return
        found = await retry_transient(
            lambda: committed_metadata(self._consumer, unknown), stage=self._stage, target="broker"
        )
        async with self._writing:
            ours = [(p, *at) for p, at in found.items() if p in self._trackers]
            self._found |= {p: position for p, position, _ in ours if position}
            await self._write({p: position for p, position, mark in ours if self._attempts.recall(p, position, mark)})
        if (at_once := self.at_once()) is not None:
            log.warning("%s: a process died; its records are processed again, at_once=%d", self._stage, at_once)

    def at_once(self) -> int | None:
        """How many records may be in flight; None without a limit."""
        return self._attempts.at_once((p, t.position or 0) for p, t in self._trackers.items())

    def condemns(self, partition: TopicPartition, offset: int) -> bool:
        """Whether this record has killed its last process."""
        return self._attempts.condemns(partition, offset)

    async def mark(self, partitions: Collection[TopicPartition]) -> None:
        """Mark the records in flight of these partitions, and what else is due. Raises as `commit`."""
        async with self._writing:
            due = self._attempts.due(partitions) & self._trackers.keys()
            await self._write({p: at for p in due if (at := self._trackers[p].position) is not None})

    async def release(self) -> None:
        """Remove the marks: this process ends, and not because of a record."""
        async with self._writing:
            marked = self._attempts.marked() & self._trackers.keys()
            due = {p: at for p in marked if (at := self._trackers[p].position) is not None}
            await self._write(due, marks=False)

    async def _write(self, due: Mapping[TopicPartition, int], *, marks: bool = True) -> None:
        """Commit these positions, each with the mark of its records in flight."""
        if not due:
            return
        lasts = {p: self._trackers[p].last if marks else None for p in due}
        request = {p: OffsetAndMetadata(at, self._attempts.metadata(p, at, lasts[p])) for p, at in due.items()}
        outcome = "failed"
        try:
            await self._consumer.commit(request)
            outcome = "ok"
        except (CommitFailedError, IllegalStateError):
            log.info("offset commit rejected after rebalance; batch will be reprocessed")
        except KafkaError as error:
            if not error.retriable:
                raise
            log.warning("offset commit failed, retrying: %s", type(error).__name__)
        else:
            for partition, position in due.items():
                if partition in self._trackers:
                    self._trackers[partition].committed(position)
                    self._attempts.committed(partition, request[partition].metadata)
        finally:
            prometheus.COMMITS.labels(stage=self._stage, outcome=outcome).inc()


async def committed_metadata(
    consumer: Any, partitions: Collection[TopicPartition]
) -> Mapping[TopicPartition, tuple[int, str]]:
    """Committed offset and metadata of each partition, 0 and empty without one. Raises Transient and KafkaError.

    aiokafka's `committed` gives the offset alone.
    """
    try:
        found = await consumer._coordinator.fetch_committed_offsets(list(partitions))
    except KafkaError as error:
        if error.retriable:
            raise Transient(f"cannot read committed offsets ({type(error).__name__})") from error
        raise
    empty = OffsetAndMetadata(0, "")
    each = {partition: found.get(partition, empty) for partition in partitions}
    return {partition: (max(at.offset, 0), at.metadata or "") for partition, at in each.items()}
