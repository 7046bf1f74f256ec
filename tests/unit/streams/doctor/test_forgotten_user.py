"""What Redis keeps of the user of a sent memo, removed in clear and sealed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis.asyncio

from schemas.settings import Settings
from schemas.state_keys import DRIFT, JOIN, PREFIX, SILENCES
from streams.doctor.examination import Patient
from streams.doctor.finding import Status
from streams.doctor.forgotten_user import forget, keys_of
from streams.doctor.redis_server import CLIENT
from tests.servers import RedisServer
from workers.privacy.sealing import close_all, sealing_of
from workers.state.open_store import open_deadlines, open_store

USER, MEMO, OTHER = "undertone-doctor-1", "memo", "undertone-doctor-12"
NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    close_all()


@pytest.mark.parametrize("seal", ["off", "on"])
async def test_everything_of_the_user_is_removed_and_nothing_of_others(
    redis_server: RedisServer, tmp_path: Path, seal: str
) -> None:
    settings = Settings.load(seal=seal, home=tmp_path, redis_url=redis_server.url)
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        await client.flushdb()
        async with (
            open_store(settings) as store,
            open_deadlines(settings) as joins,
            open_deadlines(settings, SILENCES) as due,
        ):
            if (keyring := await sealing_of(settings).keys()) is not None:
                await keyring.warm([USER, OTHER], enrol=True)
            both = [*keys_of(USER, MEMO), *keys_of(OTHER, MEMO)]
            await store.update(both, lambda *_: (b"1", None), ttl_s=60.0)
            await joins.put({JOIN.key(user, MEMO): NOW for user in (USER, OTHER)})
            await due.put(dict.fromkeys([USER, OTHER], NOW))
            found = await forget(Patient(settings, known={CLIENT: client}), USER, MEMO)
            assert found.status is Status.OK
            assert await store.read(both) == {key: None if key in keys_of(USER, MEMO) else b"1" for key in both}
            assert await joins.due(NOW, 9) == [JOIN.key(OTHER, MEMO)]
            assert await due.due(NOW, 9) == [OTHER]
        assert (await client.exists(PREFIX + DRIFT.key(OTHER))) == (seal == "off")
        await client.flushdb()


async def test_without_redis_the_keys_expire(tmp_path: Path) -> None:
    away = Settings.load(home=tmp_path, redis_url="redis://127.0.0.1:1")
    for known in ({}, {CLIENT: object()}):
        assert (await forget(Patient(away, known=known), USER, MEMO)).status is Status.SKIPPED
