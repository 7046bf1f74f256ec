"""The store of the settings: in clear where nothing was ever sealed, over both elsewhere."""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from weakref import ref

import pytest

from schemas.errors import Transient
from schemas.settings import Settings
from schemas.state_keys import DRIFT, OPEN_JOINS, SILENCES
from tests.keys import sealing
from tests.servers import RedisServer
from workers.privacy.sealing import close_all, sealing_of
from workers.service.health import HEALTH
from workers.state.open_store import open_deadlines, open_store
from workers.state.redis_deadlines import RedisDeadlines
from workers.state.redis_store import RedisStore
from workers.state.sealed_deadlines import SealedDeadlines
from workers.state.sealed_store import SealedStore


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    close_all()


async def test_without_keys_the_store_is_as_ever_and_none_are_made(tmp_path: Path) -> None:
    settings = Settings.load(home=tmp_path, redis_url="redis://127.0.0.1:1")
    async with open_store(settings) as store, open_deadlines(settings) as deadlines:
        assert isinstance(store, RedisStore)
        assert isinstance(deadlines, RedisDeadlines)
        assert not (tmp_path / "keys.db").exists()


async def test_what_was_sealed_is_read_after_sealing_is_switched_off(tmp_path: Path, redis_server: RedisServer) -> None:
    on = sealing(tmp_path, redis_url=redis_server.url)
    off = Settings.load(home=tmp_path, redis_url=redis_server.url)
    key = DRIFT.key("someone")
    async with open_store(on) as store:
        assert isinstance(store, SealedStore)
        await sealing_of(on).keyring.warm(["someone"], enrol=True)
        await store.update([key], lambda *_: (b"1", None), ttl_s=60.0)
    async with open_store(off) as store:
        assert await store.read([key]) == {key: b"1"}
        await store.update([key], lambda _, stored: ((stored or b"") + b"2", None), ttl_s=60.0)
    async with RedisStore.of(off) as store:
        assert await store.read([key]) == {key: b"12"}
        await store.delete([key])


@pytest.mark.parametrize("row", [OPEN_JOINS, SILENCES], ids=lambda row: row.name)
async def test_due_times_are_sealed_as_the_store(tmp_path: Path, row: object) -> None:
    async with open_deadlines(sealing(tmp_path, redis_url="redis://127.0.0.1:1"), row) as deadlines:  # type: ignore[arg-type]
        assert isinstance(deadlines, SealedDeadlines)


async def test_a_store_and_its_due_times_share_places_and_keep_no_keys_afterwards(tmp_path: Path) -> None:
    settings = sealing(tmp_path, redis_url="redis://127.0.0.1:1")
    async with open_store(settings) as store, open_deadlines(settings) as deadlines:
        assert isinstance(store, SealedStore)
        assert isinstance(deadlines, SealedDeadlines)
        assert store._places is deadlines._places
    keyring = ref(sealing_of(settings).keyring)
    close_all()
    del store, deadlines
    async with asyncio.timeout(30):  # the thread that opened it lets go a moment later
        while keyring() is not None:
            gc.collect()
            await asyncio.sleep(0.01)


async def test_a_directory_that_does_not_answer_is_waited_for(tmp_path: Path) -> None:
    settings = sealing(
        tmp_path, redis_url="redis://127.0.0.1:1", key_directory_url="postgresql://nobody@127.0.0.1:1/keys"
    )
    with pytest.raises(Transient):
        async with open_store(settings):
            pass
    assert "key directory" in HEALTH.lacking()["keys"]
    HEALTH.has("keys")
