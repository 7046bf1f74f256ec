"""Run openSMILE in child processes, so that a crash loses no memo.

openSMILE is not thread-safe and is C++: a crash ends its process. Processes are spawned, never forked, because the
parent may run TensorFlow or Kafka threads.
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

SOLO_ATTEMPTS = 2
"""A memo that crashes its process this often while processed alone is the cause."""

Result: TypeAlias = AcousticFeatures | Poison


class ExtractionPool:
    """Extracts signals in parallel, in order, and survives crashes of its processes. Thread-safe."""

    def __init__(self, processes: int, window_s: float) -> None:
        self._processes = processes
        self._window_s = window_s
        self._executor: ProcessPoolExecutor | None = None
        self._executor_lock = threading.Lock()
        self._access = _SharedLock()

    def extract(self, batch: Sequence[FloatArray]) -> list[Result]:
        """One result per signal, in order: its features, or why extraction fails permanently.

        When a process crashes, the unfinished signals are retried without any other batch, then, after another crash,
        one at a time, which identifies the cause: it becomes Poison `acoustic:crash`.
        """
        with self._access.shared():
            results = self._attempt(batch)
        if None not in results:
            return [result for result in results if result is not None]
        with self._access.exclusive():
            missing = [index for index, result in enumerate(results) if result is None]
            for index, retried in zip(missing, self._attempt([batch[index] for index in missing]), strict=True):
                results[index] = retried
            return [
                self._solo(signal) if result is None else result for signal, result in zip(batch, results, strict=True)
            ]

    def close(self) -> None:
        """End the processes; idempotent."""
        if self._executor is not None:
            self._discard(self._executor)

    def _attempt(self, batch: Sequence[FloatArray]) -> list[Result | None]:
        """Results of the batch, None for those lost to a crash."""
        executor = self._current_executor()
        try:
            futures = [executor.submit(extract, signal, self._window_s) for signal in batch]
        except BrokenProcessPool:
            self._discard(executor)
            return [None] * len(batch)
        results = [_outcome(future) for future in futures]
        if None in results:
            self._discard(executor)
        else:
            _release_last_item(executor)
        return results

    def _solo(self, signal: FloatArray) -> Result:
        for _ in range(SOLO_ATTEMPTS):
            (result,) = self._attempt([signal])
            if result is not None:
                return result
        return Poison("acoustic:crash", f"openSMILE crashed {SOLO_ATTEMPTS} times on this memo alone")

    def _current_executor(self) -> ProcessPoolExecutor:
        with self._executor_lock:
            if self._executor is None:
                self._executor = ProcessPoolExecutor(self._processes, get_context("spawn"), _prepare)
            return self._executor

    def _discard(self, executor: ProcessPoolExecutor) -> None:
        """End these processes, once: another batch may have seen the crash too and replaced them already."""
        with self._executor_lock:
            if self._executor is not executor:
                return
            self._executor = None
        executor.shutdown(wait=True, cancel_futures=True)


class _SharedLock:
    """A lock with many shared holders or one exclusive holder; a waiting exclusive holder blocks new shared ones."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._shared = 0
        self._exclusive = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._exclusive)
            self._shared += 1
        try:
            yield
        finally:
            with self._changed:
                self._shared -= 1
                self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._changed:
            self._exclusive += 1
            self._changed.wait_for(lambda: not self._shared)
            try:
                yield
            finally:
                self._exclusive -= 1
                self._changed.notify_all()


def _release_last_item(executor: ProcessPoolExecutor) -> None:
    """Submit a small item: the executor's feeder thread keeps its last one, 115 MB for a 30-minute memo."""
    with suppress(RuntimeError):  # Processes may crash, or be discarded, at any time.
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
    """In each child: ignore interrupts, which the parent handles, and exit with the parent, however it ends."""
    signals.signal(signals.SIGINT, signals.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
