"""Redis: what an erasure deletes there, row by row of the table of keys, and what it looks for afterwards.

Keys are found by name: the subject's, and the pseudonym's where state was written in clear. Sets and lists of several
people lose the person's entries. Nothing here asks for a key of a person.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from redis.exceptions import WatchError

from schemas.errors import Transient
from schemas.privacy_marks import Erased
from schemas.state_keys import MUTES, PREFIX, QUARANTINE, STATE_KEYS, Kind, StateKey, row_of
from streams.privacy.places import Person, Trial
from workers.state import roster
from workers.state.redis_client import redis_call
from workers.state.sealed_deadlines import MARK
from workers.state.sealed_keys import SEALED, personal_key, sealed_key
from workers.state.sealed_values import without_subject, without_user

PAGE = 1000
ANY = "\x00"
"""Stands for a name that may be anything."""
REWRITTEN_WITHIN_S = 600.0
ASK_EVERY_S = 0.2
_DIGEST_BYTES = 8
"""Before a value, over its content: `workers/state/redis_store.py`."""


class RedisPlace:
    """One Redis or Valkey. client: connected to it."""

    name = "Redis"

    def __init__(self, client: Any, prefix: str = PREFIX) -> None:
        self._redis, self._prefix = client, prefix

    async def forget(self, person: Person) -> Counter[str]:
        """As `Place.forget`."""
        deleted: Counter[str] = Counter()
        for row in STATE_KEYS:
            match row.marks.erased:
                case Erased.DELETED:
                    deleted[row.name] = await self._delete([key async for key in self._own(row, person)])
                case Erased.ENTRIES if row.kind is Kind.SORTED_SET:
                    deleted[row.name] = await self._remove_members(row, person)
                case Erased.ENTRIES:
                    deleted[row.name] = await self._remove_entries(row, person)
                case _:
                    continue
        return deleted

    async def rewrite(self) -> Sequence[str]:
        """Have the server rewrite its append-only file and its dump, which keep names after they are deleted."""
        # It would answer for a pseudonym that had state in clear.
        await roster.rebuild(self._redis, self._prefix)
        async with redis_call(self._redis, "rewrite"):
            found = await self._redis.info("persistence")
            if found.get("aof_enabled"):
                await self._redis.bgrewriteaof()
                await self._until("aof_rewrite_in_progress", "aof_rewrite_scheduled", "aof_last_bgrewrite_status")
            elif found.get("rdb_last_save_time") and await self._saves():
                await self._redis.bgsave(schedule=True)
                await self._until("rdb_bgsave_in_progress", "rdb_bgsave_in_progress", "rdb_last_bgsave_status")
        return ()

    async def attempt(self, person: Person) -> Mapping[str, Trial]:
        """As `Place.attempt`: reads every key of the prefix, and every value that might hold the pseudonym."""
        found: dict[str, Trial] = {}
        async for keys in self._pages(f"{_literal(self._prefix)}*"):
            for key, value in zip(keys, await self._values(keys), strict=True):
                name = key.decode(errors="replace").removeprefix(self._prefix)
                row = row_of(name)
                label = row.name if row else "other keys"
                found[label] = found.get(label, Trial()) + _tried(name, value, person)
        return found

    async def _own(self, row: StateKey, person: Person) -> AsyncIterator[bytes]:
        """Keys of a row that are the person's."""
        for pattern in _patterns(row, person):
            async for keys in self._pages(_literal(self._prefix) + pattern):
                for key in keys:
                    yield key

    async def _pages(self, pattern: str) -> AsyncIterator[list[bytes]]:
        """Keys that match a pattern, in pages; a scan sees every key that is there from its start to its end."""
        cursor = 0
        while True:
            async with redis_call(self._redis, "find"):
                cursor, keys = await self._redis.scan(cursor, match=pattern, count=PAGE)
            if keys:
                yield list(keys)
            if not cursor:
                return

    async def _values(self, keys: Iterable[bytes]) -> list[bytes]:
        """All that a key holds, of whatever type, as bytes."""
        return [await self._content(key) for key in keys]

    async def _content(self, key: bytes) -> bytes:
        async with redis_call(self._redis, "read"):
            match (await self._redis.type(key)).decode():
                case "string":
                    return await self._redis.get(key) or b""
                case "zset":
                    return b"\n".join(await self._redis.zrange(key, 0, -1))
                case "list":
                    return b"\n".join(await self._redis.lrange(key, 0, -1))
                case "set":
                    return b"\n".join(await self._redis.smembers(key))
                case "hash":
                    return b"\n".join(part for pair in (await self._redis.hgetall(key)).items() for part in pair)
                case _:
                    return b""

    async def _delete(self, keys: list[bytes]) -> int:
        if not keys:
            return 0
        async with redis_call(self._redis, "delete"):
            return int(await self._redis.delete(*dict.fromkeys(keys)))

    async def _remove_members(self, row: StateKey, person: Person) -> int:
        """Remove the members of a sorted set that are the person, or keys of the person."""
        key, gone = self._prefix + row.key(), 0
        cursor = 0
        while True:
            async with redis_call(self._redis, "find"):
                cursor, page = await self._redis.zscan(key, cursor, count=PAGE)
            if mine := [member for member, _ in page if _is_of(member, person)]:
                async with redis_call(self._redis, "delete"):
                    gone += int(await self._redis.zrem(key, *mine))
            if not cursor:
                return gone

    async def _remove_entries(self, row: StateKey, person: Person) -> int:
        """Remove the entries of a list in one value; whether there were any, 1 or 0.

        Where another process changes it meanwhile, it is read again.
        """
        without = WITHOUT[row.name]
        key = self._prefix + row.key()
        while True:
            async with redis_call(self._redis, "write"), self._redis.pipeline() as pipe:
                await pipe.watch(key)
                stored = await pipe.get(key)
                if stored is None:
                    return 0
                content = without(stored[_DIGEST_BYTES:], person)
                if content == stored[_DIGEST_BYTES:]:
                    return 0
                pipe.multi()
                pipe.set(key, _digest(content) + content, keepttl=True)
                if await _executed(pipe):
                    return 1

    async def _saves(self) -> bool:
        return bool((await self._redis.config_get("save")).get("save"))

    async def _until(self, running: str, scheduled: str, status: str) -> None:
        """Wait for the end of a rewrite. Raises Transient when it failed, or takes longer than REWRITTEN_WITHIN_S."""
        try:
            async with asyncio.timeout(REWRITTEN_WITHIN_S):
                while (found := await self._redis.info("persistence"))[running] or found[scheduled]:
                    await asyncio.sleep(ASK_EVERY_S)
        except TimeoutError:
            raise Transient("Redis has not finished rewriting its file: look at its log") from None
        if found[status] != "ok":
            raise Transient("Redis could not rewrite its file, which still has deleted names: look at its disk and log")


