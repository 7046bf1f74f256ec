"""Files for the user of a process alone: whole or not there, and made once."""

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from workers.service.private_files import create_private


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture(params=["links", "no links"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is not there, on a file system of each kind."""

    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if request.param == "no links":
        monkeypatch.setattr(os, "link", refused)
    return tmp_path / "data.zip"


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def created(path: Path, data: bytes) -> bool:
    try:
        create_private(path, data)
    except FileExistsError:
        return False
    return True


@pytest.mark.usefixtures("umask")
def test_a_file_is_created_for_its_user_alone_and_once(path: Path) -> None:
    assert created(path, b"data")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"data", 0o600)
    assert not created(path, b"other")
    assert path.read_bytes() == b"data"
    (path.parent / "link").symlink_to(path.parent / "elsewhere")
    assert not created(path.parent / "link", b"data")
    assert names(path.parent) == ["data.zip", "link"]


def test_of_many_at_once_one_creates_it(path: Path) -> None:
    texts = [f"{number}".encode() * 10_000 for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda data: created(path, data), texts))
    assert taken.count(True) == 1
    assert path.read_bytes() == texts[taken.index(True)]
    assert names(path.parent) == ["data.zip"]


def test_of_a_file_that_cannot_be_written_nothing_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        create_private(path, b"data")
    assert names(path.parent) == []


def test_a_process_that_is_killed_while_it_writes_leaves_no_file_of_that_name(tmp_path: Path) -> None:
    killed = """
import os, sys
from pathlib import Path
from workers.service.private_files import create_private
os.fsync = lambda descriptor: os.kill(os.getpid(), 9)
create_private(Path(sys.argv[1]), b"data")
"""
    ended = subprocess.run([sys.executable, "-c", killed, tmp_path / "data.zip"], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "data.zip").exists()
    create_private(tmp_path / "data.zip", b"data")
    assert (tmp_path / "data.zip").read_bytes() == b"data"
