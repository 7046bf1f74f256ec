"""The whole pipeline sealed: the same scores and alerts as in clear, and nothing on a topic that says whose."""

import asyncio
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from schemas import topics
from schemas.errors import ConfigurationError, Transient
from schemas.events import MemoUploaded
from schemas.sealed_frame import is_sealed
from schemas.settings import Settings
from tests.faults.cohort import Cohort
from tests.sealed_pipeline import Place, content, outcomes, place, raw, running, settled, traces
from workers.kafka import sealed_clients
from workers.privacy import key_requests
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.key_requests import KEYS
from workers.privacy.key_services.kms import KEYSET, Wrapped
from workers.privacy.key_services.local_keyset import LocalKeyset
from workers.privacy.key_tables import FILE
from workers.privacy.keyring import Keyring
from workers.privacy.sealing import OPEN_TOPICS, close_all, sealing_of
from workers.service.health import HEALTH

pytestmark = pytest.mark.timeout(300)

COHORT = Cohort(users=4, changing=2, calm_days=34, changed_days=8, poison_every=25)
CALM = COHORT.users * COHORT.calm_days
Outcomes = Mapping[tuple[str, str], list[bytes]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sealed")


@pytest.fixture(scope="module")
def memos(folder: Path) -> list[MemoUploaded]:
    (folder / "audio").mkdir()
    return list(COHORT.write(folder / "audio"))


@pytest.fixture
def at(folder: Path, tmp_path: Path) -> Iterator[Place]:
    with place(folder) as found:
        found.home = tmp_path
        yield found
    for name in ("keys", "broker", "redis", "partitions", "model"):
        HEALTH.has(name)


async def whole_day(at: Place, memos: list[MemoUploaded], monkeypatch: pytest.MonkeyPatch, seal: str) -> Outcomes:
    """All memos, those of changed days one day after the other: whether a score meets an open episode is then sure."""
    settings = at.settings(seal=seal)
    async with running(settings, monkeypatch):
        days = [memos[:CALM], *(memos[n : n + COHORT.users] for n in range(CALM, len(memos), COHORT.users))]
        for day in days:
            await at.submit(settings, day)
            await settled(at, settings)
    return await outcomes(settings)


_clear: list[Outcomes] = []


@pytest.fixture
async def in_clear(folder: Path, memos: list[MemoUploaded], monkeypatch: pytest.MonkeyPatch) -> Outcomes:
    """What the same memos lead to without sealing, played once."""
    if not _clear:
        with place(folder) as clear:
            _clear.append(await whole_day(clear, memos, monkeypatch, "off"))
    return _clear[0]


async def test_sealed_outcomes_are_those_in_clear_and_no_topic_names_anybody(
    at: Place, memos: list[MemoUploaded], in_clear: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sum(len(each) for (topic, _), each in in_clear.items() if topic == topics.ALERTS.name) > 0
    assert sum(len(each) for (topic, _), each in in_clear.items() if topic == topics.DEAD.name) > 0
    assert await whole_day(at, memos, monkeypatch, "on") == in_clear
    records = await raw(at.settings())
    assert {record.topic for record in records} >= {topic.name for topic in topics.TOPICS[:5]}
    of_people = [record for record in records if record.topic not in OPEN_TOPICS]
    assert all(is_sealed(record.value) for record in of_people)
    everything = content(records)
    assert not [trace for trace in traces(memos) if trace in everything]
    assert len({record.key for record in of_people}) == COHORT.users, "one subject a person, on all topics"


async def test_switched_on_and_off_in_mid_flow_every_memo_has_one_outcome(
    at: Place, memos: list[MemoUploaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes of both settings leave their records at every hop for the next."""
    third = len(memos) // 3
    for phase, seal in enumerate(("off", "on", "off")):
        settings = at.settings(seal=seal)
        async with running(settings, monkeypatch):
            await at.submit(settings, memos[phase * third : (phase + 1) * third])
            await settled(at, settings, None if phase == 2 else (phase + 1) * third * 2 // 3)
    found = await outcomes(settings)
    ends = [end for (topic, _), several in found.items() if topic != topics.ALERTS.name for end in several]
    assert len(ends) == len(at.uploaded)
    poisoned = sum(COHORT.broken(number) for number in range(3 * third))
    assert sum(len(several) for (topic, _), several in found.items() if topic == topics.DEAD.name) == poisoned
    for topic in topics.TOPICS[:3]:
        framings = {is_sealed(record.value) for record in await raw(settings) if record.topic == topic.name}
        assert framings == {True, False}, topic.name


async def test_keys_away_for_ten_minutes_lose_nothing_and_let_nothing_out_in_clear(
    at: Place, memos: list[MemoUploaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_clients, "LONGEST_WAIT_S", 0.2)
    settings, half = at.settings(seal="on"), CALM // 2
    async with running(settings, monkeypatch):
        await at.submit(settings, memos[:half])
        await settled(at, settings)
        before = len(await raw(settings))
        with monkeypatch.context() as outage:
            outage.setattr(Keyring, "warm_now", _away)
            ring = sealing_of(settings).keyring
            ring._clock = lambda: time.monotonic() + 600.0
            await at.submit(at.settings(seal="off"), memos[half:CALM])
            while KEYS not in HEALTH.lacking():
                await asyncio.sleep(0.05)
            assert HEALTH.lacking()[KEYS] == "the key directory does not answer"
            assert HEALTH.faults() == [], "a restart would not help"
            await check_nothing_in_clear(settings, before)
        await settled(at, settings)
        assert KEYS not in HEALTH.lacking()
    await check_nothing_lost(settings, CALM)


async def check_nothing_in_clear(settings: Settings, before: int) -> None:
    """Of the records after so many, only what the platform uploads is in clear."""
    during = (await raw(settings))[before:]
    assert {record.topic for record in during if not is_sealed(record.value)} <= {topics.UPLOADED.name}


async def check_nothing_lost(settings: Settings, memos: int) -> None:
    """Each of the first memos has one outcome, and those that cannot be read no other than a dead letter."""
    found = await outcomes(settings)
    dead = sum(len(several) for (topic, _), several in found.items() if topic == topics.DEAD.name)
    assert dead == sum(map(COHORT.broken, range(memos)))
    assert sum(len(several) for (topic, _), several in found.items() if topic == topics.SCORED.name) == memos - dead


def _away(*_: object, **__: object) -> None:
    raise Transient("the key directory does not answer")


async def test_a_key_service_that_is_slow_after_a_rotation_loses_nothing_and_lets_nothing_out_in_clear(
    at: Place, memos: list[MemoUploaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process rotates, so that this one asks the key service for the new store key, which does not come."""
    monkeypatch.setattr(sealed_clients, "LONGEST_WAIT_S", 0.2)
    settings, half = at.settings(seal="on"), CALM // 2
    async with running(settings, monkeypatch):
        await at.submit(settings, memos[:half])
        await settled(at, settings)
        before, ring, answers = len(await raw(settings)), sealing_of(settings).keyring, threading.Event()
        await asyncio.to_thread(rotate, settings)
        with monkeypatch.context() as slowness:
            slow_service(slowness, answers)
            slowness.setattr(key_requests, "ANSWER_WITHIN_S", 0.2)
            ring._clock = lambda: time.monotonic() + 600.0
            await at.submit(at.settings(seal="off"), memos[half:CALM])
            try:
                while "longer than" not in HEALTH.lacking().get(KEYS, ""):
                    await asyncio.sleep(0.05)
                assert HEALTH.faults() == [], "a restart would not help"
                await check_nothing_in_clear(settings, before)
            finally:
                answers.set()
        await settled(at, settings)
        assert KEYS not in HEALTH.lacking()
    await check_nothing_lost(settings, CALM)


def rotate(settings: Settings) -> None:
    """As `undertone keys rotate` in a process of its own."""
    directory = KeyDirectory.open(settings)
    directory.rotate_store_key()
    directory.close()


def slow_service(patch: pytest.MonkeyPatch, answers: threading.Event) -> None:
    """The key service opens nothing before `answers`."""
    unwrap = LocalKeyset.unwrap

    def slow(service: LocalKeyset, wrapped: Wrapped, context: bytes) -> bytes:
        assert answers.wait(120)
        return unwrap(service, wrapped, context)

    patch.setattr(LocalKeyset, "unwrap", slow)


@pytest.mark.parametrize("rotated", [False, True])
async def test_a_wrong_key_service_ends_roles_that_say_why_and_go_on_with_the_right_one(
    at: Place, memos: list[MemoUploaded], monkeypatch: pytest.MonkeyPatch, rotated: bool
) -> None:
    """The keyset of another installation. rotated: it has no version of the number that the directory names."""
    monkeypatch.setattr(sealed_clients, "LONGEST_WAIT_S", 0.2)
    settings, half = at.settings(seal="on"), CALM // 2
    async with running(settings, monkeypatch):
        await at.submit(settings, memos[:half])
        await settled(at, settings, half // 4)  # memos are at every hop
    before, own = len(await raw(settings)), settings.home / KEYSET
    if rotated:
        await asyncio.to_thread(rotate, settings)
    right = own.read_bytes()
    other = settings.model_copy(update={"home": at.home / "other"})
    KeyDirectory.init(other)
    own.write_bytes((other.home / KEYSET).read_bytes())
    close_all()  # as in a process that starts
    await at.submit(at.settings(seal="off"), memos[half:CALM])
    with pytest.raises(ConfigurationError, match="UNDERTONE_KMS"):
        async with running(settings, monkeypatch) as roles:
            await asyncio.wait(roles)
    await check_nothing_in_clear(settings, before)
    own.write_bytes(right)
    close_all()
    async with running(settings, monkeypatch):
        await settled(at, settings)
        assert KEYS not in HEALTH.lacking()
    await check_nothing_lost(settings, CALM)


async def test_a_rotation_and_a_restored_older_directory_in_mid_flow_lose_nothing(
    at: Place, memos: list[MemoUploaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is the one from before a person's first memo, until somebody restores the newest one."""
    monkeypatch.setattr(sealed_clients, "LONGEST_WAIT_S", 0.2)
    new, flow = "user-003", memos[: CALM // 2]
    known, late = [m for m in flow if m.user_id != new], [m for m in flow if m.user_id == new]
    settings = at.settings(seal="on")
    async with running(settings, monkeypatch):
        await at.submit(settings, known)
        await settled(at, settings, len(known) // 4)  # memos are at every hop
        ring = sealing_of(settings).keyring
        await asyncio.to_thread(ring.directory.rotate_store_key)
        await settled(at, settings)
        older = KeyDirectory.open(copied(settings, at.home / "older"))
        await at.submit(settings, late[: len(late) // 2])
        await settled(at, settings)
        subject, newest = ring.subject(new), ring.directory
        before = len(await raw(settings))
        with monkeypatch.context() as restored:
            restored.setattr(ring, "_source", older)
            ring._clock = lambda: time.monotonic() + 600.0
            await at.submit(at.settings(seal="off"), late[len(late) // 2 :])
            while KEYS not in HEALTH.lacking():
                await asyncio.sleep(0.05)
            assert "older" in HEALTH.lacking()[KEYS]
            assert HEALTH.faults() == [], "a restart would not help"
            await check_nothing_in_clear(settings, before)
            assert older.subjects_of([new]) == {}, "nobody gets a second subject"
        await settled(at, settings)
        assert KEYS not in HEALTH.lacking()
        assert newest.subjects_of([new])[new].id == subject
        older.close()
    await check_nothing_lost(settings, len(flow))


def copied(settings: Settings, home: Path) -> Settings:
    """Settings with a copy of the key directory and of the key service, as they are now."""
    home.mkdir(mode=0o700)
    with closing(sqlite3.connect(settings.home / FILE)) as source, closing(sqlite3.connect(home / FILE)) as copy:
        source.backup(copy)
    shutil.copy(settings.home / KEYSET, home / KEYSET)
    (home / FILE).chmod(0o600)
    return settings.model_copy(update={"home": home})


async def test_of_a_person_who_is_erased_in_mid_flow_nothing_opens_and_nobody_else_notices(
    at: Place, memos: list[MemoUploaded], in_clear: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = "user-003"  # one of those who do not change
    settings = at.settings(seal="on")
    async with running(settings, monkeypatch):
        await at.submit(settings, memos[:CALM])
        await settled(at, settings, CALM // 4)  # its memos are at every hop
        ring = sealing_of(settings).keyring
        subject = ring.subject(gone)
        ring.directory.mark_erasing(gone)
        ring.directory.destroy_keys(subject)
        ring.forget(subject)
        await settled(at, settings)
        others = [memo for memo in memos[CALM:] if memo.user_id != gone]
        for start in range(0, len(others), COHORT.users - 1):
            await at.submit(settings, others[start : start + COHORT.users - 1])
            await settled(at, settings)
        assert ring.directory.subjects_of([gone]) == {}, "nobody gave that person new keys"
    found = await outcomes(settings)
    assert {user for _, user in found} == {user for _, user in in_clear} - {gone}
    assert found == {place: values for place, values in in_clear.items() if place[1] != gone}
    assert gone.encode() not in content(await raw(settings))
    assert [record for record in await raw(settings) if record.key == subject.hex().encode()], "ciphertexts stay"
