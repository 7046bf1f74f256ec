"""One suite for every implementation of deadlines: in memory, sealed, and with a real server."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
import redis

from schemas.errors import Transient
from schemas.state_keys import OPEN_JOINS
from tests.servers import RedisServer
from workers.privacy.keyring import Keyring
from workers.state import redis_deadlines
from workers.state.deadlines import Deadlines, MemoryDeadlines
from workers.state.redis_deadlines import RedisDeadlines
from workers.state.sealed_deadlines import SealedDeadlines

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)


@pytest.fixture(params=["memory", "sealed", pytest.param("redis", marks=pytest.mark.redis)])
async def deadlines(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[Deadlines]:
    if request.param == "memory":
        yield MemoryDeadlines()
    elif request.param == "sealed":
        keyring: Keyring = request.getfixturevalue("keyring")
        keyring.warm_now(["a", "ab", "a*", "b"], enrol=True)
        yield SealedDeadlines(MemoryDeadlines(), keyring, OPEN_JOINS)
    else:
        server: RedisServer = request.getfixturevalue("redis_server")
        async with RedisDeadlines(server.url, key=f"open:{uuid4()}") as shared:
            yield shared


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


async def test_keys_are_due_when_their_time_has_come_earliest_first(deadlines: Deadlines) -> None:
    await deadlines.put({"late": after(3), "early": after(1), "never": after(100)})
    assert await deadlines.due(after(0.5), 10) == []
    assert await deadlines.due(after(3), 10) == ["early", "late"]
    assert await deadlines.due(after(3), 1) == ["early"]
    assert await deadlines.due(after(3), 10) == ["early", "late"]


async def test_the_first_due_time_of_a_key_is_kept(deadlines: Deadlines) -> None:
    await deadlines.put({"key": after(1)})
    await deadlines.put({"key": after(50)})
    assert await deadlines.due(after(2), 10) == ["key"]
    assert await deadlines.count() == 1


async def test_moved_keys_are_due_at_their_new_time_and_unknown_ones_stay_unknown(deadlines: Deadlines) -> None:
    await deadlines.put({"sooner": after(50), "later": after(1)})
    await deadlines.move({"sooner": after(2), "later": after(60), "unknown": after(1)})
    await deadlines.move({})
    assert await deadlines.due(after(9), 10) == ["sooner"]
    assert await deadlines.count() == 2


async def test_a_sample_has_different_keys_and_at_most_as_many_as_are_wanted(deadlines: Deadlines) -> None:
    assert await deadlines.sample(3) == []
    keys = [str(number) for number in range(20)]
    await deadlines.put(dict.fromkeys(keys, NOW))
    some = await deadlines.sample(5)
    assert len(set(some)) == 5
    assert set(some) < set(keys)
    assert sorted(await deadlines.sample(99)) == sorted(keys)


async def test_dropping_is_idempotent_and_a_dropped_key_can_be_put_again(deadlines: Deadlines) -> None:
    await deadlines.put({"key": after(1)})
    await deadlines.drop(["key", "unknown"])
    await deadlines.drop(["key"])
    await deadlines.drop([])
    assert (await deadlines.due(after(9), 10), await deadlines.count()) == ([], 0)
    await deadlines.put({"key": after(20)})
    assert await deadlines.due(after(9), 10) == []


async def test_the_keys_of_one_user_are_found(deadlines: Deadlines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_deadlines, "PAGE", 2)
    await deadlines.put({f"join:{{{user}}}:{n}": after(n) for n in range(3) for user in ("a", "ab", "a*")})
    assert await deadlines.starting_with("join:{a}:") == ["join:{a}:0", "join:{a}:1", "join:{a}:2"]
    assert await deadlines.starting_with("join:{a*}:") == ["join:{a*}:0", "join:{a*}:1", "join:{a*}:2"]
    assert await deadlines.starting_with("join:{b}:") == []


async def test_the_earliest_due_time_is_reported(deadlines: Deadlines) -> None:
    assert await deadlines.earliest() is None
    await deadlines.put({"late": after(3), "early": after(1.5)})
    assert await deadlines.earliest() == after(1.5)
    await deadlines.drop(["early"])
    assert await deadlines.earliest() == after(3)


async def test_due_times_that_no_clock_can_have_given_are_brought_back(deadlines: Deadlines) -> None:
    await deadlines.put({"soon": after(3), "edge": after(60), "year": after(365 * 86400), "ages": after(8e9)})
    assert await deadlines.bring_back(after(60), 1) == 1
    assert await deadlines.bring_back(after(60), 10) == 1
    assert await deadlines.bring_back(after(60), 10) == 0
    assert await deadlines.due(after(59), 10) == ["soon"]
    assert sorted(await deadlines.due(after(60), 10)) == ["ages", "edge", "soon", "year"]


async def test_a_due_time_of_infinity_is_brought_back(redis_server: RedisServer) -> None:
    key = f"open:{uuid4()}"
    async with RedisDeadlines(redis_server.url, key=key) as shared:
        with redis.Redis.from_url(redis_server.url) as client:
            client.zadd(key, {"infinite": "inf"})
        assert await shared.bring_back(after(60), 10) == 1
        assert await shared.due(after(60), 10) == ["infinite"]


async def test_its_clock_is_monotonic(deadlines: Deadlines) -> None:
    first = await deadlines.now()
    assert abs(first - datetime.now(UTC)) < timedelta(seconds=5)
    assert timedelta() <= await deadlines.now() - first < timedelta(seconds=5)


class Jumped(datetime):
    """A wall clock an hour ahead."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Jumped":
        ahead = datetime.now(tz) + timedelta(hours=1)
        return cls.fromtimestamp(ahead.timestamp(), tz)


