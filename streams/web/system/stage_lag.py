"""Consumer lag and throughput of every stage, asked of the broker when the page is shown, and for ten seconds known.

Lag comes from the broker, as in `streams/agents/lag_exporter.py`: a dead consumer reports nothing itself. So it also
says which roles are alive: one that reads nothing while records wait is stopped or stuck.
"""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.errors import UndertoneError
from schemas.pipeline import HISTORY_STAGES, Stage, stages
from schemas.settings import Settings
from workers.kafka.consumer_lag import Observer

log = logging.getLogger(__name__)

KNOWN_S = 10.0
"""Seconds for which an answer is shown again: a page that many load asks the broker once."""
WITHIN_S = 8.0
"""Timeout of asking, after which the page says that the lag is unknown."""
STILL_S = 20.0
"""Seconds without a step, with records waiting, after which a stage counts as stopped: a large batch takes as long."""
REMEMBERED_S = 300.0

_ = str  # marks messages; they are translated where they are shown


class Health(StrEnum):
    """What a stage does; the values are messages."""

    CURRENT = _("up to date")
    """It has read everything."""
    READING = _("reading")
    """Records wait, and it reads."""
    WAITING = _("records wait")
    """Records wait; whether it reads shows the next look."""
    STOPPED = _("stopped or stuck")
    """Records wait, and it does not read."""


@dataclass(frozen=True, slots=True)
class StageLag:
    """One stage. records: that wait; behind_s: age of the oldest of them, None where it cannot be read.

    per_minute: records that it read a minute since an earlier look, None at the first one.
    """

    stage: str
    records: int
    behind_s: float | None
    per_minute: float | None
    health: Health


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: Unix seconds, and by stage the sum of positions, the lag in records, and the age of the oldest."""

    at_s: float
    positions: dict[str, int]
    records: dict[str, int]
    behind_s: dict[str, float | None]


class Positions(Protocol):
    """What is asked of an Observer."""

    async def waiting(self, group: str, topic: str) -> "dict[TopicPartition, tuple[int, int]]": ...  # noqa: D102
    async def written_at(self, at: TopicPartition, offset: int) -> float | None: ...  # noqa: D102


Observing: TypeAlias = Callable[[Settings], AbstractAsyncContextManager[Positions]]


class StageLags:
    """Of one dashboard process. observing: makes what asks the broker."""

    def __init__(self, settings: Settings, observing: Observing = Observer) -> None:  # type: ignore[assignment]
        self._settings, self._observing = settings, observing
        self._stages = (*stages(settings.modalities), *HISTORY_STAGES)
        self._samples: list[Sample] = []
        self._asking = asyncio.Lock()

    async def lags(self) -> list[StageLag] | None:
        """Every stage in the order of a memo; None while the broker does not answer."""
        async with self._asking:
            now_s = time.time()
            if not self._samples or now_s - self._samples[-1].at_s > KNOWN_S:
                try:
                    async with asyncio.timeout(WITHIN_S), self._observing(self._settings) as observer:
                        sample = await sampled(observer, self._stages, now_s)
                except (TimeoutError, KafkaError, UndertoneError) as error:
                    log.warning("lag of stages unknown: %s", type(error).__name__)
                    return None
                self._samples = [s for s in self._samples if now_s - s.at_s < REMEMBERED_S] + [sample]
            return lags_of(self._samples)


async def sampled(observer: Positions, of: Sequence[Stage], now_s: float) -> Sample:
    """One look at these stages; those of one name, which are one process, count together.

    Raises KafkaError, TimeoutError.
    """
    positions, records, ages = Counter[str](), Counter[str](), defaultdict[str, list[float]](list)
    for stage in of:
        waiting = await observer.waiting(stage.group, stage.reads.name)
        positions[stage.name] += sum(position for position, _lag in waiting.values())
        records[stage.name] += sum(lag for _position, lag in waiting.values())
        written = [await observer.written_at(at, position) for at, (position, lag) in waiting.items() if lag]
        ages[stage.name] += [max(0.0, now_s - each) for each in written if each is not None]
    behind_s = {name: max(ages[name], default=None) if waits else 0.0 for name, waits in records.items()}
    return Sample(now_s, positions, records, behind_s)


def lags_of(samples: Sequence[Sample]) -> list[StageLag]:
    """The stages as of the last sample; the earlier ones say how fast they read."""
    last = samples[-1]
    return [
        StageLag(stage, records, last.behind_s[stage], _per_minute(samples, stage), _health(samples, stage))
        for stage, records in last.records.items()
    ]


def _per_minute(samples: Sequence[Sample], stage: str) -> float | None:
    first, last = samples[0], samples[-1]
    if last.at_s <= first.at_s:
        return None
    return max(0, last.positions[stage] - first.positions.get(stage, 0)) * 60.0 / (last.at_s - first.at_s)


def _health(samples: Sequence[Sample], stage: str) -> Health:
    last = samples[-1]
    if not last.records[stage]:
        return Health.CURRENT
    moved = [sample for sample in samples if sample.positions[stage] != last.positions[stage]]
    still_s = last.at_s - next(s.at_s for s in samples if not moved or s.at_s > moved[-1].at_s)
    if still_s >= STILL_S:
        return Health.STOPPED
    return Health.READING if moved else Health.WAITING
