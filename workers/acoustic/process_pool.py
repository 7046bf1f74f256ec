"""openSMILE in processes of its own, which may die without taking a memo with them.

openSMILE is not thread-safe and is C++: a crash in it ends its process. Processes are spawned, never forked, because
the parent may hold TensorFlow's or Kafka's threads.
"""

import os
import signal as signals
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process
from typing import TypeAlias

from schemas.errors import Poison
from schemas.events import FloatArray
from workers.acoustic.extraction import AcousticFeatures, extract
from workers.service.health import HEALTH

LONE_TRIES = 2
"""A memo that ends its process this often, with no other memo beside it, is at fault itself."""

Result: TypeAlias = AcousticFeatures | Poison


class ExtractionPool:
    """Extracts signals in parallel, in order, and outlives the death of its processes. Safe from several threads."""

    def __init__(self, processes: int, window_s: float) -> None:
        self._processes = processes
        self._window_s = window_s
        self._executor: ProcessPoolExecutor | None = None
        self._making = threading.Lock()
        self._way = _Way()

    def extract(self, batch: Sequence[FloatArray]) -> list[Result]:
        """One result per signal, in order: its features, or why it can never have any.

        When a process dies, the signals that were under way are done again, with no other batch beside them, then, if
        another dies, one at a time, so that the one at fault is known: it becomes Poison `acoustic:crash`.
        """
        with self._way.shared():
            results = self._together(batch)
        if None not in results:
            return [result for result in results if result is not None]
        with self._way.alone():
            missing = [index for index, result in enumerate(results) if result is None]
            for index, again in zip(missing, self._together([batch[index] for index in missing]), strict=True):
                results[index] = again
            return [
                self._alone(signal) if result is None else result for signal, result in zip(batch, results, strict=True)
            ]

    def close(self) -> None:
        """End the processes; idempotent."""
        if self._executor is not None:
            self._discard(self._executor)

    def _together(self, batch: Sequence[FloatArray]) -> list[Result | None]:
        """Results of the batch, None for those that a dying process took along."""
        executor = self._processes_now()
        try:
            futures = [executor.submit(extract, signal, self._window_s) for signal in batch]
        except BrokenProcessPool:
            self._discard(executor)
            return [None] * len(batch)
        results = [_outcome(future) for future in futures]
        if None in results:
            self._discard(executor)
        else:
            _let_go(executor)
        return results

    def _alone(self, signal: FloatArray) -> Result:
        for _ in range(LONE_TRIES):
            (result,) = self._together([signal])
            if result is not None:
                return result
        return Poison("acoustic:crash", f"openSMILE ended its process {LONE_TRIES} times on this memo alone")

    def _processes_now(self) -> ProcessPoolExecutor:
        with self._making:
            if self._executor is None:
                self._executor = ProcessPoolExecutor(self._processes, get_context("spawn"), _prepare)
            return self._executor

    def _discard(self, executor: ProcessPoolExecutor) -> None:
        """End these processes, once: another batch may have seen them die too, and have others in their place."""
        with self._making:
            if self._executor is not executor:
                return
            self._executor = None
        executor.shutdown(wait=True, cancel_futures=True)


class _Way:
    """Many may be on it together, or one alone, who waits for the others and is waited for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._together = 0
        self._waiting = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting)
            self._together += 1
        try:
            yield
        finally:
            with self._changed:
                self._together -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: not self._together)
            try:
                yield
            finally:
                self._waiting -= 1
                self._changed.notify_all()


def _let_go(executor: ProcessPoolExecutor) -> None:
    """Send something small: the thread that feeds the processes holds what it sent last, 115 MB of a 30-minute memo."""
    with suppress(RuntimeError):  # Processes may die, or be discarded, at any time.
        executor.submit(int)


def _outcome(future: "Future[AcousticFeatures]") -> Result | None:
    try:
        return future.result()
    except Poison as poison:
        return poison
    except BrokenProcessPool:
        return None
    finally:
        HEALTH.part("acoustic").progress()


def _prepare() -> None:
    """In each child: leave interrupts to the parent, and end when it has ended, however it did."""
    signals.signal(signals.SIGINT, signals.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
