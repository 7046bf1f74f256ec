"""The store in Redis or Valkey.

A value is stored as eight bytes of BLAKE2b over the content, then the content. The digest is the version for
compare-and-set: equal bytes are equal states, so a replay leaves the same bytes, and a value that another process
deleted and wrote again never matches the one that was read. The script compares and sets; it computes no state.

One more key, the roster, is a bitmap: a Bloom filter of every watched key ever written. A missing key that is in the
roster was evicted, has expired or was deleted, and is counted in `lost`.

One script compares a value that may be stored under another name under both, sets the one and removes the other.
"""

import re
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from types import TracebackType
from typing import Any, Self, TypeVar

from schemas.errors import Transient, UnreadableState
from schemas.settings import Settings
from schemas.state_keys import PREFIX, ROSTER, WATCHED
from workers.service import prometheus
from workers.state import compare_and_set as cas
from workers.state import quarantine, roster
from workers.state.compare_and_set import Write
from workers.state.redis_client import NOTHING, redis_access, redis_call, redis_client
from workers.state.store import NOWHERE, Update

T = TypeVar("T")

_VERSION = 8
_ROUNDS = 100

PRESENT = 20_000
"""Most keys that are remembered to have a value."""
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
        self._present: set[str] = set()
        """Keys that had a value when they were last used here: of others, both names are read at once."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The store from the settings. Raises ConfigurationError for an invalid URL or inconsistent settings."""
        return cls(settings.redis_url or "", redis_access(settings))

    async def update(
        self, keys: Sequence[str], fn: Update[T], *, ttl_s: float, former: Mapping[str, str] = NOWHERE
    ) -> dict[str, T]:
        """As MovingStore.update. Raises Transient also after a hundred consecutive write conflicts on a key."""
        results: dict[str, T] = {}
        open_keys = list(dict.fromkeys(keys))
        restarted: set[str] = set()
        """Keys whose former value was moved to quarantine: missing, but not lost."""
        for _ in range(_ROUNDS):
            if not open_keys:
                return results
            writes: list[Write] = []
            unreadable: dict[str, tuple[bytes | None, str]] = {}
            """By the name where the value was found."""
            again: list[str] = []
            for key, found_at, stored, other in await self._found(open_keys, former):
                content = _content(stored)
                found = quarantine.attempt(fn, found_at, content, whole=partial(_whole, stored))
                if isinstance(found, UnreadableState):
                    unreadable[found_at] = stored, str(found)
                    again.append(key)
                    continue
                value, results[key] = found
                if value is not None and (value != content or found_at != key):
                    expected = b"" if found_at != key else _version_of(stored)
                    writes.append(Write(key, expected, _version(value) + value, other))
            changed, foreign = await self._write(writes, restarted, max(1, round(ttl_s * 1000)))
            if former:
                self._note_present([write.key for write in writes])
            unreadable |= dict.fromkeys(foreign, (None, quarantine.WRONG_TYPE))
            await self._quarantine(unreadable)
            restarted |= {*unreadable, *again}
            open_keys = [*changed, *again]
        raise Transient(f"write conflict on a key in {_ROUNDS} attempts; check for writers outside Undertone")

    async def _found(
        self, keys: Sequence[str], former: Mapping[str, str]
    ) -> list[tuple[str, str, bytes | None, tuple[str, bytes] | None]]:
        """For each key: itself, the name where its value was found, the value as stored, and the other name to compare.

        None for the last where a write concerns the key alone.
        """
        if not former:
            return [(key, key, value, None) for key, value in zip(keys, await self._fetch(keys), strict=True)]
        unsure = [key for key in keys if key in former and key not in self._present]
        values = await self._fetch([*keys, *(former[key] for key in unsure)])
        stored = dict(zip(keys, values, strict=False))
        others = dict(zip(unsure, values[len(keys) :], strict=True))
        # A key with a value is alone: whoever takes its value over removes it, which its own version shows.
        gone = [key for key in keys if stored[key] is None and key in former and key not in others]
        if gone:
            # Both names are read at once: between two reads another process may move a value.
            again = await self._fetch([name for key in gone for name in (key, former[key])])
            stored.update(zip(gone, again[::2], strict=True))
            others.update(zip(gone, again[1::2], strict=True))
        self._note_present([key for key in keys if stored[key] is not None])
        return [
            (key, key, value, None)
            if (value := stored[key]) is not None or key not in others
            else self._at(key, others[key], former[key])
            for key in keys
        ]

    def _note_present(self, keys: Collection[str]) -> None:
        if len(self._present) > PRESENT:
            self._present.clear()
        self._present.update(keys)

    @staticmethod
    def _at(key: str, other: bytes | None, name: str) -> tuple[str, str, bytes | None, tuple[str, bytes] | None]:
        """As `_found`, of a key without a value. other: what is stored under its other name."""
        return key, key if other is None else name, other, (name, _version_of(other))

    async def _write(
        self, writes: Sequence[Write], restarted: Collection[str], ttl_ms: int
    ) -> tuple[list[str], list[str]]:
        """Write all in one pipeline.

        Returns the keys to compute again, because another writer changed them first or because of a key of another
        type, and the names of the latter.
        """
        if not writes:
            return [], []
        register = self._prefix + ROSTER.key()
        calls = list(_together(writes))
        async with redis_call(self._redis, "write"), self._redis.pipeline(transaction=False) as pipe:
            for call in calls:
                values = [part for write in call for part in write.arguments(self._offsets(write, restarted))]
                names = [self._prefix + name for write in call for name in write.names]
                pipe.eval(call[0].script, 1 + len(names), register, *names, ttl_ms, *values)
            # Not redis-py's own error, whose text quotes the command with its content.
            parts = await pipe.execute(raise_on_error=False)
            for part in parts:
                if isinstance(part, Exception):
                    raise part
        answers = [
            (write, answer)
            for call, part in zip(calls, parts, strict=True)
            for write, answer in zip(call, part, strict=True)
        ]
        self.lost += sum(answer == roster.PROBES and not write.moved for write, answer in answers)
        prometheus.REDIS_CONFLICTS.inc(sum(answer in cas.AGAIN for _, answer in answers))
        foreign = [write.key for write, answer in answers if answer == cas.FOREIGN]
        foreign += [write.names[1] for write, answer in answers if answer == cas.OTHER_FOREIGN]
        if any(answer == cas.ROSTER_FOREIGN for _, answer in answers):
            foreign.append(ROSTER.key())
        return [write.key for write, answer in answers if answer < 0], foreign

    def _offsets(self, write: Write, restarted: Collection[str]) -> str:
        """The roster's offsets of a watched key that is expected to be missing, for the script."""
        new = not write.expected and write.key.startswith(self._watched) and write.key not in restarted
        return " ".join(map(str, roster.probes(write.key))) if new else ""

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
        return sorted([key async for page in self.pages(pattern) for key in page])

    async def pages(self, pattern: str) -> AsyncIterator[list[str]]:
        """As MovingStore.pages."""
        prefix, cursor = re.sub(r"([*?\[\]\\^])", r"\\\1", self._prefix), None
        while cursor != 0:
            async with redis_call(self._redis, "find"):
                cursor, found = await self._redis.scan(cursor or 0, match=prefix + pattern, count=1000)
            yield [key.decode(errors="replace")[len(self._prefix) :] for key in found]

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


def _version_of(stored: bytes | None) -> bytes:
    return b"" if stored is None else stored[:_VERSION]


def _together(writes: Sequence[Write]) -> Iterator[Sequence[Write]]:
    """The writes of each call of a script."""
    for script in (cas.COMPARE_AND_SET, cas.TAKE_OVER):
        same = [write for write in writes if write.script is script]
        yield from (same[start : start + _TOGETHER] for start in range(0, len(same), _TOGETHER))


def _whole(stored: bytes | None) -> bool:
    """Whether a value is as a writer left it: its digest is that of its content."""
    return stored is not None and stored[:_VERSION] == _version(stored[_VERSION:])


def _content(stored: bytes | None) -> bytes | None:
    return None if stored is None else stored[_VERSION:]
