"""Memos being loaded, in one queue per user: users load concurrently, and each queue keeps its order."""

import asyncio
from collections import deque
from collections.abc import Coroutine, Hashable
from typing import Any, Generic, TypeAlias, TypeVar

T = TypeVar("T")

UserQueue: TypeAlias = tuple[Hashable, Hashable]
"""A partition, and a key within it."""


class UserQueues(Generic[T]):
    """Concurrent tasks by queue. A queue whose first task is unfinished delays only its own tasks."""

    def __init__(self) -> None:
        self._queues: dict[UserQueue, deque[asyncio.Task[T]]] = {}
        self._ready: deque[UserQueue] = deque()
        """Queues whose first task is finished, in the order in which they became ready."""
        self._finished: set[asyncio.Task[T]] = set()
        self._changed = asyncio.Event()
        self.loading = 0
        """Number of unfinished tasks."""
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Fails with the first exception of any task; never completes otherwise."""

    def begin(self, partition: Hashable, key: Hashable, work: Coroutine[Any, Any, T]) -> None:
        """Start one more task at the end of the queue of `key`."""
        queue = (partition, key)
        task = asyncio.create_task(work)
        self.loading += 1
        self._queues.setdefault(queue, deque()).append(task)
        task.add_done_callback(lambda done: self._done(queue, done))

    def take(self) -> T | None:
        """The next finished result, round-robin over the queues; None when no queue is ready."""
        if not self._ready:
            return None
        queue = self._ready.popleft()
        tasks = self._queues[queue]
        task = tasks.popleft()
        self._finished.discard(task)
        if not tasks:
            del self._queues[queue]
        elif tasks[0] in self._finished:
            self._ready.append(queue)
        return task.result()

    async def wait(self, timeout_s: float) -> None:
        """Return when a task finished since the last call, or after the timeout."""
        try:
            # `asyncio.wait_for` of Python 3.11 forgets a cancellation that meets the end of what it waits for.
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return
        finally:
            self._changed.clear()

    def drop(self, partition: Hashable) -> list[T]:
        """Discard the queues of a partition: cancels unfinished tasks, returns the finished results."""
        queues = [queue for queue in self._queues if queue[0] == partition]
        self._ready = deque(queue for queue in self._ready if queue[0] != partition)
        dropped = [task for queue in queues for task in self._queues.pop(queue)]
        ready = [task.result() for task in dropped if task.done() and not task.cancelled() and not task.exception()]
        self._finished.difference_update(dropped)
        for task in dropped:
            task.cancel()
        return ready

    def drop_all(self) -> None:
        """Discard everything."""
        for partition in {queue[0] for queue in self._queues}:
            self.drop(partition)

    def _done(self, queue: UserQueue, task: asyncio.Task[T]) -> None:
        self.loading -= 1
        self._changed.set()
        if task.cancelled():
            return
        if error := task.exception():
            if not self.failed.done():
                self.failed.set_exception(error)
            return
        tasks = self._queues.get(queue)
        if tasks is not None and task in tasks:
            self._finished.add(task)
            if tasks[0] is task:
                self._ready.append(queue)
