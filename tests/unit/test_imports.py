"""Processes load what they run: each command as users start it, up to where it would connect."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from tests.audio_files import sndfile, spoken
from tests.loaded import BRIDGE_MB, COMMANDS, EMBEDDED, FAUST, FOREIGN, MODELS, OPENSMILE, REDIS, Loaded
from workers.wav2vec2.engines.choice import choose, this_machine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")

ROOT = Path(__file__).parent.parent.parent
NO_CERTIFICATE = {
    "KAFKA_BOOTSTRAP": "127.0.0.1:9",
    "REDIS_URL": "redis://127.0.0.1:9",
    "UNDERTONE_KAFKA_SECURITY": "SSL",
    "UNDERTONE_KAFKA_CA": os.devnull,
    "UNDERTONE_WEBHOOK_URL": "http://127.0.0.1:9",
    "UNDERTONE_WEBHOOK_SECRET": "a secret of twenty-four bytes",
    "UNDERTONE_ALERTMANAGER_URL": "http://127.0.0.1:9",
}
"""A broker that nobody connects to: its certificate authority cannot be read."""

ENGINE = choose(this_machine(), "float32").engine
"""What computes embeddings here."""

Run = Callable[..., Loaded]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `undertone` with these arguments: what it loaded. code: with which it must end."""

    def run(*arguments: str, code: int) -> Loaded:
        done = subprocess.run(
            [sys.executable, "-m", "tests.loaded", str(tmp_path / "loaded.json"), *arguments],
            env={**os.environ, **NO_CERTIFICATE, "UNDERTONE_HOME": str(tmp_path / "home")},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return Loaded.read(tmp_path / "loaded.json")

    return run


@pytest.fixture
def memo(tmp_path: Path) -> str:
    """An audio file."""
    path = tmp_path / "memo.wav"
    path.write_bytes(sndfile(spoken(3.0)))
    return str(path)


@pytest.mark.parametrize(
    ("role", "arguments"),
    [
        ("bridge", ("bridge", "webhook")),
        ("bridge", ("bridge", "alertmanager")),
        ("agents", ("agents",)),
        ("acoustic", ("worker", "acoustic")),
        ("embedding", ("worker", "embedding")),
    ],
    ids=str,
)
def test_a_role_loads_no_library_of_another(role: str, arguments: tuple[str, ...], run: Run) -> None:
    loaded = run(*arguments, code=ConfigurationError.exit_code)
    assert "aiokafka" in loaded.modules, "it did not come as far as to connect"
    assert loaded.modules & FOREIGN[role] == set()
    assert ("tensorflow" in loaded.modules) == (role == "embedding" and ENGINE == "xla")
    if role == "bridge":
        assert loaded.resident_mb <= BRIDGE_MB


@pytest.mark.parametrize(
    "arguments",
    [
        ("alerts", "--once"),
        ("alerts", "mutes"),
        ("topics", "create"),
        ("topics", "describe"),
        ("dead-letters", "list"),
        ("submit", "MEMO", "--user", "user-1"),
    ],
    ids=" ".join,
)
def test_a_command_for_operators_loads_neither_models_nor_agents(
    arguments: tuple[str, ...], run: Run, memo: str
) -> None:
    loaded = run(*(memo if each == "MEMO" else each for each in arguments), code=ConfigurationError.exit_code)
    assert "aiokafka" in loaded.modules, "it did not come as far as to connect"
    assert loaded.modules & COMMANDS == set()


HELP = """
import json, sys
from typer.main import get_command
from typer.testing import CliRunner
from streams.cli.application import app
from tests.commands import paths

for path in paths(get_command(app)):
    assert CliRunner().invoke(app, [*path, "--help"]).exit_code == 0, path
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_the_help_of_no_command_loads_a_library_that_takes_long() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    records = {"aiokafka", "fastavro", "httpx", "numpy", "opentelemetry", "pydantic_settings", "safetensors"}
    assert set(json.loads(done.stdout)) & (COMMANDS | REDIS | records) == set()


@pytest.mark.parametrize("command", ["score", "features"])
def test_acoustic_features_and_their_score_take_no_tensorflow(
    command: str, run: Run, memo: str, tmp_path: Path
) -> None:
    out = ("--out", str(tmp_path / "out.npz")) if command == "features" else ()
    loaded = run(command, memo, "--modality", "acoustic", *out, code=0)
    assert loaded.modules & (MODELS | OPENSMILE | FAUST | EMBEDDED) == set(), "openSMILE runs in processes of its own"
