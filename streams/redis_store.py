"""The store over Redis or Valkey.

A value is held as eight bytes of BLAKE2b over the content, then the content. The digest is the version that
compare-and-set compares: equal bytes are equal states, so a replay leaves the same bytes, and a value that was wiped
and written again by somebody else can never pass for the one that was read. The script compares and sets; it computes
nothing.

Beside the values lies one bitmap, the roster: a Bloom filter of every watched key ever written. A key that is missing
while the roster knows it was evicted, has expired or was deleted, and is counted in `lost`.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from types import TracebackType
from typing import Any, Self, TypeVar

from redis import exceptions
from redis.asyncio import Redis

from schemas.errors import Transient
from streams.store import WATCHED, Update

T = TypeVar("T")

_VERSION = 8
_ROUNDS = 100
_ROSTER_BITS = 1 << 24  # 2 MiB; with three probes a million keys give 0.5 % false "lost"
_PROBES = 3
_AWAY = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.BusyLoadingError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    OSError,
)

# KEYS: value, roster. ARGV: expected version ('' for none), new value, milliseconds to live, roster offsets (only when
# no value is expected). Returns -1 when another writer won, else the count of roster bits that were set already.
_COMPARE_AND_SET = """
if redis.call('GETRANGE', KEYS[1], 0, 7) ~= ARGV[1] then return -1 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if #ARGV == 3 then return 0 end
local known = 0
for i = 4, #ARGV do known = known + redis.call('SETBIT', KEYS[2], ARGV[i], 1) end
return known
"""


class RedisStore:
    """A store that every process shares. Use as an async context manager; close it where it was opened.

    url: `redis://…`, `rediss://…` or `unix://…`; prefix: stands before every key, so that systems can share a server;
    watched: beginnings of the keys whose loss is counted; timeout_s: how long one answer may take before the store
    counts as away.
    """

    def __init__(
        self, url: str, *, prefix: str = "undertone:", watched: tuple[str, ...] = (WATCHED,), timeout_s: float = 5.0
    ) -> None:
        self.lost = 0
        self._watched = watched
        self._prefix = prefix
        self._redis: Any = Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)

    async def update(self, keys: Sequence[str], fn: Update[T], *, ttl_s: float) -> dict[str, T]:
        """As Store.update. Raises Transient also when a key was lost to other writers a hundred times running."""
        results: dict[str, T] = {}
        open_keys = list(dict.fromkeys(keys))
        for _ in range(_ROUNDS):
            if not open_keys:
                return results
            writes: dict[str, tuple[bytes, bytes]] = {}
            for key, held in zip(open_keys, await self._fetch(open_keys), strict=True):
                content = _content(held)
                value, results[key] = fn(key, content)
                if value is not None and value != content:
                    writes[key] = (b"" if held is None else held[:_VERSION], value)
            open_keys = await self._write(writes, max(1, round(ttl_s * 1000)))
        raise Transient("a key changed under every attempt to write it; check for writers outside Undertone")

    async def _write(self, writes: Mapping[str, tuple[bytes, bytes]], ttl_ms: int) -> list[str]:
        """Write all (expected version, new value) in one pipeline; the keys that another writer changed first."""
        if not writes:
            return []
        async with redis_failures(), self._redis.pipeline(transaction=False) as pipe:
            for key, (expected, value) in writes.items():
                probes = _probes(key) if not expected and key.startswith(self._watched) else []
                names = (self._prefix + key, self._prefix + "roster")
                pipe.eval(_COMPARE_AND_SET, 2, *names, expected, _version(value) + value, ttl_ms, *probes)
            answers = await pipe.execute()
        self.lost += sum(answer == _PROBES for answer in answers)
        return [key for key, answer in zip(writes, answers, strict=True) if answer < 0]

    async def read(self, keys: Sequence[str]) -> dict[str, bytes | None]:
        """As Store.read."""
        return dict(zip(keys, map(_content, await self._fetch(keys)), strict=True))

    async def _fetch(self, keys: Sequence[str]) -> list[bytes | None]:
        """Version and content of each key, as they are held."""
        if not keys:
            return []
        async with redis_failures():
            return list(await self._redis.mget([self._prefix + key for key in keys]))

    async def find(self, pattern: str) -> list[str]:
        """As Store.find."""
        async with redis_failures():
            prefix = re.sub(r"([*?\[\]\\^])", r"\\\1", self._prefix)
            found = [key async for key in self._redis.scan_iter(match=prefix + pattern, count=1000)]
        return sorted(key.decode()[len(self._prefix) :] for key in found)

    async def delete(self, keys: Sequence[str]) -> None:
        """As Store.delete."""
        if keys:
            async with redis_failures():
                await self._redis.delete(*(self._prefix + key for key in keys))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._redis.aclose()


@asynccontextmanager
async def redis_failures() -> AsyncIterator[None]:
    """Turns every way in which Redis can be away into Transient."""
    try:
        yield
    except _AWAY as error:
        raise Transient(f"Redis is away or refuses writes ({type(error).__name__}); waiting for it") from error


def _version(value: bytes) -> bytes:
    return blake2b(value, digest_size=_VERSION).digest()


def _content(held: bytes | None) -> bytes | None:
    return None if held is None else held[_VERSION:]


def _probes(key: str) -> list[int]:
    digest = blake2b(key.encode(), digest_size=4 * _PROBES).digest()
    return [int.from_bytes(digest[4 * i : 4 * i + 4], "big") % _ROSTER_BITS for i in range(_PROBES)]
