"""Child processes that are kept for the next task."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from workers.processes.child import Child

C = TypeVar("C", bound=Child)


class ChildPool(Generic[C]):
    """At most so many children, each started when it is first needed. Thread-safe, and usable after a fork.

    start: makes a child; most: how many work at once.
    """

    def __init__(self, start: Callable[[], C], most: int) -> None:
        self._start, self._most = start, most
        self._inherited: list[C] = []
        self._begin()

    def _begin(self) -> None:
        self._owner = os.getpid()
        self._free = threading.BoundedSemaphore(self._most)
        self._lock = threading.Lock()
        self.idle: list[C] = []
        self._busy: list[C] = []

    @contextmanager
    def borrowed(self) -> Iterator[C]:
        """A child for one task, the last used first; it is ended if the task raises. Raises what `start` raises."""
        self._forget_those_of_a_parent()
        with self._free:
            child = self._take()
            try:
                yield child
            except BaseException:
                child.end()
                raise
            finally:
                self._give_back(child)

    def close(self) -> None:
        """End all children, those at work too; idempotent, and a later task starts new ones."""
        self._forget_those_of_a_parent()
        with self._lock:
            idle, self.idle = self.idle, []
            busy = [*self._busy]
        for child in idle:
            child.end()
        for child in busy:
            child.kill()  # whoever borrowed it sees it end

    def _take(self) -> C:
        while True:
            with self._lock:
                child = self.idle.pop() if self.idle else None
            if child is None:
                child = self._start()
            if child.alive:
                with self._lock:
                    self._busy.append(child)
                return child
            child.end()

    def _give_back(self, child: C) -> None:
        alive = child.alive
        with self._lock:
            self._busy.remove(child)
            if alive:
                self.idle.append(child)
        if not alive:
            child.end()

    def _forget_those_of_a_parent(self) -> None:
        """After a fork the children are the parent's: two processes would talk on one connection."""
        if os.getpid() != self._owner:
            self._inherited += [*self.idle, *self._busy]
            self._begin()
