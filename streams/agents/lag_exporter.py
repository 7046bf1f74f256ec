"""Lag by stage and partition, told from outside: by the agents' process, of every hop, workers included.

What a hop would tell of itself is not told when it is dead, and not true when it is stuck. So lag is what the broker
says: committed positions against the ends of the partitions, and the time at which the first waiting record was
written. When the broker does not answer, lag is not known, and after a while nothing is told.
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
from workers.kafka.clients import AWAY
from workers.kafka.consumer_lag import Observer
from workers.service import prometheus
from workers.service.health import HEALTH, Health

log = logging.getLogger(__name__)

EVERY_S = 3.0
KNOWN_FOR_S = 30.0
"""After so long without an answer the last one is taken back."""
LOOK_S = 30.0
"""For one look at everything."""

Waiting = Mapping[TopicPartition, int]
"""Records that wait, by partition."""


class LagExporter:
    """Sets `undertone_lag_records` and `undertone_lag_seconds` while it runs. seen: is told what waits, by stage."""

    def __init__(self, settings: Settings, seen: Callable[[Mapping[str, Waiting]], None] = lambda _: None) -> None:
        self._settings, self._stages = settings, stages(settings.modalities)
        self._seen = seen
        self._first: dict[tuple[str, TopicPartition], tuple[int, float]] = {}
        """Offset of the first record that waits, and when it was written."""
        self._looked_at = time.monotonic()

    async def run(self) -> NoReturn:
        """Look until cancelled. Raises KafkaError where the broker refuses for good, such as for want of a right."""
        among = list(dict.fromkeys(stage.reads for stage in self._stages))
        while True:
            try:
                async with Observer(self._settings, among) as observer:
                    while True:
                        async with asyncio.timeout(LOOK_S):
                            await self.look(observer)
                        await asyncio.sleep(EVERY_S)
            except AWAY as error:
                if isinstance(error, KafkaError) and not error.retriable:
                    raise
                if time.monotonic() - self._looked_at > KNOWN_FOR_S:
                    forget()
                log.info("lag is not known: %s", type(error).__name__)
                await asyncio.sleep(EVERY_S)

    async def look(self, observer: Observer) -> None:
        """Look once at every stage."""
        seen = {stage.name: await self._look_at(stage, observer) for stage in self._stages}
        self._looked_at = time.monotonic()
        prometheus.LAG_OBSERVED.set(time.time())
        self._seen(seen)
        # What a sampler fetched and did not read lies in circles in aiokafka, megabytes for each look; the collector
        # counts objects, not bytes, and would let it lie. With what the start made frozen, this took 8 to 41 ms.
        gc.collect()

    async def _look_at(self, stage: Stage, observer: Observer) -> Waiting:
        seen = await observer.waiting(stage.group, stage.reads.name)
        for at, (position, waiting) in seen.items():
            written_at = await self._written_at(stage, at, position, observer) if waiting else None
            place = {"stage": stage.name, "topic": at.topic, "partition": str(at.partition)}
            prometheus.LAG_RECORDS.labels(**place).set(waiting)
            prometheus.LAG_SECONDS.labels(**place).set(max(time.time() - written_at, 0.0) if written_at else 0.0)
        return {at: waiting for at, (_, waiting) in seen.items()}

    async def _written_at(self, stage: Stage, at: TopicPartition, position: int, observer: Observer) -> float:
        offset, written_at = self._first.get((stage.name, at), (-1, 0.0))
        if offset != position:
            # A record that cannot be had in time has waited since now at least.
            written_at = await observer.written_at(at, position) or time.time()
            self._first[stage.name, at] = position, written_at
        return written_at


def forget() -> None:
    """Take back what was told: a lag that is not known is none, and an alert on its absence says so."""
    prometheus.LAG_RECORDS.clear()
    prometheus.LAG_SECONDS.clear()


class Stalls:
    """Notices when records wait for a stage in partitions of this process, and it does not so much as take them.

    stages: those that run here; assigned: the partitions that this process has now.
    """

    def __init__(
        self, stages: Collection[str], assigned: Callable[[], Collection[Any]], health: Health = HEALTH
    ) -> None:
        self._stages, self._assigned, self._health = stages, assigned, health

    def look(self, seen: Mapping[str, Waiting]) -> None:
        """Told by the watch over lag what waits."""
        assigned = self._assigned()
        for stage in self._stages:
            work, taking = self._health.part(stage), self._health.part(f"{stage} taking records")
            waits = any(records and at in assigned for at, records in seen[stage].items())
            if not waits or work.at_work or work.still_s < EVERY_S:
                taking.rest()
            elif not taking.at_work:
                taking.begin("records that wait", needs=("broker", "redis"))
