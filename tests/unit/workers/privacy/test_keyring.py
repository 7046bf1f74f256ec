"""The keyring: what is in memory, for how long, and what it answers."""

import asyncio
import sqlite3
from collections.abc import Collection
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.errors import Erased, Transient, Unknown
from schemas.key_purposes import LASTING, Purpose, epoch_of
from tests.keys import sealing
from workers.privacy import keyring as module
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.keyring import Keyring
from workers.privacy.person_keys import Subject, purpose_key
from workers.service.health import HEALTH
from workers.service.prometheus import REGISTRY

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MONTH = epoch_of(NOW)


class Clock:
    """Seconds that pass when a test says so, and the date."""

    def __init__(self) -> None:
        self.now, self.today = 1000.0, NOW


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(tmp_path: Path) -> KeyDirectory:
    return KeyDirectory.open(sealing(tmp_path))


@pytest.fixture
def ring(directory: KeyDirectory, clock: Clock) -> Keyring:
    return Keyring(directory, 600.0, lambda: clock.now, lambda: clock.today)


class Away:
    """A directory that does not answer."""

    def purpose_key(self, key: bytes, epoch: int, purpose: Purpose) -> bytes:
        """As that of a directory: nothing is asked for it."""
        return purpose_key(key, purpose)

    def __getattr__(self, name: str) -> object:
        raise Transient("the key directory does not answer")


async def test_a_user_is_enrolled_only_when_asked(ring: Keyring) -> None:
    await ring.warm(["ann"])
    with pytest.raises(Unknown):
        ring.subject("ann")
    await ring.warm(["ann"], enrol=True)
    assert ring.user(ring.subject("ann")) == "ann"
    assert ring.epoch(ring.subject("ann")) == MONTH


async def test_another_process_opens_by_subject_and_epoch(ring: Keyring, directory: KeyDirectory, clock: Clock) -> None:
    await ring.warm(["ann"], enrol=True)
    subject = ring.subject("ann")
    other = Keyring(directory, 600.0, lambda: clock.now, lambda: clock.today)
    await other.warm(frames=[(subject, MONTH)])
    assert other.user(subject) == "ann"
    assert other.subject("ann") == subject
    for purpose in Purpose:
        assert other.subkey(subject, MONTH, purpose) == ring.subkey(subject, MONTH, purpose)
        assert other.subkey(subject, LASTING, purpose) == ring.subkey(subject, LASTING, purpose)


async def test_every_person_epoch_and_purpose_has_a_key_of_its_own(ring: Keyring) -> None:
    await ring.warm(["ann", "ben"], enrol=True)
    keys = [
        ring.subkey(ring.subject(user), epoch, purpose)
        for user in ("ann", "ben")
        for epoch in (LASTING, MONTH)
        for purpose in Purpose
    ]
    assert len({key[:32] for key in keys}) == len(keys)
    assert {len(key) for key in keys} == {32, 64}


async def test_keys_are_forgotten_after_their_time(ring: Keyring, clock: Clock) -> None:
    await ring.warm(["ann"], enrol=True)
    subject = ring.subject("ann")
    ring._source = Away()  # type: ignore[assignment]
    clock.now += 299
    await ring.warm(["ann"])
    clock.now += 300
    assert ring.subkey(subject, MONTH, Purpose.ALERTS)
    with pytest.raises(Transient):
        await ring.warm(["ann"])
    clock.now += 2
    with pytest.raises(Unknown):
        ring.subkey(subject, MONTH, Purpose.ALERTS)


async def test_a_directory_that_is_away_is_said_by_health_until_it_answers(
    ring: Keyring, directory: KeyDirectory
) -> None:
    ring._source = Away()  # type: ignore[assignment]
    with pytest.raises(Transient):
        await ring.warm(["ann"], enrol=True)
    assert "keys" in HEALTH.lacking()
    ring._source = directory
    await ring.warm(["ann"], enrol=True)
    assert "keys" not in HEALTH.lacking()


