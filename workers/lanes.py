"""Memos being loaded, in one lane a partition: many load at once, but each lane gives them up in order."""

import asyncio
from collections import deque
from collections.abc import Coroutine, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Lanes(Generic[T]):
    """Work under way by lane. A lane whose first piece is not ready holds up its own pieces and nobody else's."""

    def __init__(self) -> None:
        self._lanes: dict[Hashable, deque[asyncio.Task[T]]] = {}
        self._changed = asyncio.Event()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Fails with the first defect of any piece; it is never done otherwise."""

    @property
    def loading(self) -> int:
        """Pieces that are not ready."""
        return sum(not task.done() for lane in self._lanes.values() for task in lane)

    def begin(self, lane: Hashable, work: Coroutine[Any, Any, T]) -> None:
        """Begin one more piece at the end of a lane."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._done)
        self._lanes.setdefault(lane, deque()).append(task)

    def take(self) -> T | None:
        """The next piece that is ready, by turns among the lanes; None when no lane begins with one."""
        for lane in list(self._lanes):
            tasks = self._lanes[lane]
            if tasks and tasks[0].done():
                self._lanes[lane] = self._lanes.pop(lane)  # its turn is over
                return tasks.popleft().result()
        return None

    async def wait(self, timeout_s: float) -> None:
        """Return when a piece became ready since the last call, or after a while."""
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return
        finally:
            self._changed.clear()

    def drop(self, lane: Hashable) -> list[T]:
        """Forget a lane: what loads is cancelled, what was ready is given back."""
        dropped = self._lanes.pop(lane, deque())
        ready = [task.result() for task in dropped if task.done() and not task.cancelled() and not task.exception()]
        for task in dropped:
            task.cancel()
        return ready

    def drop_all(self) -> None:
        """Forget everything."""
        for lane in list(self._lanes):
            self.drop(lane)

    def _done(self, task: asyncio.Task[T]) -> None:
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) and not self.failed.done():
            self.failed.set_exception(error)
