"""Timeouts shared by all processes, in Redis or Valkey: one sorted set of keys by due time."""

import math
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Self

from schemas.state_keys import OPEN_JOINS, PREFIX
from workers.state.redis_client import NOTHING, redis_call, redis_client

CLOCK_S = 10.0
"""Interval of requesting the server's time."""
KEY = PREFIX + OPEN_JOINS.key()


class RedisDeadlines:
    """Deadlines shared by all processes. Raises Transient when Redis is unavailable. `async with RedisDeadlines(url)`.

    Time is the server's, extrapolated between requests by this process's monotonic clock: a wall clock that jumps, here
    or at another agent, closes no join early and keeps none open.
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
        self._requested_at = -math.inf
        self._ahead_s = 0.0
        """Server time minus this process's monotonic clock."""

    async def now(self) -> datetime:
        """See Deadlines."""
        if time.monotonic() - self._requested_at > CLOCK_S:
            async with redis_call(self._client, "deadlines"):
                seconds, micros = await self._client.time()
            self._requested_at = time.monotonic()
            self._ahead_s = seconds + micros / 1e6 - self._requested_at
        return datetime.fromtimestamp(self._ahead_s + time.monotonic(), UTC)

    async def put(self, due: Mapping[str, datetime]) -> None:
        """See Deadlines."""
        if due:
            async with redis_call(self._client, "deadlines"):
                await self._client.zadd(self._key, {key: moment.timestamp() for key, moment in due.items()}, nx=True)

    async def drop(self, keys: Collection[str]) -> None:
        """See Deadlines."""
        if keys:
            async with redis_call(self._client, "deadlines"):
                await self._client.zrem(self._key, *keys)

    async def due(self, now: datetime, most: int) -> list[str]:
        """See Deadlines."""
        async with redis_call(self._client, "deadlines"):
            found = await self._client.zrangebyscore(self._key, "-inf", now.timestamp(), start=0, num=most)
        return [key.decode() for key in found]

    async def count(self) -> int:
        """See Deadlines."""
        async with redis_call(self._client, "deadlines"):
            waiting: int = await self._client.zcard(self._key)
        return waiting

    async def earliest(self) -> datetime | None:
        """See Deadlines."""
        async with redis_call(self._client, "deadlines"):
            first = await self._client.zrange(self._key, 0, 0, withscores=True)
        return datetime.fromtimestamp(first[0][1], UTC) if first else None

    async def __aenter__(self) -> Self:
        """Return self; connections are opened on demand."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._client.aclose()
