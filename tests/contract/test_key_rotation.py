"""Rotations of the store key, and outages: one contract for the key directory in SQLite and in PostgreSQL."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import Transient
from schemas.settings import Settings
from tests.key_directories import MONTH, directory, keys_of, rows, sealed_settings
from tests.keys import sealing
from tests.postgres import PostgresServer, programs
from workers.privacy import rotation
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.key_services.kms import KEYSET
from workers.privacy.key_services.local_keyset import LocalKeyset
from workers.privacy.key_tables import DATA_KEYS, PERSONS, STORE_KEYS, KeyDatabase
from workers.privacy.rotation import Rotation
from workers.privacy.store_keys import StoreKeys, StoreKeyState

__all__ = ["directory", "sealed_settings"]


def test_a_rotation_changes_every_row_and_no_key(directory: KeyDirectory) -> None:
    users = [f"u{number}" for number in range(50)]
    directory.enrol(users)
    before, subjects = keys_of(directory, *users), directory.subjects_of(users)
    wrapped = {row.wrapped for row in rows(directory, DATA_KEYS)}
    macs = {row.mac for row in rows(directory, PERSONS)}
    rotated = directory.rotate_store_key()
    assert (rotated.version, rotated.rewrapped, rotated.damaged) == (2, 100, 0)
    assert [receipt.version for receipt in rotated.receipts] == ["1"]
    assert rotated.gone_at is not None
    assert keys_of(directory, *users) == before
    assert directory.subjects_of(users) == subjects
    assert wrapped.isdisjoint({row.wrapped for row in rows(directory, DATA_KEYS)})
    assert macs.isdisjoint({row.mac for row in rows(directory, PERSONS)})
    assert {row.store_key for row in rows(directory, DATA_KEYS)} == {2}
    assert [row.state for row in rows(directory, STORE_KEYS)] == [StoreKeyState.DESTROYED, StoreKeyState.CURRENT]
    assert directory.enrol(users) == subjects


def test_others_read_and_enrol_while_it_rotates(sealed_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "AT_ONCE", 7)
    rotating, working = KeyDirectory.open(sealed_settings), KeyDirectory.open(sealed_settings)
    users = [f"u{number}" for number in range(30)]
    subjects, keys = working.enrol(users), keys_of(working, *users)
    done = threading.Event()

    def rotate() -> list[Rotation]:
        try:
            return [rotating.rotate_store_key() for _ in range(3)]
        finally:
            done.set()

    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(rotate)
        number = 0
        while not done.is_set():
            assert working.enrol(users) == subjects
            # A row that was wrapped anew between two reads is unknown for that moment, never another key.
            assert keys_of(working, *users).items() <= keys.items()
            working.enrol([f"new{number}"])
            number += 1
        rotations = future.result()
    assert [each.version for each in rotations] == [2, 3, 4]
    assert number > 0
    assert keys_of(working, *users) == keys
    assert len(rows(working, PERSONS)) == 30 + number
    assert {row.store_key for row in rows(working, DATA_KEYS)} == {4}
    rotating.close()
    working.close()


@pytest.mark.parametrize("step", ["_drain", "_mark_emptied", "_destroy_emptied"])
def test_a_rotation_that_was_killed_is_finished_by_the_next(
    sealed_settings: Settings, directory: KeyDirectory, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    directory.enrol(["ann", "ben"])
    before = keys_of(directory, "ann", "ben")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rotation, step, killed)
        with pytest.raises(KeyboardInterrupt):
            directory.rotate_store_key()
    assert keys_of(directory, "ann", "ben") == before
    other = KeyDirectory.open(sealed_settings)
    assert keys_of(other, "ann", "ben") == before
    assert {receipt.version for receipt in other.rotate_store_key().receipts} == {"1", "2"}
    assert keys_of(directory, "ann", "ben") == before
    assert {row.state for row in rows(directory, STORE_KEYS)} == {StoreKeyState.CURRENT, StoreKeyState.DESTROYED}
    other.close()


def test_two_rotations_at_once_leave_every_key(sealed_settings: Settings) -> None:
    directories = [KeyDirectory.open(sealed_settings) for _ in range(3)]
    users = [f"u{number}" for number in range(30)]
    directories[0].enrol(users)
    before = keys_of(directories[0], *users)
    with ThreadPoolExecutor(3) as threads:
        assert {each.version for each in threads.map(KeyDirectory.rotate_store_key, directories)} == {2, 3, 4}
    assert keys_of(directories[1], *users) == before
    states = [row.state for row in rows(directories[0], STORE_KEYS)]
    assert states == [*[StoreKeyState.DESTROYED] * 3, StoreKeyState.CURRENT]
    for opened in directories:
        opened.close()


@pytest.mark.parametrize("before", [1, 2, 3, 4, 5], ids="before transaction {}".format)
def test_a_rotation_that_begins_within_another_costs_no_key(
    sealed_settings: Settings, directory: KeyDirectory, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    """Two erasures at once: the second makes its store key while the first is between two batches."""
    monkeypatch.setattr(rotation, "AT_ONCE", 7)
    users = [f"u{number}" for number in range(10)]
    subjects = directory.enrol(users)
    keys = keys_of(directory, *users)
    second = KeyDirectory.open(sealed_settings)
    writing, begun = KeyDatabase.writing, []

    def interrupted(database: KeyDatabase) -> Any:
        if database is directory.database:
            begun.append(database)
            if len(begun) == before + 1:
                rotation.begin(second.database, StoreKeys(LocalKeyset(sealed_settings.home / KEYSET)))
        return writing(database)

    monkeypatch.setattr(KeyDatabase, "writing", interrupted)
    directory.rotate_store_key()
    assert keys_of(second, *users) == keys
    directory.rotate_store_key()
    assert keys_of(second, *users) == keys
    assert second.enrol(users) == subjects
    assert {row.store_key for row in rows(second, DATA_KEYS)} == {4}
    second.close()


@pytest.mark.postgres
def test_a_database_that_is_killed_is_waited_for_and_nothing_is_made_twice(tmp_path: Path) -> None:
    folder = programs()
    if folder is None:
        pytest.skip("no PostgreSQL: `make servers` installs it")
    with PostgresServer(folder) as server:
        settings = sealing(tmp_path, key_directory_url=server.make("keys"))
        KeyDirectory.init(settings)
        directory = KeyDirectory.open(settings)
        subjects, keys = directory.enrol(["ann"]), keys_of(directory, "ann")
        server.kill()
        for call in (
            lambda: directory.subjects_of(["ann"]),
            lambda: directory.enrol(["ben"]),
            lambda: directory.keys_of([*((subject.id, MONTH) for subject in subjects.values())]),
            directory.rotate_store_key,
            lambda: KeyDirectory.open(settings),
        ):
            with pytest.raises(Transient):
                call()
        server.start()
        assert directory.enrol(["ann"]) == subjects
        assert keys_of(directory, "ann") == keys
        assert directory.rotate_store_key().rewrapped == 2
        assert keys_of(directory, "ann") == keys
        directory.close()


def test_a_key_service_that_is_slow_or_wrong_makes_processes_wait(
    directory: KeyDirectory, sealed_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.enrol(["ann"])
    keys = keys_of(directory, "ann")

    def unavailable(*_: object) -> bytes:
        raise Transient("the key service does not answer")

    with monkeypatch.context() as patch:
        for name in ("wrap", "unwrap", "rotate"):
            patch.setattr(LocalKeyset, name, unavailable)
        # Who has the store key in memory goes on; nobody else begins, and no rotation does.
        assert keys_of(directory, "ann") == keys
        assert directory.enrol(["ben"])
        with pytest.raises(Transient):
            KeyDirectory.open(sealed_settings)
        with pytest.raises(Transient):
            directory.rotate_store_key()
    assert {row.version for row in rows(directory, STORE_KEYS)} == {1}
    assert directory.rotate_store_key().version == 2
    assert keys_of(directory, "ann") == keys
