"""A local file is read at its path and nowhere else, whoever exchanges its folders meanwhile."""

import os
import pty
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.errors import Poison
from workers.storage.local_file import read_file
from workers.storage.outcomes import Denied, Missing

INSIDE, OUTSIDE = b"inside", b"outside the prefix"


def read(path: Path, max_bytes: int = 1000, hard_links: bool = False) -> bytes:
    return read_file(path.parts, max_bytes, hard_links=hard_links)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in (("in", INSIDE), ("out", OUTSIDE)):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "memo.wav").write_bytes(content)
    return tmp_path.resolve() / "in"


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


def a_folder(path: Path) -> None:
    path.mkdir()


def a_link(path: Path) -> None:
    path.symlink_to(path.parent / "memo.wav")


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (a_pipe, "pipe"),
        (a_socket, "socket"),
        (a_folder, "folder"),
        (a_link, "symbolic link"),
        (a_link_to_nothing, "symbolic link"),
    ],
)
def test_what_is_no_regular_file_is_refused_by_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], named: str
) -> None:
    monkeypatch.chdir(folder / "sub")  # a socket's path is short
    make(Path("odd.wav") if make is a_socket else folder / "sub" / "odd.wav")
    with pytest.raises(Poison, match=named) as refused:
        read(folder / "sub" / "odd.wav")
    assert refused.value.reason == "audio:uri_refused"


def test_a_terminal_and_a_device_are_refused_and_never_become_ours() -> None:
    ours, theirs = pty.openpty()
    try:
        for path in (os.ttyname(theirs), "/dev/zero"):
            with pytest.raises(Poison, match="device or terminal"):
                read(Path(path))
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("place", ["in", "in/sub"])
def test_no_segment_is_followed_through_a_link(folder: Path, place: str) -> None:
    real = folder.parent / place
    real.rename(folder.parent / "moved")
    real.symlink_to(folder.parent / ("moved" if place == "in" else "out/sub"))
    with pytest.raises(Poison) as refused:
        read(folder / "sub" / "memo.wav")
    assert refused.value.reason == "audio:uri_refused"


def test_a_file_under_a_file_is_none(folder: Path) -> None:
    with pytest.raises(Poison, match="not a valid path"):
        read(folder / "sub" / "memo.wav" / "more.wav")


def test_a_second_name_is_refused_unless_an_operator_allows_it(folder: Path) -> None:
    os.link(folder.parent / "out" / "sub" / "memo.wav", folder / "linked.wav")
    with pytest.raises(Poison, match="UNDERTONE_AUDIO_HARD_LINKS"):
        read(folder / "linked.wav")
    assert read(folder / "linked.wav", hard_links=True) == OUTSIDE


def test_files_are_whole_and_bounded(folder: Path) -> None:
    path = folder / "sub" / "memo.wav"
    assert read(path, max_bytes=len(INSIDE)) == INSIDE
    with pytest.raises(Poison, match="larger than the maximum"):
        read(path, max_bytes=len(INSIDE) - 1)
    with pytest.raises(Missing):
        read(folder / "nothing.wav")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_denied(folder: Path) -> None:
    (folder / "sub" / "memo.wav").chmod(0)
    with pytest.raises(Denied):
        read(folder / "sub" / "memo.wav")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may pass through every folder")
def test_folders_need_to_be_passed_through_and_not_listed(folder: Path) -> None:
    folder.chmod(0o111)
    try:
        assert read(folder / "sub" / "memo.wav") == INSIDE
    finally:
        folder.chmod(0o700)


EXCHANGE = """
import os, sys
sub, aside, link, target = sys.argv[1:]
parent = os.getppid()
while os.getppid() == parent:
    os.rename(sub, aside)
    os.symlink(target, link)
    os.rename(link, sub)
    os.unlink(sub)
    os.rename(aside, sub)
"""


def test_folders_that_are_exchanged_for_links_give_nothing_from_outside(folder: Path) -> None:
    """Another process exchanges the file's folder for a link to another and back, as fast as it can."""
    names = [folder / "sub", folder / "aside", folder / "link", folder.parent / "out" / "sub"]
    seen: Counter[str] = Counter()
    with subprocess.Popen([sys.executable, "-c", EXCHANGE, *map(str, names)]) as exchanging:
        try:
            while seen.total() < 20_000 or not {INSIDE.decode(), "Poison"} <= set(seen):
                assert exchanging.poll() is None
                try:
                    seen[read(folder / "sub" / "memo.wav").decode()] += 1
                except (Poison, Missing) as failure:
                    seen[type(failure).__name__] += 1
        finally:
            exchanging.kill()
    assert seen[OUTSIDE.decode()] == 0
