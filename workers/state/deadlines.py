"""Timeouts that all processes share: keys with the moment at which they are due."""

import asyncio
import heapq
import math
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, Self

from schemas.state_keys import OPEN_JOINS, PREFIX
from workers.state.redis_client import NOTHING, redis_client
from workers.state.redis_store import redis_failures

CLOCK_S = 10.0
"""Between two questions for the server's time."""
KEY = PREFIX + OPEN_JOINS.key()


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


class RedisDeadlines:
    """Deadlines that all processes share. Raises Transient when Redis is away. `async with RedisDeadlines(url)`.

    Time is the server's, carried on from one question to the next by this process's steady clock: a wall clock that
    jumps, here or beside another agent, closes no join early and keeps none open.
    """

    def __init__(
        self,
        url: str,
        access: Mapping[str, Any] = NOTHING,
        *,
        key: str = KEY,
        timeout_s: float = 5.0,
    ) -> None:
        self._client: Any = redis_client(url, access, timeout_s)
        self._key = key
        self._asked_at = -math.inf
        self._ahead_s = 0.0
        """Of the server's clock before the steady one here."""

    async def now(self) -> datetime:
        """See Deadlines."""
        if time.monotonic() - self._asked_at > CLOCK_S:
            async with redis_failures("deadlines"):
                seconds, micros = await self._client.time()
            self._asked_at = time.monotonic()
            self._ahead_s = seconds + micros / 1e6 - self._asked_at
        return datetime.fromtimestamp(self._ahead_s + time.monotonic(), UTC)

    async def put(self, due: Mapping[str, datetime]) -> None:
        """See Deadlines."""
        if due:
            async with redis_failures("deadlines"):
                await self._client.zadd(self._key, {key: moment.timestamp() for key, moment in due.items()}, nx=True)

    async def drop(self, keys: Collection[str]) -> None:
        """See Deadlines."""
        if keys:
            async with redis_failures("deadlines"):
                await self._client.zrem(self._key, *keys)

    async def due(self, now: datetime, most: int) -> list[str]:
        """See Deadlines."""
        async with redis_failures("deadlines"):
            found = await self._client.zrangebyscore(self._key, "-inf", now.timestamp(), start=0, num=most)
        return [key.decode() for key in found]

    async def count(self) -> int:
        """See Deadlines."""
        async with redis_failures("deadlines"):
            waiting: int = await self._client.zcard(self._key)
        return waiting

    async def earliest(self) -> datetime | None:
        """See Deadlines."""
        async with redis_failures("deadlines"):
            first = await self._client.zrange(self._key, 0, 0, withscores=True)
        return datetime.fromtimestamp(first[0][1], UTC) if first else None

    async def __aenter__(self) -> Self:
        """Connections are made when needed."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give the connections back."""
        await self._client.aclose()
