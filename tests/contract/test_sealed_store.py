"""What is sealed in a store, over every store: at rest there is neither a pseudonym nor content; callers see both."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis

from schemas.errors import Unknown, UnreadableState
from schemas.key_purposes import LASTING
from schemas.state_keys import BASELINE, BASELINE_0_1, DRIFT, EXCLUSIONS, JOIN, MUTES, POOL, QUARANTINE
from streams.drift import mutes
from streams.drift.mutes import Mute, Scope
from tests.keys import erase
from tests.servers import RedisServer
from workers.privacy.keyring import Keyring
from workers.service import prometheus
from workers.state import places, sealed_values
from workers.state.redis_store import RedisStore
from workers.state.sealed_store import UNREADABLE, SealedStore
from workers.state.sealed_values import Values
from workers.state.store import MemoryStore, MovingStore

TTL_S = 60.0
ALICE, BOB = "alice-{75}%7D", "bob"
NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
KEYS = [DRIFT.key(ALICE), BASELINE.key(ALICE), JOIN.key(ALICE, "alice-memo }1"), EXCLUSIONS.key(ALICE)]


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
async def inner(request: pytest.FixtureRequest, anyio_backend: str) -> Any:
    """What has the data."""
    if request.param == "memory":
        yield MemoryStore()
    else:
        server: RedisServer = request.getfixturevalue("redis_server")
        async with RedisStore(server.url, prefix=f"{uuid4()}:") as store:
            yield store


@pytest.fixture
def people(keyring: Keyring) -> Keyring:
    """A keyring that knows two people."""
    keyring.warm_now([ALICE, BOB], enrol=True)
    return keyring


def _append(text: bytes) -> Callable[[str, bytes | None], tuple[bytes, bytes | None]]:
    return lambda _, stored: ((stored or b"") + text, stored)


async def _everything(inner: MovingStore) -> bytes:
    """All keys and contents as they are stored."""
    stored = await inner.read(await inner.find("*"))
    return b"\n".join(key.encode() + b" " + (value or b"") for key, value in stored.items())


async def test_at_rest_there_is_neither_pseudonym_nor_memo_id_nor_content(inner: MovingStore, people: Keyring) -> None:
    store = SealedStore(inner, people)
    assert await store.update([*KEYS, POOL.key()], _append(b"canary"), ttl_s=TTL_S) == dict.fromkeys(
        [*KEYS, POOL.key()]
    )
    assert await store.read(KEYS) == dict.fromkeys(KEYS, b"canary")
    raw = await _everything(inner)
    assert raw.count(b"canary") == 1, "of nobody: in clear"
    for text in (b"alice-", b"%7D", b"memo"):
        assert text not in raw
    assert raw.count(people.subject(ALICE).hex().encode()) == len(KEYS)


async def test_an_equal_value_is_not_written_again(inner: MovingStore, people: Keyring) -> None:
    store = SealedStore(inner, people)
    keys = [DRIFT.key(ALICE), BASELINE.key(ALICE), DRIFT.key(BOB)]
    await store.update(keys, lambda *_: (b"same", None), ttl_s=TTL_S)
    first = await inner.read(await inner.find("*{*"))
    assert len(set(first.values())) == 3
    await store.update(keys, lambda *_: (b"same", None), ttl_s=TTL_S)
    assert await inner.read(list(first)) == first
    await store.update(keys, lambda *_: (b"other", None), ttl_s=TTL_S)
    assert not set(first.values()) & set((await inner.read(list(first))).values())


async def test_a_value_that_was_moved_to_another_key_is_set_aside_and_begun_anew(
    inner: MovingStore, people: Keyring
) -> None:
    store = SealedStore(inner, people)
    await store.update([DRIFT.key(ALICE)], _append(b"alice"), ttl_s=TTL_S)
    await store.update([DRIFT.key(BOB)], _append(b"bob"), ttl_s=TTL_S)
    mine, his = (f"drift:{{{people.subject(user).hex()}}}~" for user in (ALICE, BOB))
    stolen = (await inner.read([his]))[his]
    await inner.update([mine], lambda *_: (stolen, None), ttl_s=TTL_S)
    assert await store.read([DRIFT.key(ALICE)]) == {DRIFT.key(ALICE): UNREADABLE}
    assert await store.update([DRIFT.key(ALICE)], _append(b"1"), ttl_s=TTL_S) == {DRIFT.key(ALICE): None}
    assert await store.read([DRIFT.key(ALICE), DRIFT.key(BOB)]) == {DRIFT.key(ALICE): b"1", DRIFT.key(BOB): b"bob"}
    assert (await inner.read([QUARANTINE.key(mine)]))[QUARANTINE.key(mine)] == stolen


async def test_a_value_in_quarantine_is_read_by_its_former_key(inner: MovingStore, people: Keyring) -> None:
    store = SealedStore(inner, people)
    key = DRIFT.key(ALICE)
    await store.update([key], _append(b"good"), ttl_s=TTL_S)
    (name,) = await inner.find("drift:*")
    value = (await inner.read([name]))[name]
    await inner.update([QUARANTINE.key(name)], lambda *_: (value, None), ttl_s=TTL_S)
    assert await store.read([QUARANTINE.key(key)]) == {QUARANTINE.key(key): b"good"}


@pytest.mark.parametrize("sealing", [True, False])
async def test_a_value_of_the_other_kind_is_read_and_taken_over_by_the_first_write(
    inner: MovingStore, people: Keyring, sealing: bool
) -> None:
    before, after = SealedStore(inner, people, sealing=not sealing), SealedStore(inner, people, sealing=sealing)
    keys = [*KEYS, BASELINE_0_1.key(ALICE)]
    await before.update(keys, _append(b"1"), ttl_s=TTL_S)
    assert await after.read(keys) == dict.fromkeys(keys, b"1")
    assert await after.find("drift:*") == [DRIFT.key(ALICE)]
    assert await after.update(keys, lambda _, stored: (None, stored), ttl_s=TTL_S) == dict.fromkeys(keys, b"1")
    assert await after.update(keys, _append(b"2"), ttl_s=TTL_S) == dict.fromkeys(keys, b"1")
    assert await before.read(keys) == dict.fromkeys(keys, b"12")
    assert len(await inner.find("*{*")) == len(keys), "each value in one place"
    assert (b"alice" in await _everything(inner)) is not sealing


async def test_a_writer_in_clear_and_one_that_seals_lose_nothing_of_each_other(
    inner: MovingStore, people: Keyring
) -> None:
    stores = [SealedStore(inner, people, sealing=sealing) for sealing in (True, False)]
    await asyncio.gather(*(store.update(KEYS, _append(b"x"), ttl_s=TTL_S) for _ in range(20) for store in stores))
    assert await stores[0].read(KEYS) == dict.fromkeys(KEYS, b"x" * 40)
    assert len(await inner.find("*{*")) == len(KEYS)
    assert stores[0].lost == 0


@pytest.mark.parametrize("sealing", [True, False])
async def test_values_of_people_without_memos_are_taken_over_by_a_search(
    inner: MovingStore, people: Keyring, sealing: bool
) -> None:
    before, after = SealedStore(inner, people, sealing=not sealing), SealedStore(inner, people, sealing=sealing)
    await before.update([*KEYS, DRIFT.key(BOB), POOL.key()], _append(b"1"), ttl_s=TTL_S)
    await inner.update([QUARANTINE.key(DRIFT.key(BOB))], _append(b"!"), ttl_s=TTL_S)
    await after.update([DRIFT.key(BOB)], _append(b"2"), ttl_s=TTL_S)
    assert await after.take_over(lambda _: TTL_S) == len(KEYS)
    assert await after.take_over(lambda _: TTL_S) == 0
    assert await before.read([*KEYS, DRIFT.key(BOB)]) == {**dict.fromkeys(KEYS, b"1"), DRIFT.key(BOB): b"12"}
    assert (b"alice-" in await _everything(inner)) is not sealing
    assert after.lost == 0


async def test_a_person_with_a_value_gets_a_subject_and_one_without_none(inner: MovingStore, keyring: Keyring) -> None:
    clear, store = SealedStore(inner, keyring, sealing=False), SealedStore(inner, keyring)
    await clear.update([DRIFT.key("known")], _append(b"1"), ttl_s=TTL_S)
    assert await store.update([DRIFT.key("known")], _append(b"2"), ttl_s=TTL_S) == {DRIFT.key("known"): b"1"}
    assert b"known" not in await _everything(inner)
    assert await store.update([DRIFT.key("new")], lambda _, stored: (None, stored), ttl_s=TTL_S) == {
        DRIFT.key("new"): None
    }
    assert keyring.directory.subjects_of(["new"]) == {}
    key = JOIN.key("new", "a memo of another key")
    assert await store.update([key], _append(b"1"), ttl_s=TTL_S) == {key: None}
    assert await store.read([key]) == {key: b"1"}
    assert b"new" not in await _everything(inner)


async def test_of_an_erased_person_nothing_is_read_and_nothing_is_written_again(
    inner: MovingStore, people: Keyring
) -> None:
    store = SealedStore(inner, people)
    both = [DRIFT.key(ALICE), DRIFT.key(BOB)]
    await store.update(both, _append(b"1"), ttl_s=TTL_S)
    subject = people.subject(ALICE)
    people.directory.mark_erasing(ALICE)
    people.forget(subject)
    await _nothing_of_alice(store, both, b"1")
    people.directory.destroy_keys(subject)
    people.forget(subject)
    await _nothing_of_alice(store, both, b"11")
    await inner.delete([f"drift:{{{subject.hex()}}}~"])
    await _nothing_of_alice(store, both, b"111")
    assert await store.find("drift:*") == [DRIFT.key(BOB)]
    assert len(await inner.find("drift:*")) == 1


async def _nothing_of_alice(store: SealedStore, both: list[str], bobs: bytes) -> None:
    before = prometheus.REGISTRY.get_sample_value("undertone_records_erased_total", {"stage": "state"}) or 0.0
    assert await store.update(both, _append(b"1"), ttl_s=TTL_S) == {both[0]: None, both[1]: bobs}
    assert await store.read(both) == {both[0]: None, both[1]: bobs + b"1"}
    assert prometheus.REGISTRY.get_sample_value("undertone_records_erased_total", {"stage": "state"}) == before + 1


async def test_who_returns_after_an_erasure_begins_anew(inner: MovingStore, people: Keyring) -> None:
    store = SealedStore(inner, people)
    await store.update([DRIFT.key(ALICE)], _append(b"1"), ttl_s=TTL_S)
    erase(people, ALICE)
    await people.warm([ALICE], enrol=True, since=time.time())
    assert await store.update([DRIFT.key(ALICE)], _append(b"2"), ttl_s=TTL_S) == {DRIFT.key(ALICE): None}
    assert await store.read([DRIFT.key(ALICE)]) == {DRIFT.key(ALICE): b"2"}
    assert store.lost == 0


async def test_a_value_in_clear_makes_an_erased_person_anew_as_little_as_a_mute(
    inner: MovingStore, people: Keyring
) -> None:
    """A dump from before sealing was restored, and somebody mutes who is gone."""
    store, key = SealedStore(inner, people), DRIFT.key(ALICE)
    erase(people, ALICE)
    await inner.update([key], lambda *_: (b"from before", None), ttl_s=TTL_S)
    assert await store.update([key], _append(b"1"), ttl_s=TTL_S) == {key: None}
    assert await store.read([key]) == {key: None}
    await mutes.change(store, lambda _: [Mute(Scope.USER, ALICE, NOW, NOW + timedelta(days=1))], NOW)
    assert people.directory.subjects_of([ALICE]) == {}
    assert b"alice" not in ((await inner.read([MUTES.key()]))[MUTES.key()] or b"")


@pytest.fixture
def muted() -> list[Mute]:
    return [
        Mute(Scope.USER, ALICE, NOW, NOW + timedelta(days=1), "on holiday", by="nurse"),
        Mute(Scope.COHORT, "study-", NOW, NOW + timedelta(days=1)),
        Mute(Scope.USER, BOB, NOW, NOW + timedelta(days=2)),
    ]


async def test_mutes_hold_subjects_and_say_the_same(inner: MovingStore, people: Keyring, muted: list[Mute]) -> None:
    store = SealedStore(inner, people)
    await mutes.change(store, lambda _: muted, NOW)
    assert await mutes.change(store, lambda known: known, NOW) == muted
    assert mutes.load((await store.read([MUTES.key()]))[MUTES.key()]) == muted
    raw = await _everything(inner)
    for text in (ALICE.encode(), BOB.encode(), b"holiday", b"nurse"):
        assert text not in raw
    assert b"study-" in raw
    again = await inner.read([MUTES.key()])
    await mutes.change(store, lambda known: mutes.with_withheld(known, [ALICE], NOW), NOW)
    assert [mute.withheld for mute in await mutes.change(store, lambda _: muted, NOW)] == [1, 0, 0]
    assert await inner.read([MUTES.key()]) == again


async def test_mutes_in_clear_and_sealed_are_taken_over(inner: MovingStore, people: Keyring, muted: list[Mute]) -> None:
    for sealing in (False, True, False, True):
        store = SealedStore(inner, people, sealing=sealing)
        before = await mutes.change(store, lambda _: muted, NOW)
        assert before in ([], muted)
        await mutes.change(store, lambda known: mutes.ended(known, Scope.USER, BOB, NOW), NOW)
        await mutes.change(store, lambda _: muted, NOW)
        assert (ALICE in json.dumps((await _everything(inner)).decode())) is not sealing


async def test_a_person_is_muted_before_their_first_memo(inner: MovingStore, keyring: Keyring) -> None:
    store = SealedStore(inner, keyring)
    early = Mute(Scope.USER, "early", NOW, NOW + timedelta(days=1))
    await mutes.change(store, lambda known: mutes.with_mute(known, early), NOW)
    assert await mutes.change(store, lambda known: known, NOW) == [early]
    assert b"early" not in await _everything(inner)


async def test_mutes_of_an_erased_person_are_gone(inner: MovingStore, people: Keyring, muted: list[Mute]) -> None:
    store = SealedStore(inner, people)
    await mutes.change(store, lambda _: muted, NOW)
    subject = erase(people, ALICE)
    assert await mutes.change(store, lambda known: known, NOW) == muted[1:]
    await mutes.change(store, lambda known: mutes.ended(known, Scope.USER, BOB, NOW), NOW)
    assert subject.hex().encode() not in await _everything(inner)


async def test_damaged_mutes_are_set_aside(inner: MovingStore, people: Keyring, muted: list[Mute]) -> None:
    store = SealedStore(inner, people)
    await mutes.change(store, lambda _: muted, NOW)
    stored = (await inner.read([MUTES.key()]))[MUTES.key()] or b""
    for damaged in (
        stored[:-9],
        stored[:1] + b"[1]",
        stored.replace(people.subject(ALICE).hex().encode(), people.subject(BOB).hex().encode()),
    ):
        await inner.update([MUTES.key()], lambda *_, value=damaged: (value, None), ttl_s=TTL_S)
        assert (await store.read([MUTES.key()]))[MUTES.key()] == UNREADABLE
        assert await mutes.change(store, lambda _: muted, NOW) == []
        assert await mutes.change(store, lambda known: known, NOW) == muted


async def test_keys_are_deleted_wherever_they_are(inner: MovingStore, people: Keyring) -> None:
    clear, store = SealedStore(inner, people, sealing=False), SealedStore(inner, people)
    await clear.update(KEYS[:2], _append(b"1"), ttl_s=TTL_S)
    await store.update(KEYS[2:], _append(b"1"), ttl_s=TTL_S)
    await store.delete(KEYS)
    assert await inner.find("*{*") == []


async def test_a_directory_that_knows_nobody_of_a_key_makes_operators_wait(inner: MovingStore, people: Keyring) -> None:
    unknown = f"drift:{{{bytes(16).hex()}}}~"
    await inner.update([unknown], _append(b"1"), ttl_s=TTL_S)
    store = SealedStore(inner, people)
    with pytest.raises(Unknown):
        await store.find("drift:*")


async def test_a_key_that_a_scan_gives_twice_is_one_key(people: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis may repeat keys in a scan while its table grows."""
    inner = MemoryStore()
    store, find = SealedStore(inner, people), inner.find

    async def repeating(pattern: str) -> list[str]:
        return [key for key in await find(pattern) for _ in range(2)]

    monkeypatch.setattr(inner, "find", repeating)
    await store.update(KEYS[:1], _append(b"1"), ttl_s=TTL_S)
    assert await store.find("drift:*") == KEYS[:1]


