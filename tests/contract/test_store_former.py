"""Values that may lie under another name, in every store: taken over by one step, and lost to no writer."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias
from uuid import uuid4

import pytest
import redis

from schemas.errors import UnreadableState
from schemas.state_keys import DRIFT, QUARANTINE
from tests.servers import RedisServer
from workers.state.redis_store import RedisStore
from workers.state.store import MemoryStore, MovingStore

TTL_S = 60.0
Scenario: TypeAlias = Callable[[MovingStore, MovingStore], Coroutine[Any, Any, None]]
NEW, OLD = DRIFT.key("new"), DRIFT.key("old")
FORMER = {NEW: OLD}


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def play(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    async def over(url: str, scenario: Scenario) -> None:
        prefix = f"{uuid4()}:"
        async with RedisStore(url, prefix=prefix) as one, RedisStore(url, prefix=prefix) as other:
            await scenario(one, other)

    async def within(scenario: Scenario) -> None:
        store = MemoryStore()
        await scenario(store, store)

    if request.param == "memory":
        return lambda scenario: asyncio.run(within(scenario))
    server: RedisServer = request.getfixturevalue("redis_server")
    return lambda scenario: asyncio.run(over(server.url, scenario))


def _append(text: bytes) -> Callable[[str, bytes | None], tuple[bytes, str]]:
    """Appends, and says under which name the value was found."""
    return lambda name, stored: ((stored or b"") + text, name)


def test_a_value_is_taken_over_by_the_first_write(play: Callable[[Scenario], None]) -> None:
    async def scenario(one: MovingStore, other: MovingStore) -> None:
        await one.update([OLD], _append(b"1"), ttl_s=TTL_S)
        assert await one.update([NEW], lambda name, _: (None, name), ttl_s=TTL_S, former=FORMER) == {NEW: OLD}
        assert await other.read([OLD, NEW]) == {OLD: b"1", NEW: None}, "who writes nothing moves nothing"
        assert await one.update([NEW], lambda name, stored: (stored, name), ttl_s=TTL_S, former=FORMER) == {NEW: OLD}
        assert await other.read([OLD, NEW]) == {OLD: None, NEW: b"1"}
        assert await other.update([NEW], _append(b"2"), ttl_s=TTL_S, former=FORMER) == {NEW: NEW}
        assert await one.read([OLD, NEW]) == {OLD: None, NEW: b"12"}

    play(scenario)


def test_without_a_value_the_key_itself_is_begun(play: Callable[[Scenario], None]) -> None:
    async def scenario(one: MovingStore, other: MovingStore) -> None:
        assert await one.update([NEW, "a"], _append(b"1"), ttl_s=TTL_S, former=FORMER) == {NEW: NEW, "a": "a"}
        assert await other.read([OLD, NEW, "a"]) == {OLD: None, NEW: b"1", "a": b"1"}

    play(scenario)


def test_of_two_values_that_of_the_key_counts(play: Callable[[Scenario], None]) -> None:
    async def scenario(one: MovingStore, other: MovingStore) -> None:
        await one.update([NEW], _append(b"1"), ttl_s=TTL_S)
        await one.update([OLD], _append(b"x"), ttl_s=TTL_S)
        assert await one.update([NEW], _append(b"2"), ttl_s=TTL_S, former=FORMER) == {NEW: NEW}
        assert await other.read([NEW]) == {NEW: b"12"}

    play(scenario)


def test_what_is_taken_over_and_back_is_not_lost(play: Callable[[Scenario], None]) -> None:
    async def scenario(one: MovingStore, other: MovingStore) -> None:
        back = {OLD: NEW}
        await one.update([OLD], _append(b"1"), ttl_s=TTL_S)
        for key, former in ((NEW, FORMER), (OLD, back), (NEW, FORMER)):
            await one.update([key], _append(b"1"), ttl_s=TTL_S, former=former)
        assert one.lost == 0
        await other.delete([NEW])
        await one.update([NEW], _append(b"1"), ttl_s=TTL_S, former=FORMER)
        assert one.lost == 1

    play(scenario)


def test_an_unreadable_value_is_moved_from_where_it_lies(play: Callable[[Scenario], None]) -> None:
    def strict(name: str, stored: bytes | None) -> tuple[bytes, str]:
        if stored == b"!":
            raise UnreadableState("not a text")
        return (stored or b"") + b"1", name

    async def scenario(one: MovingStore, other: MovingStore) -> None:
        await one.update([OLD], _append(b"!"), ttl_s=TTL_S)
        assert await one.update([NEW], strict, ttl_s=TTL_S, former=FORMER) == {NEW: NEW}
        assert await other.read([OLD, NEW, QUARANTINE.key(OLD)]) == {OLD: None, NEW: b"1", QUARANTINE.key(OLD): b"!"}
        assert one.lost == 0

    play(scenario)


def test_writers_of_either_name_at_once_lose_nothing(play: Callable[[Scenario], None]) -> None:
    async def scenario(one: MovingStore, other: MovingStore) -> None:
        old = [f"old:{i}" for i in range(20)]
        new = [f"new:{i}" for i in range(20)]
        forth, back = dict(zip(new, old, strict=True)), dict(zip(old, new, strict=True))
        writers = [
            store.update(keys, _append(b"x"), ttl_s=TTL_S, former=former)
            for store, keys, former in ((one, new, forth), (other, old, back))
            for _ in range(10)
        ]
        await asyncio.gather(*writers)
        stored = await one.read([*old, *new])
        assert [stored[n] or stored[o] for n, o in forth.items()] == [b"x" * 20] * 20
        assert not any(stored[n] and stored[o] for n, o in forth.items()), "a value lies in one place"

    play(scenario)


@pytest.mark.parametrize("place", [OLD, NEW])
async def test_a_key_of_another_type_is_moved_aside(redis_server: RedisServer, place: str) -> None:
    prefix = f"{uuid4()}:"
    async with RedisStore(redis_server.url, prefix=prefix) as store:
        with redis.Redis.from_url(redis_server.url) as client:
            client.rpush(prefix + place, "x")
            assert await store.update([NEW], _append(b"1"), ttl_s=TTL_S, former=FORMER) == {NEW: NEW}
            assert client.type(prefix + QUARANTINE.key(place)) == b"list"
        assert await store.read([OLD, NEW]) == {OLD: None, NEW: b"1"}