async def test_a_subject_that_the_directory_does_not_know_waits_and_is_said_by_health(ring: Keyring) -> None:
    stranger = bytes(16)
    await ring.warm(["ann"], [(stranger, MONTH)], enrol=True)
    assert "restored from an older backup" in HEALTH.lacking()["keys"]
    assert REGISTRY.get_sample_value("undertone_keys_unknown") == 1
    with pytest.raises(Unknown):
        ring.user(stranger)
    assert ring.subject("ann")
    await ring.warm(["ben"], enrol=True)
    assert "keys" not in HEALTH.lacking()
    assert REGISTRY.get_sample_value("undertone_keys_unknown") == 0


async def test_a_rotation_between_two_batches_changes_nothing(
    ring: Keyring, directory: KeyDirectory, clock: Clock
) -> None:
    await ring.warm(["ann"], enrol=True)
    subject = ring.subject("ann")
    before = ring.subkey(subject, MONTH, Purpose.FEATURES)
    directory.rotate_store_key()
    assert ring.subkey(subject, MONTH, Purpose.FEATURES) == before
    clock.now += 301
    await ring.warm(["ann", "ben"], [(subject, MONTH)], enrol=True)
    assert ring.subject("ann") == subject
    assert ring.subkey(subject, MONTH, Purpose.FEATURES) == before


async def test_an_erased_person_is_erased_once_the_cache_is_old(
    ring: Keyring, directory: KeyDirectory, clock: Clock
) -> None:
    await ring.warm(["ann"], enrol=True)
    subject = ring.subject("ann")
    directory.destroy_keys(subject)
    clock.now += 301
    await ring.warm(frames=[(subject, MONTH)])
    for use in (
        lambda: ring.user(subject),
        lambda: ring.subject("ann"),
        lambda: ring.subkey(subject, MONTH, Purpose.SCORES),
        lambda: ring.epoch(subject),
    ):
        with pytest.raises(Erased):
            use()
    await ring.warm(["ann"], enrol=True)
    assert ring.subject("ann") != subject


async def test_an_old_record_of_who_was_erased_and_returned_costs_the_new_subject_nothing(
    ring: Keyring, directory: KeyDirectory, clock: Clock
) -> None:
    await ring.warm(["ann"], enrol=True)
    old = ring.subject("ann")
    directory.destroy_keys(old)
    clock.now += 301
    await ring.warm(["ann"], enrol=True)
    new = ring.subject("ann")
    assert new != old
    await ring.warm(frames=[(old, MONTH)])
    assert ring.subject("ann") == new
    with pytest.raises(Erased):
        ring.user(old)


