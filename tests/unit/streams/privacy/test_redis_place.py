"""An erasure in a real Redis: nothing of the person is left, in its file neither, and everything of the others is."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.privacy_marks import Erased
from schemas.state_keys import (
    BASELINE,
    DRIFT,
    EXCLUSIONS,
    JOIN,
    MUTES,
    OPEN_JOINS,
    PREFIX,
    QUARANTINE,
    SILENCES,
    STATE_KEYS,
    Kind,
)
from streams.drift.mutes import Mute, Scope, dump, load
from streams.privacy.places import Person
from streams.privacy.redis_place import WITHOUT, RedisPlace
from tests.servers import RedisServer
from workers.state.redis_client import redis_client
from workers.state.redis_store import RedisStore
from workers.state.sealed_deadlines import MARK
from workers.state.sealed_keys import SEALED, personal_key
from workers.state.sealed_values import SEALED_LIST

ERASED = Person("odd*[name]}-1", bytes(range(16)))
OTHERS = ("odd*[name]}-12", "oddX[name]}-1", ERASED.subject.hex())
OTHER = bytes(16)
SEALED_NAME = f"{{{ERASED.subject.hex()}{SEALED}".encode()
NOW = datetime(2026, 11, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def keys_of(name: str) -> list[str]:
    """Keys in clear of every row that has the name."""
    own = [DRIFT.key(name), BASELINE.key(name), JOIN.key(name, "m}1"), JOIN.key(name, "m2"), EXCLUSIONS.key(name)]
    return [*own, QUARANTINE.key(DRIFT.key(name)), QUARANTINE.key(JOIN.key(name, "m3"))]


def at_rest(subject: bytes) -> list[str]:
    """The same keys as they are stored sealed."""
    found = map(personal_key, keys_of("anybody"))
    return [key.at_rest(subject, lambda name: name.encode().hex()).text for key in found if key is not None]


async def fill(client: Any, store: RedisStore, names: Sequence[str], subjects: Sequence[bytes]) -> None:
    keys = [key for some in (*map(keys_of, names), *map(at_rest, subjects)) for key in some]
    await store.update(keys, lambda key, _: (key.encode(), None), ttl_s=60)
    joins = [JOIN.key(name, "m}1") for name in names] + [at_rest(subject)[2] for subject in subjects]
    await client.zadd(PREFIX + OPEN_JOINS.key(), dict.fromkeys(joins, 1.0))
    silent = [*names, *(MARK + subject.hex() for subject in subjects)]
    await client.zadd(PREFIX + SILENCES.key(), dict.fromkeys(silent, 1.0))


MUTED = dump(
    [Mute(Scope.USER, name, NOW, NOW + timedelta(days=900), "asked") for name in (ERASED.user_id, *OTHERS)]
    + [Mute(Scope.COHORT, "odd", NOW, NOW + timedelta(days=900))],
    NOW,
)


def play(server: RedisServer, scenario: Callable[[Any, RedisStore, RedisPlace], Awaitable[None]]) -> None:
    async def played() -> None:
        async with redis_client(server.url, {}, 5.0) as client, RedisStore(server.url) as store:
            await client.flushall()
            await scenario(client, store, RedisPlace(client))

    asyncio.run(played())


def test_nothing_of_the_person_is_left_and_everything_of_the_others_is(server: RedisServer) -> None:
    async def scenario(client: Any, store: RedisStore, place: RedisPlace) -> None:
        await fill(client, store, (ERASED.user_id, *OTHERS), (ERASED.subject, OTHER))
        await store.update([MUTES.key()], lambda *_: (MUTED, None), ttl_s=60)
        before = await place.attempt(ERASED)
        assert not before["join"].passed
        assert before["join"].sealed == 2
        removed = await place.forget(ERASED)
        assert removed == {
            "drift state": 2, "baseline": 2, "baseline of 0.1": 0, "join": 4, "exclusions": 2, "quarantine": 4,
            "open joins": 2, "silences due": 2, "mutes": 1,
        }  # fmt: skip
        await place.rewrite()
        assert {name: trial for name, trial in (await place.attempt(ERASED)).items() if not trial.passed} == {}
        assert not any(ERASED.named_in(file.read_bytes()) for file in files(server))
        assert not any(SEALED_NAME in file.read_bytes() for file in files(server))
        found = await store.read([key for some in (*map(keys_of, OTHERS), at_rest(OTHER)) for key in some])
        assert all(value == key.encode() for key, value in found.items())
        silent = {name.encode() for name in (*OTHERS, MARK + OTHER.hex())}
        assert set(await client.zrange(PREFIX + SILENCES.key(), 0, -1)) == silent
        assert await client.zcard(PREFIX + OPEN_JOINS.key()) == len(silent)
        kept = load((await store.read([MUTES.key()]))[MUTES.key()])
        assert [mute.name for mute in kept] == [*OTHERS, "odd"]
        assert sum((await place.forget(ERASED)).values()) == 0, "it may be repeated"

    play(server, scenario)


def test_the_file_keeps_a_name_after_it_was_deleted_until_it_is_rewritten(server: RedisServer) -> None:
    """The test above would not notice a rewrite that does nothing, if the server never kept names."""

    async def scenario(client: Any, store: RedisStore, place: RedisPlace) -> None:
        await fill(client, store, (), (ERASED.subject,))
        await place.forget(ERASED)
        assert any(SEALED_NAME in file.read_bytes() for file in files(server))
        await place.rewrite()
        assert not any(SEALED_NAME in file.read_bytes() for file in files(server))

    play(server, scenario)


def test_state_in_clear_is_found_by_the_trial(server: RedisServer) -> None:
    async def scenario(client: Any, store: RedisStore, place: RedisPlace) -> None:
        await client.set(f"{PREFIX}something new", f"of {ERASED.user_id}.")
        await client.hset(f"{PREFIX}a hash", "who", ERASED.user_id)
        assert (await place.attempt(ERASED))["other keys"].named == 2

    play(server, scenario)


def test_entries_of_mutes_that_are_sealed_are_removed_unopened(server: RedisServer) -> None:
    async def scenario(client: Any, store: RedisStore, place: RedisPlace) -> None:
        entries = [{"subject": subject.hex(), "sealed": "AA=="} for subject in (ERASED.subject, OTHER)]
        sealed = SEALED_LIST + json.dumps(entries).encode()
        await store.update([MUTES.key()], lambda *_: (sealed, None), ttl_s=60)
        assert (await place.forget(ERASED))["mutes"] == 1
        kept = (await store.read([MUTES.key()]))[MUTES.key()] or b""
        assert json.loads(kept[1:]) == entries[1:]

    play(server, scenario)


def test_every_list_of_several_people_has_its_way_to_lose_one() -> None:
    lists = {row.name for row in STATE_KEYS if row.marks.erased is Erased.ENTRIES and row.kind is not Kind.SORTED_SET}
    assert set(WITHOUT) == lists


def files(server: RedisServer) -> list[Any]:
    return [path for path in server.data_folder.rglob("*") if path.is_file()]