async def test_a_wall_clock_that_jumps_closes_nothing(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time is the server's; this process's wall clock does not matter."""
    async with RedisDeadlines(redis_server.url, key=f"open:{uuid4()}") as shared:
        due = await shared.now() + timedelta(seconds=60)
        await shared.put({"key": due})
        monkeypatch.setattr("workers.state.redis_deadlines.datetime", Jumped)
        assert Jumped.now(UTC) > due
        assert await shared.due(await shared.now(), 10) == []


async def test_nothing_to_do_is_no_call(deadlines: Deadlines) -> None:
    await deadlines.put({})
    assert await deadlines.count() == 0


async def test_an_unavailable_server_is_transient() -> None:
    with RedisServer() as server:
        async with RedisDeadlines(server.url, timeout_s=1.0) as deadlines:
            await deadlines.put({"key": after(1)})
            server.kill()
            for ask in (deadlines.count, deadlines.earliest, partial(deadlines.due, NOW, 1)):
                with pytest.raises(Transient, match=r"REDIS_URL=redis://127\.0\.0\.1"):
                    await ask()
            server.start()
            assert await deadlines.due(after(1), 10) == ["key"]


@pytest.mark.redis
@pytest.mark.parametrize("command", [("RPUSH", "x"), ("SET", b"x"), ("HSET", "f", "x"), ("XADD", "*", "f", "x")])
async def test_timeouts_begin_anew_when_their_key_is_of_another_type(
    redis_server: RedisServer, command: tuple[str, ...]
) -> None:
    name, *arguments = command
    with redis.Redis(port=redis_server.port) as client:
        for call in ("put", "drop", "due", "count", "earliest"):
            key = f"open:{uuid4()}"
            client.execute_command(name, key, *arguments)
            async with RedisDeadlines(redis_server.url, key=key) as deadlines:
                given: dict[str, tuple[Any, ...]] = {"put": ({"a": NOW},), "drop": (["a"],), "due": (NOW, 9)}
                await getattr(deadlines, call)(*given.get(call, ()))
                await deadlines.put({"a": NOW})
                assert await deadlines.due(NOW, 9) == ["a"]
            assert client.exists(f"quarantine:{key}") == 1


@pytest.mark.redis
async def test_members_that_nobody_wrote_hold_up_no_other(redis_server: RedisServer) -> None:
    key = f"open:{uuid4()}"
    with redis.Redis(port=redis_server.port) as client:
        client.zadd(key, {b"\xff\xfe": float("-inf"), b"\xff": 1.0, b"far": float("inf"), b"farther": 1e300})
        async with RedisDeadlines(redis_server.url, key=key) as deadlines:
            assert await deadlines.earliest() == datetime(1970, 1, 1, tzinfo=UTC)
            await deadlines.put({"a": NOW})
            assert await deadlines.due(NOW, 9) == ["a"]
            await deadlines.drop(["a"])
            assert (await deadlines.due(NOW, 9), await deadlines.count()) == ([], 2)
            assert await deadlines.earliest() == datetime(9999, 12, 31, tzinfo=UTC)
