"""The store in Redis or Valkey.

A value is stored as eight bytes of BLAKE2b over the content, then the content. The digest is the version for
compare-and-set: equal bytes are equal states, so a replay leaves the same bytes, and a value that another process
deleted and wrote again never matches the one that was read. The script compares and sets; it computes no state.

One more key, the roster, is a bitmap: a Bloom filter of every watched key ever written. A missing key that is in the
roster was evicted, has expired or was deleted, and is counted in `lost`.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from types import TracebackType
from typing import Any, Self, TypeVar

from schemas.errors import Transient, UnreadableState
from schemas.settings import Settings
from schemas.state_keys import PREFIX, ROSTER, WATCHED
from workers.service import prometheus
from workers.state import quarantine
from workers.state.redis_client import NOTHING, redis_access, redis_call, redis_client
from workers.state.store import Update

T = TypeVar("T")

_VERSION = 8
_ROUNDS = 100
_ROSTER_BITS = 1 << 24  # 2 MiB; with three probes a million keys give 0.5 % false "lost"
_PROBES = 3

# KEYS: the roster, then the values. ARGV: TTL in milliseconds, then for every value its expected version ('' for none),
# the new value, and the roster offsets of a watched key that is expected to be missing ('' for any other), separated by
# spaces. Returns -1 where another writer won, -2 where the key is of another type, -3 where the roster is; else how
# many of the offsets were already set.
_COMPARE_AND_SET = """
local answers, arg = {}, 1
for i = 2, #KEYS do
  local expected, value, offsets = ARGV[arg + 1], ARGV[arg + 2], ARGV[arg + 3]
  arg = arg + 3
  local answer = -1
  local version = redis.pcall('GETRANGE', KEYS[i], 0, 7)
  if type(version) == 'table' then
    if not string.find(version.err, 'WRONGTYPE') then return version end
    answer = -2
  elseif version == expected then
    answer = 0
    for offset in string.gmatch(offsets, '%d+') do
      local bit = redis.pcall('SETBIT', KEYS[1], offset, 1)
      if type(bit) == 'table' then
        if not string.find(bit.err, 'WRONGTYPE') then return bit end
        answer = -3
        break
      end
      answer = answer + bit
    end
    if answer >= 0 then redis.call('SET', KEYS[i], value, 'PX', ARGV[1]) end
  end
  answers[i - 1] = answer
