"""The local keyset: its file, its mode, and what damages it."""

import json
import os
import threading
from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from workers.privacy.key_services.kms import VersionDestroyed
from workers.privacy.key_services.local_keyset import LocalKeyset, make

CONTEXT = b"context"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "keyset.json"
    LocalKeyset(path).create()
    return path


def test_it_is_for_its_user_alone(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    LocalKeyset(path).rotate()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        LocalKeyset(path).wrap(b"key", CONTEXT)


def test_creating_it_keeps_what_is_there(path: Path) -> None:
    before = path.read_bytes()
    LocalKeyset(path).create()
    assert path.read_bytes() == before


def test_a_missing_file_is_never_replaced(tmp_path: Path) -> None:
    keyset = make(str(tmp_path / "keyset.json"))
    with pytest.raises(ConfigurationError, match="restore it from its backup"):
        keyset.wrap(b"key", CONTEXT)
    with pytest.raises(ConfigurationError, match="restore it from its backup"):
        keyset.rotate()
    assert not (tmp_path / "keyset.json").exists()


def test_a_file_cut_anywhere_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ConfigurationError, match="damaged"):
            LocalKeyset(path).wrap(b"key", CONTEXT)


@pytest.mark.parametrize(
    "change",
    [
        {"undertone_keyset": 2},
        {"keys": {"1": "00"}},
        {"keys": {}},
        {"keys": []},
        {"current": "7"},
        {"destroyed": {"1": "yesterday"}},
    ],
)
def test_a_file_of_something_else_is_refused(path: Path, change: dict[str, object]) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ConfigurationError, match="UNDERTONE_KMS"):
        LocalKeyset(path).wrap(b"key", CONTEXT)


def test_the_key_is_not_in_the_file_once_destroyed(path: Path) -> None:
    keyset = LocalKeyset(path)
    wrapped = keyset.wrap(b"key", CONTEXT)
    key = json.loads(path.read_text())["keys"]["1"]
    keyset.rotate()
    keyset.destroy("1")
    assert all(key not in file.read_text() for file in path.parent.iterdir())
    with pytest.raises(VersionDestroyed):
        keyset.unwrap(wrapped, CONTEXT)


def test_the_replaced_file_is_overwritten(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        LocalKeyset(path).rotate()
        assert set(os.pread(descriptor, 10_000, 0)) == {0}
    finally:
        os.close(descriptor)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_what_root_rotates_stays_its_owners(path: Path) -> None:
    os.chown(path, 10001, 10001)
    LocalKeyset(path).rotate()
    status = path.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (10001, 10001, 0o600)


def test_readers_and_writers_do_not_disturb_each_other(path: Path) -> None:
    wrapped = LocalKeyset(path).wrap(b"key", CONTEXT)
    stop, faults = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            try:
                assert LocalKeyset(path).unwrap(wrapped, CONTEXT) == b"key"
            except BaseException as error:
                faults.append(error)
                return

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    versions = [LocalKeyset(path).rotate() for _ in range(30)]
    stop.set()
    for reader in readers:
        reader.join()
    assert faults == []
    assert versions == [str(number) for number in range(2, 32)]
