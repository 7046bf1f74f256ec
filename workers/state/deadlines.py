"""Timeouts shared by all processes: keys with their due times."""

import asyncio
import heapq
import random
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Protocol


class Deadlines(Protocol):
    """Keys and their due times. All operations are idempotent; the first due time of a key is kept."""

    async def now(self) -> datetime:
        """The time used for deadlines: one clock for all processes, and monotonic within each."""

    async def put(self, due: Mapping[str, datetime]) -> None:
        """Add keys; an existing key keeps its due time."""

    async def drop(self, keys: Collection[str]) -> None:
        """Remove keys; ignores unknown ones."""

    async def move(self, due: Mapping[str, datetime]) -> None:
        """Give keys another due time; ignores unknown ones."""

    async def sample(self, most: int) -> list[str]:
        """At most `most` different keys, at random."""

    async def due(self, now: datetime, most: int) -> list[str]:
        """At most `most` keys that are due, earliest first; they stay until dropped."""

    async def bring_back(self, latest: datetime, most: int) -> int:
        """Make at most `most` keys that are due after `latest` due then; returns how many.

        A clock that was ahead when they were put would keep them for as long.
        """

    async def count(self) -> int:
        """The number of keys."""

    async def earliest(self) -> datetime | None:
        """The earliest due time; None without keys."""

    async def starting_with(self, prefix: str) -> list[str]:
        """The keys that begin with a text, sorted; reads all keys, so for operators only."""


class SeparateDeadlines(Deadlines, Protocol):
    """Deadlines of keys that may not be there.

    A server logs a command that changes anything with all of its keys: one that is not there is not named with others.
    """

    async def drop_each(self, keys: Collection[str]) -> None:
        """As `drop`, each key by itself."""

    async def move_each(self, due: Mapping[str, datetime]) -> None:
        """As `move`, each key by itself."""


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

    async def move(self, due: Mapping[str, datetime]) -> None:
        """See Deadlines."""
        await asyncio.sleep(0)
        self._due |= {key: moment for key, moment in due.items() if key in self._due}

    async def drop_each(self, keys: Collection[str]) -> None:
        """See SeparateDeadlines."""
        await self.drop(keys)

    async def move_each(self, due: Mapping[str, datetime]) -> None:
        """See SeparateDeadlines."""
        await self.move(due)

    async def sample(self, most: int) -> list[str]:
        """See Deadlines."""
        return random.sample(list(self._due), min(most, len(self._due)))

    async def due(self, now: datetime, most: int) -> list[str]:
        """See Deadlines."""
        await asyncio.sleep(0)
        found = ((moment, key) for key, moment in self._due.items() if moment <= now)
        return [key for _, key in heapq.nsmallest(most, found)]

    async def bring_back(self, latest: datetime, most: int) -> int:
        """See Deadlines."""
        await asyncio.sleep(0)
        ahead = [key for key, moment in self._due.items() if moment > latest][:most]
        self._due |= dict.fromkeys(ahead, latest)
        return len(ahead)

    async def count(self) -> int:
        """See Deadlines."""
        return len(self._due)

    async def earliest(self) -> datetime | None:
        """See Deadlines."""
        return min(self._due.values(), default=None)

    async def starting_with(self, prefix: str) -> list[str]:
        """See Deadlines."""
        return sorted(key for key in self._due if key.startswith(prefix))
