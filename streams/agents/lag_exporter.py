"""Consumer lag by stage and partition; the agents' process exports it for all stages, workers included.

Dead consumers export no metrics, and stuck ones export wrong ones. So lag comes from the broker: committed offsets
against the end offsets of the partitions, and the time at which the first waiting record was written. When the broker
does not answer, lag is unknown, and after KNOWN_FOR_S it is no longer exported.
"""

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.pipeline import Stage, stages
from schemas.settings import Settings
from workers.kafka.clients import UNAVAILABLE
from workers.kafka.consumer_lag import Observer
from workers.service import prometheus
from workers.service.health import HEALTH, Health

log = logging.getLogger(__name__)

EVERY_S = 3.0
KNOWN_FOR_S = 30.0
"""Seconds without an answer from the broker, after which the exported lag is removed."""
LOOK_S = 30.0
"""Timeout of one measurement of all stages."""

Measured = Mapping[str, Mapping[TopicPartition, tuple[int, int]]]
"""By stage, in the order of a memo, and by partition: the next offset that it reads, and its lag in records."""


class LagExporter:
    """Sets `undertone_lag_records` and `undertone_lag_seconds` while it runs.

    seen: called with each measurement, and the monotonic time at which it began.
    """

    def __init__(self, settings: Settings, seen: Callable[[Measured, float], None] = lambda *_: None) -> None:
        self._settings, self._stages = settings, stages(settings.modalities)
        self._seen = seen
        self._first: dict[tuple[str, TopicPartition], tuple[int, float]] = {}
        """Offset of the first waiting record, and when it was written (Unix seconds)."""
        self._looked_at = time.monotonic()

    async def run(self) -> NoReturn:
        """Measure until cancelled. Raises KafkaError that is not retriable, such as for a missing permission."""
        topics = list(dict.fromkeys(stage.reads for stage in self._stages))
        while True:
            try:
                async with Observer(self._settings, topics) as observer:
                    while True:
                        async with asyncio.timeout(LOOK_S):
                            await self.look(observer)
                        await asyncio.sleep(EVERY_S)
            except UNAVAILABLE as error:
                if isinstance(error, KafkaError) and not error.retriable:
                    raise
                if time.monotonic() - self._looked_at > KNOWN_FOR_S:
                    forget()
                log.info("consumer lag unknown: %s", type(error).__name__)
                await asyncio.sleep(EVERY_S)

    async def look(self, observer: Observer) -> None:
        """Measure every stage once."""
        began = time.monotonic()
        measured = {stage.name: await self._look_at(stage, observer) for stage in self._stages}
        self._looked_at = time.monotonic()
        prometheus.LAG_OBSERVED.set(time.time())
        self._seen(measured, began)
        # Records that a sampler fetched and did not read are in reference cycles in aiokafka, megabytes each time; the
        # collector counts objects, not bytes, and would leave them. With start-up objects frozen this takes 8 to 41 ms.
        gc.collect()

    async def _look_at(self, stage: Stage, observer: Observer) -> Mapping[TopicPartition, tuple[int, int]]:
        seen = await observer.waiting(stage.group, stage.reads.name)
        for at, (position, waiting) in seen.items():
            written_at = await self._written_at(stage, at, position, observer) if waiting else None
            labels = {"stage": stage.name, "topic": at.topic, "partition": str(at.partition)}
            prometheus.LAG_RECORDS.labels(**labels).set(waiting)
            prometheus.LAG_SECONDS.labels(**labels).set(max(time.time() - written_at, 0.0) if written_at else 0.0)
        return seen

    async def _written_at(self, stage: Stage, at: TopicPartition, position: int, observer: Observer) -> float:
        offset, written_at = self._first.get((stage.name, at), (-1, 0.0))
        if offset != position:
            # A record that cannot be fetched in time has waited since now at least.
            written_at = await observer.written_at(at, position) or time.time()
            self._first[stage.name, at] = position, written_at
        return written_at


def forget() -> None:
    """Remove the exported lag: unknown lag is absent, not zero, and an alert fires on its absence."""
    prometheus.LAG_RECORDS.clear()
    prometheus.LAG_SECONDS.clear()


class Stalls:
    """Detects a stage that fetches no records although some wait in partitions of this process.

    stages: those that run here; assigned: returns the partitions that this process has now.
    """

    def __init__(
        self, stages: Collection[str], assigned: Callable[[], Collection[Any]], health: Health = HEALTH
    ) -> None:
        self._stages, self._assigned, self._health = stages, assigned, health

    def look(self, measured: Measured) -> None:
        """Check every stage; called by the lag exporter."""
        assigned = self._assigned()
        for stage in self._stages:
            work, fetch = self._health.part(stage), self._health.part(f"{stage} fetch")
            waits = any(records and at in assigned for at, (_, records) in measured[stage].items())
            if not waits or work.at_work or work.still_s < EVERY_S:
                fetch.rest()
            elif not fetch.at_work:
                fetch.begin("waiting records", needs=("broker", "redis"))
