"""What is in a home is for its user alone, with any umask and after any earlier version."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from streams.local.discover import Running, announce, lock
from streams.local.inbox import Inbox
from streams.local.journal import Journal, Upload
from streams.local.private_files import private_folder, private_umask, secure_home, write_private


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(home: Path) -> dict[str, int]:
    """Of everything in a home that others may do anything with."""
    found = {path: stat.S_IMODE(path.lstat().st_mode) for path in (home, *home.rglob("*"))}
    return {str(path.relative_to(home)): mode for path, mode in found.items() if mode & 0o077}


def fill(home: Path) -> None:
    """As `up` and `submit` do."""
    secure_home(home)
    with lock(home), Journal(home / "journal.db") as journal:
        journal.accept([Upload(b"user", b"value", "memo")])
        announce(home, Running("127.0.0.1:1", "redis://:secret@store/0", embedded=True))
        Inbox(home / "audio").put(b"audio", "a.wav")
        assert (home / "journal.db-wal").exists()
        assert modes(home) == {}


def test_a_new_home_is_private_whatever_the_umask_is(umask: int, tmp_path: Path) -> None:
    fill(tmp_path / "new" / "home")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o777 & ~umask, "folders above it are not ours"


def test_a_home_that_others_could_read_is_tightened(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for folder in ("audio", "store/appendonlydir", "mine/deep"):
        (home / folder).mkdir(parents=True)
    ours = ["lock", "up.json", "journal.db", "journal.db-wal", "audio/a.wav", "store/dump.rdb", "store/appendonlydir/b"]
    for name in (*ours, "mine/deep/script.sh"):
        (home / name).write_text(name)
    for path in (home, *home.rglob("*")):
        path.chmod(0o777)
    secure_home(home)
    assert sorted(modes(home)) == ["mine", "mine/deep", "mine/deep/script.sh"], "what is not ours is left as it was"
    assert [(home / name).read_text() for name in ours] == ours


def test_links_in_a_home_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (tmp_path / "home" / "audio").mkdir(parents=True)
    (tmp_path / "home" / "store").symlink_to(outside)
    (tmp_path / "home" / "audio" / "a.wav").symlink_to(outside)
    secure_home(tmp_path / "home")
    assert stat.S_IMODE(outside.stat().st_mode) == 0o755


def test_sockets_in_a_home_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "store").mkdir()
    monkeypatch.chdir(tmp_path / "store")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("valkey.sock")
        secure_home(tmp_path)


def test_a_home_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    tmp_path.chmod(0o755)
    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(ConfigurationError, match=r"UNDERTONE_HOME.*another user.*chown"):
        private_folder(tmp_path)


def test_a_file_is_replaced_whole_and_an_older_one_s_mode_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "up.json"
    path.write_text("older")
    path.chmod(0o666)
    (tmp_path / "up.json.part").write_text("of a process that was killed")
    write_private(path, b"newer")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"newer", 0o600)
    assert [each.name for each in tmp_path.iterdir()] == ["up.json"]


def test_the_umask_returns(umask: int, tmp_path: Path) -> None:
    with private_umask():
        (tmp_path / "inside").touch()
    (tmp_path / "outside").touch()
    assert stat.S_IMODE((tmp_path / "inside").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "outside").stat().st_mode) == 0o666 & ~umask
