"""Commit offsets: the finished records of each partition determine the group's committed position."""

import logging
import time
from collections.abc import Collection, Iterable
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from workers.consumer.offset_tracker import OffsetTracker
from workers.service import prometheus

log = logging.getLogger(__name__)

COMMIT_INTERVAL_S = 0.5


class Committer:
    """The positions of one consumer's assigned partitions. stage: for the metrics."""

    def __init__(self, consumer: Any, stage: str) -> None:
        self._consumer, self._stage = consumer, stage
        self._trackers: dict[TopicPartition, OffsetTracker] = {}
        self._committed_at = 0.0

    @property
    def under_way(self) -> int:
        """Fetched records that block a position."""
        return sum(map(len, self._trackers.values()))

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """Start these partitions from their committed offsets."""
        for partition in partitions:
            self._trackers[partition] = OffsetTracker()

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget these partitions; records finished later are not committed."""
        for partition in partitions:
            self._trackers.pop(partition, None)

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
        positions = {p: t.committable() for p, t in self._trackers.items()}
        due = {p: position for p, position in positions.items() if position is not None}
        if not due:
            return
        outcome = "failed"
        try:
            await self._consumer.commit(due)
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
        finally:
            prometheus.COMMITS.labels(stage=self._stage, outcome=outcome).inc()
