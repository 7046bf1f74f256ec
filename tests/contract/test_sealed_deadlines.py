"""Due times of people, over every kind of deadlines: subjects at rest, in clear for callers, taken over both ways."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from schemas.errors import Unknown
from schemas.state_keys import JOIN, OPEN_JOINS, SILENCES, StateKey
from streams.local.embedded import EmbeddedStore
from tests.keys import erase
from tests.servers import RedisServer
from workers.privacy.keyring import Keyring
from workers.state.deadlines import MemoryDeadlines, SeparateDeadlines
from workers.state.redis_deadlines import RedisDeadlines
from workers.state.redis_store import RedisStore
from workers.state.sealed_deadlines import SealedDeadlines
from workers.state.sealed_store import SealedStore

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
ALICE, BOB = "alice {1}%7D", "bob"
LATER = NOW + timedelta(hours=1)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
async def inner(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[SeparateDeadlines]:
    if request.param == "memory":
        yield MemoryDeadlines()
    else:
        server: RedisServer = request.getfixturevalue("redis_server")
        async with RedisDeadlines(server.url, key=f"open:{uuid4()}") as shared:
            yield shared


@pytest.fixture
def people(keyring: Keyring) -> Keyring:
    keyring.warm_now([ALICE, BOB], enrol=True)
    return keyring


def _entry(row: StateKey, user: str) -> str:
    return user if row is SILENCES else JOIN.key(user, "alice-memo")


@pytest.mark.parametrize("row", [OPEN_JOINS, SILENCES], ids=lambda row: row.name)
async def test_entries_at_rest_name_nobody(inner: SeparateDeadlines, people: Keyring, row: StateKey) -> None:
    sealed = SealedDeadlines(inner, people, row)
    alice, bob = _entry(row, ALICE), _entry(row, BOB)
    await sealed.put({alice: NOW, bob: LATER})
    at_rest = await inner.starting_with("")
    assert not any(name in entry for entry in at_rest for name in ("alice", "bob", "memo"))
    assert await sealed.due(LATER, 9) == [alice, bob]
    assert sorted(await sealed.sample(9)) == sorted([alice, bob])
    await sealed.move({alice: LATER + timedelta(hours=1)})
    assert await sealed.due(LATER, 9) == [bob]
    await sealed.drop([alice, bob])
    assert await inner.count() == 0


async def test_the_log_of_a_server_names_nobody(people: Keyring, tmp_path: Path) -> None:
    """It has every command that changes anything, with all of its keys: also those that are not there."""
    with EmbeddedStore(tmp_path / "store") as server:
        async with RedisDeadlines(server.url) as due, RedisStore(server.url) as values:
            joins, store = SealedDeadlines(due, people, OPEN_JOINS), SealedStore(values, people)
            alice, bob = _entry(OPEN_JOINS, ALICE), _entry(OPEN_JOINS, BOB)
            await store.update([alice, bob], lambda *_: (b"value", None), ttl_s=60)
            await joins.put({alice: NOW, bob: NOW})
            await joins.move({alice: LATER, bob: LATER})
            await joins.drop([alice, bob])
            await store.delete([alice, bob])
            assert (await due.count(), await values.find("*")) == (0, [])
        logged = b"".join(path.read_bytes() for path in (tmp_path / "store" / "appendonlydir").iterdir())
    assert logged.count(b"}~") >= 6
    assert not [name for name in (b"alice", b"bob", b"memo") if name in logged]


@pytest.mark.parametrize("row", [OPEN_JOINS, SILENCES], ids=lambda row: row.name)
@pytest.mark.parametrize("sealing", [True, False])
async def test_entries_of_the_other_kind_are_found_and_dropped(
    inner: SeparateDeadlines, people: Keyring, row: StateKey, sealing: bool
) -> None:
    before = SealedDeadlines(inner, people, row, sealing=not sealing)
    after = SealedDeadlines(inner, people, row, sealing=sealing)
    entry = _entry(row, ALICE)
    await before.put({entry: NOW})
    await after.put({entry: LATER})
    await after.move({entry: LATER})
    assert await after.due(NOW, 9) == []
    await before.move({entry: NOW})
    assert await inner.count() == 2
    assert await after.due(NOW, 9) == [entry], "whichever comes first"
    await after.drop([entry])
    assert await inner.count() == 0


@pytest.mark.parametrize("row", [OPEN_JOINS, SILENCES], ids=lambda row: row.name)
@pytest.mark.parametrize("sealing", [True, False])
async def test_an_entry_of_the_other_kind_is_replaced_when_it_is_due(
    inner: SeparateDeadlines, people: Keyring, row: StateKey, sealing: bool
) -> None:
    before = SealedDeadlines(inner, people, row, sealing=not sealing)
    after = SealedDeadlines(inner, people, row, sealing=sealing)
    await before.put({_entry(row, ALICE): NOW, _entry(row, BOB): LATER})
    assert await after.due(NOW, 9) == [_entry(row, ALICE)]
    assert await after.due(NOW, 9) == [_entry(row, ALICE)], "it stays until it is dropped"
    entries = await inner.starting_with("")
    assert len(entries) == 2
    assert (_entry(row, ALICE) in entries) is not sealing
    assert sorted(await after.due(LATER, 9)) == sorted([_entry(row, ALICE), _entry(row, BOB)])
    assert (_entry(row, BOB) in await inner.starting_with("")) is not sealing


async def test_the_joins_of_one_user_are_found(inner: SeparateDeadlines, people: Keyring) -> None:
    clear, sealed = (
        SealedDeadlines(inner, people, OPEN_JOINS, sealing=False),
        SealedDeadlines(inner, people, OPEN_JOINS),
    )
    joins = [JOIN.key(ALICE, name) for name in ("1", "2", "3")]
    await clear.put({joins[0]: NOW})
    await sealed.put(dict.fromkeys([joins[1], joins[2], JOIN.key(BOB, "1")], NOW))
    for deadlines in (clear, sealed):
        assert await deadlines.starting_with(JOIN.key(ALICE, "")) == joins
        assert len(await deadlines.starting_with("join:{")) == 4


@pytest.mark.parametrize("row", [OPEN_JOINS, SILENCES], ids=lambda row: row.name)
async def test_entries_of_an_erased_person_are_dropped(
    inner: SeparateDeadlines, people: Keyring, row: StateKey
) -> None:
    sealed = SealedDeadlines(inner, people, row)
    await sealed.put({_entry(row, ALICE): NOW, _entry(row, BOB): NOW})
    erase(people, ALICE)
    await sealed.put({_entry(row, BOB): NOW})
    assert await sealed.due(NOW, 9) == [_entry(row, BOB)]
    assert await inner.count() == 1
    elsewhere = SealedDeadlines(inner, people, row)  # of a process that never met either
    await elsewhere.put({_entry(row, ALICE): NOW, _entry(row, BOB): NOW})
    assert await inner.count() == 1
    assert people.directory.subjects_of([ALICE]) == {}


async def test_while_nobody_is_known_everybody_waits(inner: SeparateDeadlines, people: Keyring) -> None:
    sealed = SealedDeadlines(inner, people, SILENCES)
    await inner.put({f"\t{bytes(16).hex()}": NOW})
    with pytest.raises(Unknown):
        await sealed.due(NOW, 9)
    await sealed.put({BOB: NOW})
    assert await sealed.due(NOW, 9) == [BOB]
    assert await inner.count() == 2


async def test_what_is_no_subject_is_a_pseudonym(inner: SeparateDeadlines, people: Keyring) -> None:
    sealed = SealedDeadlines(inner, people, SILENCES, sealing=False)
    odd = [bytes(16).hex(), "\tshort", "\t" + "x" * 32]
    await inner.put(dict.fromkeys(odd, NOW))
    assert sorted(await sealed.due(NOW, 9)) == sorted(odd)
