"""How far the feature workers have come, and the agents with what they wrote: whether a part can still be expected.

A memo's missing part can still come while its worker has not passed the memo. So each measurement of the offsets is
kept until every worker has committed past the end that it saw, and then until the agents have read all that was written
by that time. All memos that had been uploaded at such a measurement are passed. Pure but for the clock.
"""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

Offsets: TypeAlias = Mapping[Any, int]
"""An offset by partition."""
Measured: TypeAlias = Mapping[str, Mapping[Any, tuple[int, int]]]
"""By stage, in the order in which they were measured, and by partition: next offset to be read, and records waiting."""
STEPS = 128
"""Measurements that wait are this share of the time since the first apart: some hundreds after an absence of days."""


class StageProgress:
    """The time up to which all uploads are passed. workers: stages that read uploads; agents: stages that read results.

    clock: monotonic, in seconds.
    """

    def __init__(
        self, workers: Collection[str], agents: Collection[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._workers, self._agents, self._clock = workers, agents, clock
        self._uploads: dict[str, list[tuple[float, Offsets]]] = {stage: [] for stage in workers}
        """Of each worker: when measured, and the ends of the uploads then."""
        self._processed: dict[str, float] = {}
        self._results: list[tuple[float, Offsets]] = []
        """Up to when all workers had processed the uploads, and the ends of their results when that was seen."""
        self._passed: float | None = None

    @property
    def passed(self) -> float | None:
        """The time of the clock up to which all uploads are passed; None while that is unknown."""
        return self._passed

    def behind_s(self) -> float | None:
        """All memos that were uploaded at least so many seconds ago are passed; None while that is unknown."""
        return None if self._passed is None else max(self._clock() - self._passed, 0.0)

    def look(self, measured: Measured, began: float) -> None:
        """Take a measurement that began at that time of the clock, workers before agents."""
        for stage in self._workers:
            waiting = self._uploads[stage]
            _keep(waiting, began, _ends(measured[stage]))
            processed = _reached(waiting, _positions(measured[stage]))
            if processed is not None:
                self._processed[stage] = processed
        if len(self._processed) == len(self._workers):
            results = {(stage, at): end for stage in self._agents for at, end in _ends(measured[stage]).items()}
            _keep(self._results, min(self._processed.values()), results)
        read = {(stage, at): next_ for stage in self._agents for at, next_ in _positions(measured[stage]).items()}
        passed = _reached(self._results, read)
        if passed is not None:
            self._passed = passed


class ScoresRead:
    """The time up to which all uploads are passed and the scores that they led to are read. reader: the stage.

    Memos that wait for a modality are not passed by this: they are scored within the join timeout after it.
    """

    def __init__(self, progress: StageProgress, reader: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress, self._reader, self._clock = progress, reader, clock
        self._waiting: list[tuple[float, Offsets]] = []
        self._read: float | None = None

    def behind_s(self) -> float | None:
        """All memos that were uploaded at least so many seconds ago are read; None while that is unknown."""
        return None if self._read is None else max(self._clock() - self._read, 0.0)

    def look(self, measured: Measured) -> None:
        """Take a measurement, after the progress has taken it. The reader was measured after the stage that writes."""
        passed = self._progress.passed
        if passed is not None and (not self._waiting or passed > self._waiting[-1][0]):
            _keep(self._waiting, passed, _ends(measured[self._reader]))
        read = _reached(self._waiting, _positions(measured[self._reader]))
        if read is not None:
            self._read = read


def _keep(waiting: list[tuple[float, Offsets]], at_s: float, ends: Offsets) -> None:
    """Add a measurement; it replaces the last one where two are too close."""
    if len(waiting) > 1 and waiting[-1][0] - waiting[-2][0] <= (at_s - waiting[0][0]) / STEPS:
        waiting.pop()
    waiting.append((at_s, ends))


def _reached(waiting: list[tuple[float, Offsets]], positions: Offsets) -> float | None:
    """The time of the latest measurement whose ends are reached; drops it with all before. None when none is."""
    for index in reversed(range(len(waiting))):
        at_s, ends = waiting[index]
        if all(positions.get(at, -1) >= end for at, end in ends.items()):
            del waiting[: index + 1]
            return at_s
    return None


def _positions(stage: Mapping[Any, tuple[int, int]]) -> Offsets:
    return {at: position for at, (position, _) in stage.items()}


def _ends(stage: Mapping[Any, tuple[int, int]]) -> Offsets:
    return {at: position + waiting for at, (position, waiting) in stage.items()}
