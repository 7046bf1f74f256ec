"""Run openSMILE in child processes, so that a crash loses no memo: it is C++, and not thread-safe."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeAlias

from schemas.errors import Poison, Transient
from schemas.events import FloatArray
from workers.acoustic.extraction import AcousticFeatures
from workers.processes.child import Child, Ended
from workers.processes.pool import ChildPool
from workers.service.health import HEALTH

SOLO_ATTEMPTS = 2
"""A memo that crashes its process this often while processed alone is the cause."""

PASS_S = 900.0
"""Seconds after which a process that hangs is ended: thirty times those of the longest memo."""

Result: TypeAlias = AcousticFeatures | Poison


class OpenSmileChild(Child):
    """A process that runs `opensmile_process`. Raises Transient if it cannot be started."""

    def __init__(self) -> None:
        super().__init__("workers.acoustic.opensmile_process", wall_s=PASS_S)

    def extract(self, signal: FloatArray, window_s: float) -> AcousticFeatures | Exception:
        """Features of one signal, or what `extraction.extract` raised. Raises Ended, also after PASS_S."""
        with self.deadline():
            self.connection.send((signal, window_s))
            outcome: AcousticFeatures | Exception = self.connection.recv()
        return outcome


class ExtractionPool:
    """Extracts signals in parallel, in order, and survives crashes of its processes. Thread-safe."""

    def __init__(self, processes: int, window_s: float) -> None:
        self._processes = processes
        self._window_s = window_s
        self._children = ChildPool(OpenSmileChild, processes)
        self._access = _SharedLock()
        self._closed = False

    @property
    def idle(self) -> list[OpenSmileChild]:
        """The processes that wait for a signal."""
        return [*self._children.idle]

    def extract(self, batch: Sequence[FloatArray]) -> list[Result]:
        """One result per signal, in order: its features, or why extraction fails permanently.

        A signal whose process crashes is retried alone, because the kernel may have ended the process for the memory
        of its neighbours; when it crashes again it becomes Poison `acoustic:crash`. Raises Transient when no process
        can be started, and after `close`.
        """
        with self._access.shared():
            results = self._attempts(batch)
        if None not in results:
            return [result for result in results if result is not None]
        with self._access.exclusive():
            return [
                self._solo(signal) if result is None else result for signal, result in zip(batch, results, strict=True)
            ]

    def close(self) -> None:
        """End the processes, those at work too; idempotent."""
        self._closed = True
        self._children.close()

    def _attempts(self, batch: Sequence[FloatArray]) -> list[Result | None]:
        """Results of the batch, None for those lost to a crash."""
        if not batch:
            return []
        with ThreadPoolExecutor(min(self._processes, len(batch))) as threads:
            try:
                return list(threads.map(self._attempt, batch))
            except Exception:
                raise
            except BaseException:  # An interrupt does not wait for threads that wait for a long memo.
                self._children.close()
                raise

    def _attempt(self, signal: FloatArray) -> Result | None:
        if self._closed:
            raise Transient("the processes that run openSMILE were ended")
        with self._children.borrowed() as child:
            try:
                outcome = child.extract(signal, self._window_s)
            except Ended:
                return None
            finally:
                HEALTH.part("acoustic").progress()
        if isinstance(outcome, Exception) and not isinstance(outcome, Poison):
            raise outcome
        return outcome

    def _solo(self, signal: FloatArray) -> Result:
        for _ in range(SOLO_ATTEMPTS):
            result = self._attempt(signal)
            if result is not None:
                return result
        return Poison("acoustic:crash", f"openSMILE crashed {SOLO_ATTEMPTS} times on this memo alone")


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
