"""The roster made again of the keys that exist."""

from uuid import uuid4

import redis.asyncio

from schemas.state_keys import DRIFT, ROSTER
from tests.servers import RedisServer
from workers.state import roster
from workers.state.redis_store import RedisStore


async def test_it_knows_what_exists_and_no_more(redis_server: RedisServer) -> None:
    prefix = f"[{uuid4()}*"
    kept, gone = [DRIFT.key(f"kept-{n}") for n in range(3)], DRIFT.key("gone")
    async with RedisStore(redis_server.url, prefix=prefix) as store:
        await store.update([*kept, gone, "other"], lambda *_: (b"1", None), ttl_s=60.0)
        await store.delete([gone])
        async with redis.asyncio.Redis.from_url(redis_server.url) as client:
            assert await roster.rebuild(client, prefix) == len(kept)
            known = {
                key: [await client.getbit(prefix + ROSTER.key(), bit) for bit in roster.probes(key)] for key in kept
            }
        assert set(map(tuple, known.values())) == {(1, 1, 1)}
        await store.update([gone], lambda *_: (b"1", None), ttl_s=60.0)
        assert store.lost == 0
        await store.delete(kept)
        await store.update(kept, lambda *_: (b"1", None), ttl_s=60.0)
        assert store.lost == len(kept)


async def test_without_keys_there_is_none(redis_server: RedisServer) -> None:
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        assert await roster.rebuild(client, prefix := f"{uuid4()}:") == 0
        assert not await client.exists(prefix + ROSTER.key())