async def test_an_erasure_between_two_looks_into_the_directory_destroys_no_month_of_others(
    ring: Keyring, directory: KeyDirectory, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ring.warm(["ann", "ben"], enrol=True)
    ben = ring.subject("ben")
    directory.make_keys([(ring.subject("ann"), MONTH - 1), (ben, MONTH - 1)])
    clock.now += 301
    await ring.warm(["ben"])
    subjects_of = directory.subjects_of

    def erased_after(users: Collection[str]) -> dict[str, Subject]:
        found = subjects_of(users)
        directory.mark_erasing("ann")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(directory, "subjects_of", erased_after)
        await ring.warm(["ann"], [(ring.subject("ann"), MONTH - 1)])
    await ring.warm(frames=[(ben, MONTH - 1)])
    assert ring.subkey(ben, MONTH - 1, Purpose.SCORES)


async def test_a_process_that_is_told_forgets_at_once(ring: Keyring, directory: KeyDirectory) -> None:
    await ring.warm(["ann", "ben"], enrol=True)
    subject = ring.subject("ann")
    directory.mark_erasing("ann")
    ring.forget(subject)
    await ring.warm(["ann"], enrol=True)
    with pytest.raises(Erased):
        ring.subject("ann")
    assert ring.subject("ben")


async def test_the_first_record_of_a_month_makes_its_key(ring: Keyring, clock: Clock) -> None:
    await ring.warm(["ann"], enrol=True)
    subject = ring.subject("ann")
    november = ring.subkey(subject, MONTH, Purpose.SCORES)
    clock.today = datetime(2026, 12, 1, tzinfo=UTC)
    await ring.warm(["ann"])
    assert ring.epoch(subject) == MONTH + 1
    assert ring.subkey(subject, MONTH + 1, Purpose.SCORES) != november
    assert ring.subkey(subject, MONTH, Purpose.SCORES) == november


async def test_a_month_that_retention_destroyed_is_erased_and_the_person_is_not(
    ring: Keyring, directory: KeyDirectory, clock: Clock
) -> None:
    await ring.warm(["ann"], enrol=True)
    subject = ring.subject("ann")
    assert ring.subkey(subject, MONTH, Purpose.SCORES)
    directory.destroy_epochs(MONTH + 1)
    clock.now += 301
    clock.today = datetime(2026, 12, 1, tzinfo=UTC)
    await ring.warm(["ann"], [(subject, MONTH)])
    with pytest.raises(Erased, match="retention"):
        ring.subkey(subject, MONTH, Purpose.SCORES)
    assert ring.subkey(subject, MONTH + 1, Purpose.SCORES)
    assert ring.subkey(subject, LASTING, Purpose.STATE)


@pytest.fixture
def backup(directory: KeyDirectory, ring: Keyring, tmp_path: Path) -> KeyDirectory:
    """A directory of some time ago, with ann."""
    ring.warm_now(["ann"], enrol=True)
    (tmp_path / "backup").mkdir(mode=0o700)
    for name in ("keys.db", "keyset.json"):
        source = tmp_path / name
        if name == "keys.db":
            with closing(sqlite3.connect(source)) as now, closing(sqlite3.connect(tmp_path / "backup" / name)) as then:
                now.backup(then)
        else:
            (tmp_path / "backup" / name).write_bytes(source.read_bytes())
        (tmp_path / "backup" / name).chmod(0o600)
    return KeyDirectory.open(sealing(tmp_path / "backup"))


async def test_under_a_restored_directory_nobody_gets_a_second_subject(
    ring: Keyring, clock: Clock, directory: KeyDirectory, backup: KeyDirectory
) -> None:
    await ring.warm(["ben"], enrol=True)
    subject = ring.subject("ben")
    ring._source = backup
    clock.now += 601
    for _ in range(2):
        with pytest.raises(Transient, match="restore its newest backup"):
            await ring.warm(["ben"], enrol=True)
        assert "older" in HEALTH.lacking()["keys"]
    assert backup.subjects_of(["ben"]) == {}
    ring._source = directory
    await ring.warm(["ben"], enrol=True)
    assert ring.subject("ben") == subject
    assert "keys" not in HEALTH.lacking()


async def test_under_a_restored_directory_no_month_gets_a_second_key(
    ring: Keyring, clock: Clock, directory: KeyDirectory, backup: KeyDirectory
) -> None:
    """What was sealed with the first would be taken for forged."""
    clock.today += timedelta(days=400)  # the month of the real clock has a key since the enrolment
    await ring.warm(["ann"])
    subject, month = ring.subject("ann"), epoch_of(clock.today)
    key = ring.subkey(subject, month, Purpose.UPLOAD)
    ring._source = backup
    clock.now += 601
    with pytest.raises(Transient, match="restore its newest backup"):
        await ring.warm(["ann"])
    assert (subject, month) not in backup.keys_of([(subject, month)])
    ring._source = directory
    await ring.warm(["ann"])
    assert ring.subkey(subject, month, Purpose.UPLOAD) == key
    assert "keys" not in HEALTH.lacking()


async def test_what_was_looked_up_longest_ago_makes_room(ring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PEOPLE", 3)
    await ring.warm(["ann", "ben"], enrol=True)
    await ring.warm(["cat", "dan"], enrol=True)
    known = [user for user in ("ann", "ben", "cat", "dan") if user in ring._subjects]
    assert len(known) == 3
    assert {"cat", "dan"} < set(known)


async def test_tasks_and_threads_share_it(ring: Keyring) -> None:
    users = [f"u{number}" for number in range(40)]
    await asyncio.gather(*(ring.warm(users[start : start + 10], enrol=True) for start in (0, 5, 10, 20, 30)))
    subjects = {ring.subject(user) for user in users}
    assert len(subjects) == 40
    assert [ring.user(ring.subject(user)) for user in users] == users
