"""Committing: what is finished on each partition becomes the position from which the group goes on."""

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
    """The positions of one consumer, whose partitions come and go. stage: for the metrics."""

    def __init__(self, consumer: Any, stage: str) -> None:
        self._consumer, self._stage = consumer, stage
        self._trackers: dict[TopicPartition, OffsetTracker] = {}
        self._committed_at = 0.0

    @property
    def under_way(self) -> int:
        """Records that were fetched and hold a position back."""
        return sum(map(len, self._trackers.values()))

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """Start afresh on these partitions, from what was committed."""
        for partition in partitions:
            self._trackers[partition] = OffsetTracker()

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget these partitions; what is still finished on them is not committed any more."""
        for partition in partitions:
            self._trackers.pop(partition, None)

    def started(self, partition: TopicPartition, offsets: Collection[int]) -> OffsetTracker | None:
        """Records were fetched; the tracker to tell when each is finished. None when the partition was taken away."""
        tracker = self._trackers.get(partition)
        if tracker is not None:
            tracker.started(offsets)
        return tracker

    async def commit_in_time(self) -> None:
        """Commit, unless that was done a moment ago."""
        if time.monotonic() - self._committed_at >= COMMIT_INTERVAL_S:
            await self.commit()

    async def commit(self) -> None:
        """Commit what is new. A commit that fails and may succeed later stays due; raises what the broker refuses."""
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
            log.info("a commit came after the partitions had moved on; their new owner repeats the work")
        except KafkaError as error:
            if not error.retriable:
                raise
            log.warning("a commit failed and is tried again: %s", type(error).__name__)
        else:
            for partition, position in due.items():
                if partition in self._trackers:
                    self._trackers[partition].committed(position)
        finally:
            prometheus.COMMITS.labels(stage=self._stage, outcome=outcome).inc()
