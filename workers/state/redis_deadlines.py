"""Timeouts shared by all processes, in Redis or Valkey: one sorted set of keys by due time."""

import math
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self

from redis.exceptions import ResponseError

from schemas.settings import Settings
from schemas.state_keys import OPEN_JOINS, PREFIX, StateKey
from workers.state import quarantine
from workers.state.redis_client import NOTHING, redis_access, redis_call, redis_client
from workers.state.redis_errors import WRONG_TYPE, code_of

PAGE = 10_000
"""Keys in one answer where all are read."""
CLOCK_S = 10.0
"""Interval of requesting the server's time."""
# The server replicates and logs what a script changed, not the script: commands that changed nothing are in neither.
DROP_EACH = "for i = 1, #ARGV do redis.call('ZREM', KEYS[1], ARGV[i]) end"
MOVE_EACH = "for i = 1, #ARGV, 2 do redis.call('ZADD', KEYS[1], 'XX', ARGV[i], ARGV[i + 1]) end"
_LATEST_S = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


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
        key: str | None = None,
        row: StateKey = OPEN_JOINS,
        timeout_s: float = 5.0,
    ) -> None:
        self._client: Any = redis_client(url, access, timeout_s)
        self._row, self._key = row, key or PREFIX + row.key()
        self._requested_at = -math.inf
        self._ahead_s = 0.0
        """Server time minus this process's monotonic clock."""

    @classmethod
    def of(cls, settings: Settings, row: StateKey = OPEN_JOINS) -> Self:
        """Those of a row of the table of keys. Raises ConfigurationError for settings that cannot be used."""
        return cls(settings.redis_url or "", redis_access(settings), row=row)

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
            members = {key: moment.timestamp() for key, moment in due.items()}
            await self._call(lambda: self._client.zadd(self._key, members, nx=True))

    async def drop(self, keys: Collection[str]) -> None:
        """See Deadlines."""
        if keys:
            await self._call(lambda: self._client.zrem(self._key, *keys))

    async def move(self, due: Mapping[str, datetime]) -> None:
        """See Deadlines."""
        if due:
            members = {key: moment.timestamp() for key, moment in due.items()}
            await self._call(lambda: self._client.zadd(self._key, members, xx=True))

    async def drop_each(self, keys: Collection[str]) -> None:
        """See SeparateDeadlines."""
        if keys:
            await self._call(lambda: self._client.eval(DROP_EACH, 1, self._key, *keys))

    async def move_each(self, due: Mapping[str, datetime]) -> None:
        """See SeparateDeadlines."""
        if due:
            pairs = [part for key, moment in due.items() for part in (moment.timestamp(), key)]
            await self._call(lambda: self._client.eval(MOVE_EACH, 1, self._key, *pairs))

    async def sample(self, most: int) -> list[str]:
        """See Deadlines."""
        return await self._texts(await self._call(lambda: self._client.zrandmember(self._key, most)))

    async def due(self, now: datetime, most: int) -> list[str]:
        """See Deadlines."""
        return await self._texts(
            await self._call(lambda: self._client.zrangebyscore(self._key, "-inf", now.timestamp(), start=0, num=most))
        )

    async def _texts(self, found: Sequence[bytes]) -> list[str]:
        """Members as keys; those that are no text are dropped."""
        keys = {member: _text(member) for member in found}
        if foreign := [member for member, key in keys.items() if key is None]:
            await self._call(lambda: self._client.zrem(self._key, *foreign))
            quarantine.note(self._row.key(), "members that are no text were dropped")
        return [key for key in keys.values() if key is not None]

    async def bring_back(self, latest: datetime, most: int) -> int:
        """See Deadlines."""
        after, due_s = f"({latest.timestamp()}", latest.timestamp()
        ahead = await self._call(lambda: self._client.zrangebyscore(self._key, after, "+inf", start=0, num=most))
        if ahead:
            await self._call(lambda: self._client.zadd(self._key, dict.fromkeys(ahead, due_s), xx=True))
        return len(ahead)

    async def count(self) -> int:
        """See Deadlines."""
        waiting: int = await self._call(lambda: self._client.zcard(self._key))
        return waiting

    async def earliest(self) -> datetime | None:
        """See Deadlines."""
        first = await self._call(lambda: self._client.zrange(self._key, 0, 0, withscores=True))
        return datetime.fromtimestamp(min(max(first[0][1], 0.0), _LATEST_S), UTC) if first else None

    async def starting_with(self, prefix: str) -> list[str]:
        """See Deadlines. A key whose due time changes meanwhile may be missed."""
        found, start, wanted = set[str](), 0, prefix.encode()
        while page := await self._call(partial(self._client.zrange, self._key, start, start + PAGE - 1)):
            found.update(key for member in page if member.startswith(wanted) and (key := _text(member)) is not None)
            start += PAGE
        return sorted(found)

    async def _call(self, command: Callable[[], Awaitable[Any]]) -> Any:
        """The answer to a command; a key of another type is moved to quarantine first, and all timeouts restart.

        A join or user whose due time was lost is given one by the next part or memo; else a join expires.
        """
        try:
            async with redis_call(self._client, "deadlines"):
                return await command()
        except ResponseError as error:
            if code_of(error) != WRONG_TYPE:
                raise
        async with redis_call(self._client, "deadlines"):
            key = self._key.removeprefix(PREFIX)
            prefix = self._key.removesuffix(key)
            if await quarantine.move(self._client, key, None, self._row.kind, prefix=prefix):
                quarantine.note(key, quarantine.WRONG_TYPE)
            return await command()

    async def __aenter__(self) -> Self:
        """Return self; connections are opened on demand."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._client.aclose()


def _text(member: bytes) -> str | None:
    try:
        return member.decode()
    except UnicodeDecodeError:
        return None
