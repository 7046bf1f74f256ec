"""Ctrl-C at the commands that wait longest: while they import, read, or talk to servers."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from schemas.errors import ExitCode
from tests.audio_files import sndfile, spoken

ROOT = Path(__file__).parent.parent.parent
PATIENCE_S = 60.0


@contextmanager
def undertone(*arguments: str, home: Path, **environment: str) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen(
        [sys.executable, "-m", "streams.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, "UNDERTONE_HOME": str(home), **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def interrupted(process: "subprocess.Popen[bytes]") -> str:
    """What it wrote from then on."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == ExitCode.INTERRUPTED
    return (out + err).decode()


def until(state: Callable[[], bool]) -> None:
    """Poll until a process is in this state, which it cannot report."""
    deadline = time.monotonic() + PATIENCE_S
    while not state():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def silent_server() -> Iterator[socket.socket]:
    """Takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        yield server


@pytest.fixture
def memo(tmp_path: Path) -> str:
    path = tmp_path / "memo.wav"
    path.write_bytes(sndfile(spoken(3.0)))
    return str(path)


@pytest.mark.skipif(sys.platform != "linux", reason="what a process has loaded is read from /proc")
def test_while_score_imports_tensorflow(memo: str, tmp_path: Path) -> None:
    with undertone("score", memo, home=tmp_path, UNDERTONE_ENGINE="xla") as process:
        maps = Path(f"/proc/{process.pid}/maps")
        until(lambda: "/tensorflow/" in maps.read_text())
        assert interrupted(process) == ""


def test_while_replay_reads_its_standard_input(tmp_path: Path) -> None:
    with undertone("drift", "replay", home=tmp_path) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"no score\n")
        process.stdin.flush()
        assert process.stderr.readline().startswith(b"line 1: ")
        assert interrupted(process) == ""


@pytest.mark.parametrize("arguments", [("alerts",), ("submit", "MEMO", "--user", "user-1")], ids=lambda given: given[0])
def test_while_the_broker_does_not_answer(arguments: tuple[str, ...], memo: str, tmp_path: Path) -> None:
    with silent_server() as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        given = (memo if each == "MEMO" else each for each in arguments)
        with undertone(*given, home=tmp_path, KAFKA_BOOTSTRAP=address, REDIS_URL="redis://127.0.0.1:9") as process:
            connection, _ = server.accept()
            with connection:
                assert interrupted(process) == ""
