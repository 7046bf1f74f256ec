"""A process that starts on an older key directory makes no keys, until the newest is there or taken for it."""

import shutil
from pathlib import Path

import pytest

from schemas.errors import Transient
from schemas.settings import Settings
from schemas.state_keys import WITNESS
from streams.roles.directory_witness import DirectoryWitness
from tests.keys import sealing
from workers.privacy.key_directory import KeyDirectory
from workers.state.store import MemoryStore

MONTH = 320


def enrolled(settings: Settings, user: str, month: int = MONTH) -> bytes:
    """A process that starts, meets this person and this month, and ends."""
    directory = KeyDirectory.open(settings)
    try:
        subject = directory.enrol([user])[user].id
        directory.make_keys([(subject, month)])
    finally:
        directory.close()
    return subject


def saved(settings: Settings, folder: Path) -> Path:
    return Path(shutil.copy(settings.home / "keys.db", folder))


def restored(settings: Settings, copy: Path) -> None:
    for name in ("keys.db", "keys.db-wal", "keys.db-shm"):
        (settings.home / name).unlink(missing_ok=True)
    shutil.copy(copy, settings.home / "keys.db")


@pytest.mark.parametrize("lost", ["a person", "a month"])
async def test_on_an_older_directory_no_new_process_makes_keys(tmp_path: Path, lost: str) -> None:
    settings, store = sealing(tmp_path / "home"), MemoryStore()
    ann = enrolled(settings, "ann")
    older = saved(settings, tmp_path / "older.db")
    enrolled(settings, "ben" if lost == "a person" else "ann", 4000)
    newest = saved(settings, tmp_path / "newest.db")
    assert not await witnessed(settings, store)

    restored(settings, older)
    assert await witnessed(settings, store)
    for user, month in (("ben", MONTH), ("ann", 4000), ("new", MONTH)):
        with pytest.raises(Transient, match="older one: restore the newest backup"):
            enrolled(settings, user, month)
    assert enrolled(settings, "ann") == ann, "what it has is used"
    assert await witnessed(settings, store)

    restored(settings, newest)
    assert not await witnessed(settings, store)
    enrolled(settings, "new")


async def test_where_there_is_no_newer_backup_an_operator_takes_it_as_it_is(tmp_path: Path) -> None:
    settings, store = sealing(tmp_path / "home"), MemoryStore()
    enrolled(settings, "ann")
    older = saved(settings, tmp_path / "older.db")
    enrolled(settings, "ben")
    assert not await witnessed(settings, store)
    restored(settings, older)
    assert await witnessed(settings, store)
    await store.delete([WITNESS.key()])
    assert not await witnessed(settings, store)
    enrolled(settings, "ben")


async def test_erasures_and_retention_make_no_directory_older(tmp_path: Path) -> None:
    settings, store = sealing(tmp_path / "home"), MemoryStore()
    subject = enrolled(settings, "ann", 4000)
    assert not await witnessed(settings, store)
    directory = KeyDirectory.open(settings)
    directory.mark_erasing("ann")
    directory.destroy_keys(subject)
    directory.destroy_epochs(4001)
    directory.rotate_store_key()
    directory.close()
    assert not await witnessed(settings, store)
    enrolled(settings, "ben")


async def test_without_a_directory_there_is_nothing_to_witness(tmp_path: Path) -> None:
    store = MemoryStore()
    assert not await witnessed(Settings(home=tmp_path / "none"), store)
    assert (await store.read([WITNESS.key()]))[WITNESS.key()] is None


async def witnessed(settings: Settings, store: MemoryStore) -> bool:
    """One look of a new process."""
    witness = DirectoryWitness(settings, store)
    try:
        return await witness.look()
    finally:
        witness.close()