def _without_mutes(content: bytes, person: Person) -> bytes:
    return without_user(without_subject(content, person.subject), person.user_id)


WITHOUT: Mapping[str, Callable[[bytes, Person], bytes]] = {MUTES.name: _without_mutes}
"""By name of a row with entries of several people in one value: its content without one person."""


def _patterns(row: StateKey, person: Person) -> Iterator[str]:
    """Glob patterns of the keys of a row that are a person's, at rest and in clear."""
    if row is QUARANTINE:
        of_others = (each for other in STATE_KEYS if other is not row for each in _patterns(other, person))
        yield from (_literal(row.prefix) + each for each in of_others)
        return
    first, *others = re.findall(r"<(\w+)>", row.pattern) or [""]
    if first == "user_id":
        yield _literal(f"{row.prefix}{person.subject.hex()}{SEALED}") + "*"
        yield _literal(row.key(person.user_id, *(ANY for _ in others))).replace(ANY, "*")


def _literal(text: str) -> str:
    """A glob pattern that matches this text alone."""
    return re.sub(r"([*?\[\]\\^])", r"\\\1", text)


def _is_of(member: bytes, person: Person) -> bool:
    """Whether a member of a set is the person, or a key of the person, at rest or in clear."""
    text = member.decode(errors="replace")
    if text in (person.user_id, MARK + person.subject.hex()):
        return True
    sealed, clear = sealed_key(text), personal_key(text)
    if sealed is not None:
        return sealed.subject == person.subject
    return clear is not None and clear.user_id == person.user_id


def _tried(key: str, value: bytes, person: Person) -> Trial:
    """One key with its value: whose it is, and whether either names the person."""
    in_clear = person.named_in(key.encode())
    named = in_clear or person.named_in(value)
    return Trial(tried=1, sealed=int(person.subject.hex() + SEALED in key), opened=int(in_clear), named=int(named))


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=_DIGEST_BYTES).digest()


async def _executed(pipe: Any) -> bool:
    """Whether a transaction was executed: not when another process changed what it watches."""
    try:
        await pipe.execute()
    except WatchError:
        return False
    return True
