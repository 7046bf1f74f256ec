"""Timeouts that all processes share: keys with the moment at which they are due."""

import asyncio
import heapq
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Protocol


class Deadlines(Protocol):
    """Keys and when they are due. Everything is idempotent; the first time that a key is given stands."""

    async def now(self) -> datetime:
        """The time that deadlines go by: one clock for all processes, and steady within each."""

    async def put(self, due: Mapping[str, datetime]) -> None:
        """Remember keys; one that is known keeps its time."""

    async def drop(self, keys: Collection[str]) -> None:
        """Forget keys; unknown ones are no error."""

    async def due(self, now: datetime, most: int) -> list[str]:
        """At most `most` keys whose time has come, earliest first; they stay until dropped."""

    async def count(self) -> int:
        """How many keys wait."""

    async def earliest(self) -> datetime | None:
        """When the first key that waits is due; None when none waits."""


class MemoryDeadlines:
    """Deadlines of one process. clock: the time now, aware."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._due: dict[str, datetime] = {}
        self._clock = clock

    async def now(self) -> datetime:
        """See Deadlines."""
        return self._clock()

    async def put(self, due: Mapping[str, datetime]) -> None:
        """See Deadlines."""
        await asyncio.sleep(0)
        for key, moment in due.items():
            self._due.setdefault(key, moment)

    async def drop(self, keys: Collection[str]) -> None:
        """See Deadlines."""
        await asyncio.sleep(0)
        for key in keys:
            self._due.pop(key, None)

    async def due(self, now: datetime, most: int) -> list[str]:
        """See Deadlines."""
        await asyncio.sleep(0)
        ripe = ((moment, key) for key, moment in self._due.items() if moment <= now)
        return [key for _, key in heapq.nsmallest(most, ripe)]

    async def count(self) -> int:
        """See Deadlines."""
        return len(self._due)

    async def earliest(self) -> datetime | None:
        """See Deadlines."""
        return min(self._due.values(), default=None)