async def test_who_was_updated_last_is_remembered_longest(
    inner: MovingStore, people: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory forgets the pseudonym of a person whose memo is in flight; their update must not wait for it."""
    monkeypatch.setattr(places, "REMEMBERED", 2)
    people.warm_now(["eve"], enrol=True)
    store = SealedStore(inner, people)
    for user in (ALICE, BOB, ALICE, "eve"):
        await store.update([DRIFT.key(user)], _append(b"1"), ttl_s=TTL_S)
    erase(people, ALICE)
    assert await store.update([DRIFT.key(ALICE)], _append(b"2"), ttl_s=TTL_S) == {DRIFT.key(ALICE): None}
    elsewhere = SealedStore(inner, people)
    assert await elsewhere.update([DRIFT.key(ALICE)], _append(b"2"), ttl_s=TTL_S) == {DRIFT.key(ALICE): None}
    assert people.directory.subjects_of([ALICE]) == {}, "nobody is given keys by what is under way"


def test_a_value_opens_no_longer_than_the_keyring_keeps_its_key(people: Keyring) -> None:
    person, values = people.prepared(ALICE), Values(people)
    sealed = values.seal(person, "key", b"place", b"1")
    assert values.open(person, "key", b"place", sealed) == b"1"
    people.forget(person.subject)
    with pytest.raises(Unknown):
        values.open(person, "key", b"place", sealed)


def test_values_in_clear_are_forgotten_with_the_keys_and_beyond_a_number(
    people: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_values, "REMEMBERED", 2)
    person, values = people.prepared(ALICE), Values(people)
    for number in range(5):
        values.seal(person, f"key {number % 3}", b"place", b"1")
    assert set(person.values) == {"key 0", "key 1"}
    people.forget(person.subject)
    assert not person.values


def test_a_value_that_another_process_wrote_is_not_taken_for_the_one_in_memory(people: Keyring) -> None:
    person, values = people.prepared(ALICE), Values(people)
    values.seal(person, "key", b"place", b"1")
    assert values.open(person, "key", b"place", Values(people).seal(person, "other", b"place", b"2")) == b"2"
    with pytest.raises(UnreadableState):
        values.open(person, "key", b"place", values.seal(person, "key", b"elsewhere", b"3")[:-1])


@pytest.mark.redis
async def test_a_dump_from_before_an_erasure_opens_nothing(redis_server: RedisServer, people: Keyring) -> None:
    """Keys and values that come back with an old dump are of a subject whose keys are destroyed."""
    async with RedisStore(redis_server.url, prefix=(prefix := f"{uuid4()}:")) as inner:
        store = SealedStore(inner, people)
        await store.update(KEYS, _append(b"canary"), ttl_s=TTL_S)
        with redis.Redis.from_url(redis_server.url) as client:
            dump = {key: client.dump(key) for key in client.keys(f"{prefix}*{{*")}
            assert len(dump) == len(KEYS)
            subject = erase(people, ALICE)
            await inner.delete(await inner.find("*{*"))
            for key, value in dump.items():
                client.restore(key, 0, value)
        assert await store.read(KEYS) == dict.fromkeys(KEYS)
        assert await store.find("*{*") == []
        await people.warm([ALICE], enrol=True)
        assert await store.read(KEYS) == dict.fromkeys(KEYS), "nor for the same pseudonym with new keys"
        await people.warm(frames=[(subject, LASTING)])
        assert await store.update(KEYS, lambda _, stored: (None, stored), ttl_s=TTL_S) == dict.fromkeys(KEYS)
