"""Commands as processes, beside servers that are not there: the address, the setting, the cause, and an end."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.errors import ExitCode
from schemas.topics import TOPICS
from streams.local.embedded import EmbeddedKafka
from tests.audio_files import sndfile, spoken

ROOT = Path(__file__).parent.parent.parent


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("UNDERTONE_", "KAFKA_", "REDIS_"))
    }
    command = [sys.executable, "-m", "streams.cli", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=clean | environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture
def closed() -> str:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.mark.parametrize(
    "arguments",
    [("alerts", "--once"), ("topics", "create"), ("submit", "MEMO", "--user", "user-1")],
    ids=" ".join,
)
def test_a_broker_whose_name_does_not_resolve_is_named_and_given_up(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "memo.wav").write_bytes(sndfile(spoken(1.0)))
    words = [str(tmp_path / "memo.wav") if word == "MEMO" else word for word in arguments]
    environment = {
        "KAFKA_BOOTSTRAP": "nohost.invalid:9092",
        "REDIS_URL": "redis://127.0.0.1:9",
        "UNDERTONE_HOME": str(tmp_path),
        "UNDERTONE_AUDIO_PREFIXES": tmp_path.as_uri(),
    }
    done = run(*words, **environment)
    assert (done.returncode, done.stdout) == (ExitCode.UNAVAILABLE, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("undertone: KAFKA_BOOTSTRAP=nohost.invalid:9092: ")
    assert "no such host" in line or "cannot be resolved" in line
    assert "gaierror" not in line


def test_a_closed_port_of_redis_is_named(closed: str) -> None:
    with EmbeddedKafka(topic.name for topic in TOPICS) as kafka:
        redis = run("alerts", "mutes", KAFKA_BOOTSTRAP=kafka.bootstrap, REDIS_URL=f"redis://user:h1dden@{closed}")
    assert redis.returncode == ExitCode.UNAVAILABLE
    (line,) = redis.stderr.splitlines()
    assert f"REDIS_URL=redis://{closed}: connection refused" in line
    assert "h1dden" not in line


def test_a_misspelt_setting_is_told_before_the_command_works() -> None:
    done = run("drift", "calibrate", "--json", UNDERTONE_ALERT_PER_USER_YEAR="2")
    assert done.returncode == ExitCode.OK
    (line,) = done.stderr.splitlines()
    assert "did you mean UNDERTONE_ALERTS_PER_USER_YEAR?" in line
