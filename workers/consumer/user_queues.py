"""Memos being loaded, in one lane a user: many load at once, but each lane gives them up in order."""

import asyncio
from collections import deque
from collections.abc import Coroutine, Hashable
from typing import Any, Generic, TypeAlias, TypeVar

T = TypeVar("T")

UserQueue: TypeAlias = tuple[Hashable, Hashable]
"""A partition, and a key within it."""


class UserQueues(Generic[T]):
    """Work under way by lane. A lane whose first piece is not ready holds up its own pieces and nobody else's."""

    def __init__(self) -> None:
        self._lanes: dict[UserQueue, deque[asyncio.Task[T]]] = {}
        self._ready: deque[UserQueue] = deque()
        """Queues that begin with a finished piece, in the order in which they came to."""
        self._finished: set[asyncio.Task[T]] = set()
        self._changed = asyncio.Event()
        self.loading = 0
        """Pieces that are not ready."""
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Fails with the first defect of any piece; it is never done otherwise."""

    def begin(self, partition: Hashable, key: Hashable, work: Coroutine[Any, Any, T]) -> None:
        """Begin one more piece at the end of the lane of `key`."""
        lane = (partition, key)
        task = asyncio.create_task(work)
        self.loading += 1
        self._lanes.setdefault(lane, deque()).append(task)
        task.add_done_callback(lambda done: self._done(lane, done))

    def take(self) -> T | None:
        """The next piece that is ready, by turns among the lanes; None when no lane begins with one."""
        if not self._ready:
            return None
        lane = self._ready.popleft()
        tasks = self._lanes[lane]
        task = tasks.popleft()
        self._finished.discard(task)
        if not tasks:
            del self._lanes[lane]
        elif tasks[0] in self._finished:
            self._ready.append(lane)
        return task.result()

    async def wait(self, timeout_s: float) -> None:
        """Return when a piece became ready since the last call, or after a while."""
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return
        finally:
            self._changed.clear()

    def drop(self, partition: Hashable) -> list[T]:
        """Forget the lanes of a partition: what loads is cancelled, what was ready is given back."""
        lanes = [lane for lane in self._lanes if lane[0] == partition]
        self._ready = deque(lane for lane in self._ready if lane[0] != partition)
        dropped = [task for lane in lanes for task in self._lanes.pop(lane)]
        ready = [task.result() for task in dropped if task.done() and not task.cancelled() and not task.exception()]
        self._finished.difference_update(dropped)
        for task in dropped:
            task.cancel()
        return ready

    def drop_all(self) -> None:
        """Forget everything."""
        for partition in {lane[0] for lane in self._lanes}:
            self.drop(partition)

    def _done(self, lane: UserQueue, task: asyncio.Task[T]) -> None:
        self.loading -= 1
        self._changed.set()
        if task.cancelled():
            return
        if error := task.exception():
            if not self.failed.done():
                self.failed.set_exception(error)
            return
        tasks = self._lanes.get(lane)
        if tasks is not None and task in tasks:
            self._finished.add(task)
            if tasks[0] is task:
                self._ready.append(lane)
