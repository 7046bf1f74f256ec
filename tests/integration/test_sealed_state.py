"""State of people on the disk of a real Redis: sealed, erased, and back from a dump of before."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from schemas.state_keys import BASELINE, DRIFT, EXCLUSIONS, JOIN, OPEN_JOINS, PREFIX, ROSTER, SILENCES
from streams.drift import mutes
from streams.drift.mutes import Mute, Scope
from streams.privacy.places import Person
from streams.privacy.redis_place import RedisPlace
from tests.disk import contents
from tests.guarded import USERS_ACL
from tests.servers import RedisServer
from workers.privacy.keyring import Keyring
from workers.state import roster
from workers.state.deadlines import Deadlines
from workers.state.redis_deadlines import RedisDeadlines
from workers.state.redis_store import RedisStore
from workers.state.sealed_deadlines import SealedDeadlines
from workers.state.sealed_store import SealedStore
from workers.state.store import Store

ALICE, BOB = "alice-4711", "bob-0815"
CANARY = b"canary-0.123456789"
NOW = datetime.now(UTC)


def keys_of(user: str) -> list[str]:
    return [DRIFT.key(user), BASELINE.key(user), JOIN.key(user, f"{user}-memo"), EXCLUSIONS.key(user)]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def people(keyring: Keyring) -> Keyring:
    keyring.warm_now([ALICE, BOB], enrol=True)
    return keyring


class State:
    """What agents of one kind keep on a server."""

    def __init__(self, store: Store, joins: Deadlines, silences: Deadlines) -> None:
        self.store, self.joins, self.silences = store, joins, silences

    async def write(self, *users: str) -> None:
        """What an agent keeps of these users, or the same again."""
        keys = [key for user in users for key in keys_of(user)]
        await self.store.update(keys, lambda _, stored: (stored or CANARY, None), ttl_s=600.0)
        await self.joins.put({JOIN.key(user, f"{user}-memo"): NOW for user in users})
        await self.silences.put(dict.fromkeys(users, NOW))
        muted = [Mute(Scope.USER, user, NOW, NOW + timedelta(days=1), f"{user} asked") for user in users]
        await mutes.change(self.store, lambda _: muted, NOW)

    async def read(self, user: str) -> list[object]:
        """Everything of a user that opens."""
        found: list[object] = [value for value in (await self.store.read(keys_of(user))).values() if value]
        found += [entry for entry in await self.joins.due(NOW, 9) if user in entry]
        found += [entry for entry in await self.silences.due(NOW, 9) if user in entry]
        return found + [one for one in await mutes.change(self.store, lambda known: known, NOW) if one.name == user]


@asynccontextmanager
async def opened(server: RedisServer, keyring: Keyring, *, sealing: bool = True) -> AsyncIterator[State]:
    async with (
        RedisStore(server.url) as store,
        RedisDeadlines(server.url) as joins,
        RedisDeadlines(server.url, row=SILENCES) as silences,
    ):
        yield State(
            SealedStore(store, keyring, sealing=sealing),
            SealedDeadlines(joins, keyring, OPEN_JOINS, sealing=sealing),
            SealedDeadlines(silences, keyring, SILENCES, sealing=sealing),
        )


async def write(server: RedisServer, keyring: Keyring, *, sealing: bool = True) -> None:
    """State of both users, from a process of its own."""
    async with opened(server, keyring, sealing=sealing) as state:
        await state.write(ALICE, BOB)


def erase(keyring: Keyring, user: str) -> Person:
    subject = keyring.subject(user)
    keyring.directory.mark_erasing(user)
    keyring.directory.destroy_keys(subject)
    keyring.forget(subject)
    return Person(user, subject)


def on_disk(server: RedisServer, text: str | bytes) -> bool:
    wanted = text.encode() if isinstance(text, str) else text
    return any(wanted in data for _, data in contents(server.data_folder))


async def forget(server: RedisServer, person: Person, user: str = "default", password: str | None = None) -> None:
    async with redis.asyncio.Redis.from_url(server.url, username=user, password=password) as client:
        place = RedisPlace(client)
        await place.forget(person)
        await place.rewrite()
        assert all(trial.passed for trial in (await place.attempt(person)).values())


async def test_the_files_hold_neither_pseudonym_nor_content_and_after_an_erasure_no_subject(
    server: RedisServer, people: Keyring
) -> None:
    async with opened(server, people) as state:
        await state.write(ALICE, BOB)
        assert len(await state.read(ALICE)) == 7
        for text in (ALICE, BOB, CANARY, "asked"):
            assert not on_disk(server, text)
        person = erase(people, ALICE)
        assert on_disk(server, person.subject.hex())
        assert await state.read(ALICE) == []
        await forget(server, person)
        assert not on_disk(server, person.subject.hex())
        assert await state.read(ALICE) == []
        assert len(await state.read(BOB)) == 7


async def test_state_from_before_sealing_is_taken_over_and_forgotten_as_well(
    server: RedisServer, people: Keyring
) -> None:
    await write(server, people, sealing=False)
    assert on_disk(server, ALICE)
    async with opened(server, people) as state, redis.asyncio.Redis.from_url(server.url) as client:
        await state.store.update([DRIFT.key(ALICE)], lambda _, stored: (stored, None), ttl_s=600.0)
        assert len(await state.read(ALICE)) == 7
        person = erase(people, ALICE)
        await forget(server, person)
        for text in (ALICE, person.subject.hex()):
            assert not on_disk(server, text)
        assert len(await state.read(BOB)) == 7
        known = {
            user: {await client.getbit(PREFIX + ROSTER.key(), bit) for bit in roster.probes(DRIFT.key(user))}
            for user in (ALICE, BOB)
        }
        assert 0 in known[ALICE]
        assert known[BOB] == {1}
        await people.warm([ALICE], enrol=True)
        await state.write(ALICE)
        assert state.store.lost == 0, "who returns has lost nothing"


async def test_the_shipped_rights_suffice_to_take_over_and_to_erase(server: RedisServer, people: Keyring) -> None:
    rights = {line.split()[1]: line.split()[2:] for line in USERS_ACL.read_text().splitlines()}
    admin: Any = redis.asyncio.Redis.from_url(server.url)
    async with admin:
        for user in ("undertone", "undertone-erasure"):
            await admin.execute_command("ACL", "SETUSER", user, *rights[user], ">secret")
    await write(server, people, sealing=False)
    agent = {"username": "undertone", "password": "secret"}
    async with RedisStore(server.url, agent) as inner:
        store = SealedStore(inner, people)
        assert await store.take_over(lambda _: 600.0) == 2 * len(keys_of(ALICE))
        await mutes.change(store, lambda known: [replace(one, withheld=1) for one in known], NOW)
    await forget(server, erase(people, ALICE), user="undertone-erasure", password="secret")
    assert not on_disk(server, ALICE)


async def test_a_dump_from_before_an_erasure_opens_nothing_of_the_person(
    server: RedisServer, people: Keyring, tmp_path: Path
) -> None:
    await write(server, people)
    shutil.copytree(server.data_folder, tmp_path / "dump")
    person = erase(people, ALICE)
    await forget(server, person)
    server.kill()
    server.lose_data()
    shutil.copytree(tmp_path / "dump", server.data_folder, dirs_exist_ok=True)
    server.start()
    assert on_disk(server, person.subject.hex())
    async with opened(server, people) as state:
        assert await state.read(ALICE) == []
        assert len(await state.read(BOB)) == 7
        await people.warm([ALICE], enrol=True)
        assert await state.read(ALICE) == [], "nor for the same pseudonym with new keys"