end
return answers
"""
_CHANGED, _FOREIGN, _ROSTER_FOREIGN = -1, -2, -3
_TOGETHER = 50
"""Values compared and set in one call of the script, so that no call blocks the server for long."""


class RedisStore:
    """A store shared by all processes. Use as an async context manager; close it where it was opened.

    url: `redis://…`, `rediss://…` or `unix://…`; access: options from `redis_access`; prefix: of every key, so that
    systems can share a server; watched: prefixes of the keys whose loss is counted; timeout_s: of one response, after
    which the store counts as unavailable.
    """

    def __init__(
        self,
        url: str,
        access: Mapping[str, Any] = NOTHING,
        *,
        prefix: str = PREFIX,
        watched: tuple[str, ...] = WATCHED,
        timeout_s: float = 5.0,
    ) -> None:
        self.lost = 0
        self._watched = watched
        self._prefix = prefix
        self._redis: Any = redis_client(url, access, timeout_s)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The store from the settings. Raises ConfigurationError for an invalid URL or inconsistent settings."""
        return cls(settings.redis_url or "", redis_access(settings))

    async def update(self, keys: Sequence[str], fn: Update[T], *, ttl_s: float) -> dict[str, T]:
        """As Store.update. Raises Transient also after a hundred consecutive write conflicts on a key."""
        results: dict[str, T] = {}
        open_keys = list(dict.fromkeys(keys))
        restarted: set[str] = set()
        """Keys whose former value was moved to quarantine: missing, but not lost."""
        for _ in range(_ROUNDS):
            if not open_keys:
                return results
            writes: dict[str, tuple[bytes, bytes]] = {}
            unreadable: dict[str, tuple[bytes | None, str]] = {}
            for key, stored in zip(open_keys, await self._fetch(open_keys), strict=True):
                content = _content(stored)
                found = quarantine.attempt(fn, key, content, whole=partial(_whole, stored))
                if isinstance(found, UnreadableState):
                    unreadable[key] = stored, str(found)
                    continue
                value, results[key] = found
                if value is not None and value != content:
                    writes[key] = (b"" if stored is None else stored[:_VERSION], value)
            changed, foreign = await self._write(writes, restarted, max(1, round(ttl_s * 1000)))
            unreadable |= dict.fromkeys(foreign, (None, quarantine.WRONG_TYPE))
            await self._quarantine(unreadable)
            restarted |= unreadable.keys()
            open_keys = [*changed, *(key for key in unreadable if key in keys)]
            prometheus.REDIS_CONFLICTS.inc(len(changed))
        raise Transient(f"write conflict on a key in {_ROUNDS} attempts; check for writers outside Undertone")

    async def _write(
        self, writes: Mapping[str, tuple[bytes, bytes]], restarted: Collection[str], ttl_ms: int
    ) -> tuple[list[str], list[str]]:
        """Write all (expected version, new value) in one pipeline.

        Returns the keys to compute again because another writer changed them first, and those of another type.
        """
        if not writes:
            return [], []
        roster, keys = self._prefix + ROSTER.key(), list(writes)
        async with redis_call(self._redis, "write"), self._redis.pipeline(transaction=False) as pipe:
            for start in range(0, len(keys), _TOGETHER):
                chunk = keys[start : start + _TOGETHER]
                values = [part for key in chunk for part in self._arguments(key, *writes[key], restarted)]
                names = [self._prefix + key for key in chunk]
                pipe.eval(_COMPARE_AND_SET, 1 + len(chunk), roster, *names, ttl_ms, *values)
            # Not redis-py's own error, whose text quotes the command with its content.
            parts = await pipe.execute(raise_on_error=False)
            for part in parts:
                if isinstance(part, Exception):
                    raise part
            answers = dict(zip(keys, (answer for part in parts for answer in part), strict=True))
        self.lost += sum(answer == _PROBES for answer in answers.values())
        foreign = [key for key, answer in answers.items() if answer == _FOREIGN]
        if _ROSTER_FOREIGN in answers.values():
            foreign.append(ROSTER.key())
        return [key for key, answer in answers.items() if answer in {_CHANGED, _ROSTER_FOREIGN}], foreign

    def _arguments(
        self, key: str, expected: bytes, value: bytes, restarted: Collection[str]
    ) -> tuple[bytes, bytes, str]:
        """The script's arguments for one key."""
        known = not expected and key.startswith(self._watched) and key not in restarted
        return expected, _version(value) + value, " ".join(map(str, _probes(key))) if known else ""

    async def _quarantine(self, unreadable: Mapping[str, tuple[bytes | None, str]]) -> None:
        """Move these values, each as it was read, unless another process changed them first."""
        for key, (stored, why) in unreadable.items():
            async with redis_call(self._redis, "write"):
                moved = await quarantine.move(self._redis, key, stored, prefix=self._prefix)
            if moved:
                quarantine.note(key, why)

    async def read(self, keys: Sequence[str]) -> dict[str, bytes | None]:
        """As Store.read."""
        return dict(zip(keys, map(_content, await self._fetch(keys)), strict=True))

    async def _fetch(self, keys: Sequence[str]) -> list[bytes | None]:
        """Version and content of each key, as stored."""
        if not keys:
            return []
        async with redis_call(self._redis, "read"):
            return list(await self._redis.mget([self._prefix + key for key in keys]))

    async def find(self, pattern: str) -> list[str]:
        """As Store.find."""
        async with redis_call(self._redis, "find"):
            prefix = re.sub(r"([*?\[\]\\^])", r"\\\1", self._prefix)
            found = [key async for key in self._redis.scan_iter(match=prefix + pattern, count=1000)]
        return sorted(key.decode()[len(self._prefix) :] for key in found)

    async def delete(self, keys: Sequence[str]) -> None:
        """As Store.delete."""
        if keys:
            async with redis_call(self._redis, "delete"):
                await self._redis.delete(*(self._prefix + key for key in keys))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._redis.aclose()


def _version(value: bytes) -> bytes:
    return blake2b(value, digest_size=_VERSION).digest()


def _whole(stored: bytes | None) -> bool:
    """Whether a value is as a writer left it: its digest is that of its content."""
    return stored is not None and stored[:_VERSION] == _version(stored[_VERSION:])


def _content(stored: bytes | None) -> bytes | None:
    return None if stored is None else stored[_VERSION:]


def _probes(key: str) -> list[int]:
    digest = blake2b(key.encode(), digest_size=4 * _PROBES).digest()
    return [int.from_bytes(digest[4 * i : 4 * i + 4], "big") % _ROSTER_BITS for i in range(_PROBES)]
