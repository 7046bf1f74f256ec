"""A real child process: what it is given, and how it ends."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import Transient
from workers.processes.child import Child, Ended

ECHO = "tests.unit.workers.processes.echo"


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child(ECHO, wall_s=60.0)
    yield child
    child.end()


def asked(child: Child, number: int) -> object:
    with child.deadline():
        child.connection.send(number)
        return child.connection.recv()


def test_it_answers_as_often_as_it_is_asked(child: Child) -> None:
    assert [asked(child, number) for number in (1, 2, 3)] == [2, 4, 6]
    assert child.alive


def test_its_end_is_told_with_its_status(child: Child) -> None:
    with pytest.raises(Ended) as caught:
        asked(child, -1)
    assert (caught.value.code, caught.value.late) == (9, False)
    assert not child.alive
    assert child.end() == 9, "ending it twice changes nothing"


def test_one_that_takes_too_long_is_ended() -> None:
    child = Child(ECHO, wall_s=30.0)
    child._wall_s = 0.1  # starting takes longer
    with pytest.raises(Ended) as caught:
        asked(child, 0)
    assert caught.value.late


def test_one_that_cannot_start_says_which() -> None:
    with pytest.raises(Transient, match=r"workers\.nowhere ended at its start: exit status 1"):
        Child("workers.nowhere")


def test_it_has_one_thread_of_blas_and_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_REDIS_URL", "redis://:secret@example")
    child = Child(ECHO)
    try:
        given = Path(f"/proc/{child.pid}/environ").read_bytes()
    finally:
        child.end()
    assert b"OPENBLAS_NUM_THREADS=1\0" in given
    assert b"secret" not in given


def test_it_finds_our_packages_where_the_path_names_them_by_the_current_folder_only() -> None:
    program = "import sys\nfrom workers.processes.child import Child\nChild('workers.acoustic.feature_names').end()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[4],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    # That module says nothing and ends: it was found.
    assert "exit status 0" in done.stderr
