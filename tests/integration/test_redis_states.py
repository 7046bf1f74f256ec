"""States of a real Redis that pass: nothing ends, health says so, and all goes on by itself afterwards."""

import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from schemas.errors import ConfigurationError, Transient
from tests.servers import RedisServer, free_port
from workers.service.health import HEALTH
from workers.service.retry import retry_transient
from workers.state.redis_store import RedisStore

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(60),
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="install Redis (redis-server)"),
]
KEYS = [f"drift:{{u{number}}}" for number in range(3)]
TTL_S = 60.0

State = Callable[[Any, Path], AbstractContextManager[None]]
"""A server in this state for the duration of the block."""


@contextmanager
def out_of_memory(client: Any, _: Path) -> Iterator[None]:
    client.config_set("maxmemory", 1)
    yield
    client.config_set("maxmemory", 0)


@contextmanager
def without_replicas(client: Any, _: Path) -> Iterator[None]:
    client.config_set("min-replicas-to-write", 1)
    yield
    client.config_set("min-replicas-to-write", 0)


@contextmanager
def with_a_full_disk(client: Any, folder: Path) -> Iterator[None]:
    gone = folder / "gone"
    gone.mkdir()
    client.config_set("dir", str(gone))
    client.config_set("save", "3600 1")
    gone.rmdir()
    client.bgsave()
    _wait_for(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
    yield
    client.config_set("dir", str(folder))
    client.bgsave()
    _wait_for(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "ok")


@contextmanager
def demoted(client: Any, _: Path) -> Iterator[None]:
    client.replicaof("127.0.0.1", 1)
    yield
    client.replicaof("NO", "ONE")


@contextmanager
def without_its_primary(client: Any, folder: Path) -> Iterator[None]:
    client.config_set("replica-serve-stale-data", "no")
    with demoted(client, folder):
        yield


@contextmanager
def in_a_script(client: Any, _: Path) -> Iterator[None]:
    client.config_set("busy-reply-threshold", 20)
    with _meanwhile(client, lambda other: other.eval("while true do end", 0)):
        _wait_for(lambda: "BUSY" in _answer(client))
        yield
        client.script_kill()


@contextmanager
def _meanwhile(client: Any, work: Callable[[Any], object]) -> Iterator[None]:
    def run() -> None:
        with Redis(port=client.connection_pool.connection_kwargs["port"]) as other, suppress(ResponseError):
            work(other)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()


def _answer(client: Any) -> str:
    try:
        return str(client.get("any"))
    except RedisError as error:
        return str(error)


def _wait_for(reached: Callable[[], bool]) -> None:
    waited = threading.Event()
    for _ in range(2000):
        if reached():
            return
        waited.wait(0.01)
    pytest.fail("the server does not reach the state")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    options = ["--enable-protected-configs", "yes", "--maxmemory-policy", "noeviction"]
    with RedisServer("redis-server", durable=False, options=options) as started:
        yield started


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (out_of_memory, "OOM"),
        (without_replicas, "NOREPLICAS"),
        (with_a_full_disk, "MISCONF"),
        (demoted, "READONLY"),
        (without_its_primary, "MASTERDOWN"),
        (in_a_script, "BUSY"),
    ],
)
def test_a_writer_waits_and_goes_on(server: RedisServer, tmp_path: Path, state: State, code: str) -> None:
    async def scenario() -> None:
        async with RedisStore(server.url) as store:

            async def append() -> dict[str, bytes]:
                return await store.update(KEYS, lambda _, old: ((old or b"") + b"1", old or b""), ttl_s=TTL_S)

            await append()
            with Redis(port=server.port) as client, state(client, tmp_path):
                with pytest.raises(Transient, match=f"Redis answers {code}: "):
                    await append()
                assert HEALTH.lacking()["redis"].startswith(f"Redis answers {code}")
                with suppress(Transient):
                    await store.read(KEYS)
                assert "redis" in HEALTH.lacking(), "reads that succeed hid that writes do not"
            assert set((await retry_transient(append, stage="drift", target="redis")).values()) == {b"1"}
            await store.read(KEYS)
            assert "redis" not in HEALTH.lacking()

    asyncio.run(scenario())


def test_connections_of_a_demoted_primary_are_opened_again(tmp_path: Path) -> None:
    """The address leads to the new primary after a failover, but a connection that is open stays where it was."""
    address, sockets = tmp_path / "address", [tmp_path / "old", tmp_path / "new"]
    old, new = (RedisServer("redis-server", durable=False, options=["--unixsocket", str(s)]) for s in sockets)

    async def scenario() -> None:
        async with RedisStore(f"unix://{address}") as store:
            await store.update(KEYS, lambda *_: (b"before", None), ttl_s=TTL_S)
            with Redis(port=old.port) as client:
                client.replicaof("127.0.0.1", 1)
            address.unlink()
            address.symlink_to(sockets[1])
            with pytest.raises(Transient, match="READONLY"):
                await store.update(KEYS, lambda *_: (b"after", None), ttl_s=TTL_S)
            await store.update(KEYS, lambda *_: (b"after", None), ttl_s=TTL_S)

    with old, new, Redis(port=new.port) as client:
        address.symlink_to(sockets[0])
        asyncio.run(scenario())
        assert client.dbsize() == len(KEYS) + 1


def test_a_cluster_without_slots_is_waited_for_and_one_with_slots_refused(tmp_path: Path) -> None:
    # By default the nodes' port is ten thousand above, where systems give ports to clients.
    options = ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
    options += ["--cluster-config-file", str(tmp_path / "nodes")]

    async def append(url: str) -> None:
        async with RedisStore(url) as store:
            await store.update(KEYS, lambda *_: (b"1", None), ttl_s=TTL_S)

    with RedisServer("redis-server", durable=False, options=options) as server, Redis(port=server.port) as client:
        with pytest.raises(Transient, match="Redis answers CLUSTERDOWN: "):
            asyncio.run(append(server.url))
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        _wait_for(lambda: "cluster_state:ok" in str(client.execute_command("CLUSTER", "INFO")))
        with pytest.raises(ConfigurationError, match="Redis Cluster"):
            asyncio.run(append(server.url))
