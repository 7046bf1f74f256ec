"""Key directories that were restored from an older copy, damaged, or opened to others."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.errors import ConfigurationError, Transient
from tests.keys import sealing
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.key_tables import FILE


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def restore(home: Path) -> Callable[[], Callable[[], None]]:
    """Take a copy of the directory; the result puts it back."""

    def copy() -> Callable[[], None]:
        names = [name for name in (FILE, f"{FILE}-wal") if (home / name).exists()]
        kept = {name: (home / name).read_bytes() for name in names}

        def put_back() -> None:
            for suffix in ("", "-wal", "-shm"):
                (home / f"{FILE}{suffix}").unlink(missing_ok=True)
            for name, data in kept.items():
                (home / name).write_bytes(data)
                (home / name).chmod(0o600)

        return put_back

    return copy


def test_from_before_a_rotation_opens_nothing(home: Path, restore: Callable[[], Callable[[], None]]) -> None:
    directory = KeyDirectory.open(sealing(home))
    subject = directory.enrol(["ann", "ben"])["ann"].id
    put_back = restore()
    directory.destroy_keys(subject)
    directory.rotate_store_key()
    directory.close()
    put_back()
    with pytest.raises(ConfigurationError, match="older than the last rotation"):
        KeyDirectory.open(sealing(home))


def test_put_back_under_a_running_process_makes_it_wait(home: Path, restore: Callable[[], Callable[[], None]]) -> None:
    directory = KeyDirectory.open(sealing(home))
    directory.enrol(["ann"])
    put_back = restore()
    directory.rotate_store_key()
    directory.enrol(["ben"])
    directory._database.engine.dispose()
    put_back()
    for call in (directory.subjects_of, directory.enrol):
        with pytest.raises(Transient, match="older than the last rotation"):
            call(["ann"])
    directory.close()


def test_without_a_rotation_it_enrols_nobody_a_second_time(
    home: Path, restore: Callable[[], Callable[[], None]]
) -> None:
    directory = KeyDirectory.open(sealing(home))
    directory.enrol(["ann"])
    put_back = restore()
    directory.enrol(["ben"])
    directory._database.engine.dispose()
    put_back()
    assert directory.subjects_of(["ann"])
    with pytest.raises(Transient, match="replaced by an older one"):
        directory.enrol(["ben"])
    directory.close()


def test_the_file_cut_short_is_said_to_be_damaged(home: Path) -> None:
    directory = KeyDirectory.open(sealing(home))
    directory.enrol([f"u{number}" for number in range(500)])
    directory.close()
    whole = (home / FILE).read_bytes()
    (home / FILE).write_bytes(whole[:100] + b"\x00" * 8000)
    with pytest.raises(ConfigurationError, match="damaged: restore"):
        KeyDirectory.open(sealing(home))
    (home / FILE).write_bytes(b"no database at all" * 1000)
    with pytest.raises(ConfigurationError, match="damaged: restore"):
        KeyDirectory.open(sealing(home))


def test_a_file_that_others_may_read_is_refused(home: Path) -> None:
    KeyDirectory.open(sealing(home)).close()
    (home / FILE).chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        KeyDirectory.open(sealing(home))


def test_a_lost_keyset_is_never_made_again(home: Path) -> None:
    KeyDirectory.open(sealing(home)).close()
    (home / "keyset.json").unlink()
    with pytest.raises(ConfigurationError, match="restore it from its backup"):
        KeyDirectory.open(sealing(home))
    assert not (home / "keyset.json").exists()
    shutil.rmtree(home)
    KeyDirectory.open(sealing(home)).close()
