"""The Python API as its users call it: in this process, and in every kind of `__main__`."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import ConfigurationError
from schemas.markers import MARKER_NAMES
from tests.audio_files import broken, sndfile, spoken
from workers import api
from workers.api import Failure, Markers, Recording, markers, score

ROOT = Path(__file__).parents[3]
SIGNAL = spoken(3.0)
HEAVY = ("tensorflow", "keras", "opensmile", "librosa", "scipy", "av", "aiokafka", "redis", "pydantic")


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    """The processes end with this module."""
    yield
    api.close()


@pytest.fixture(scope="module")
def memo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording on disk."""
    path = tmp_path_factory.mktemp("recordings") / "memo.wav"
    path.write_bytes(sndfile(SIGNAL))
    return path


def run(*arguments: str | Path, program: str = "", code: int = 0) -> str:
    """What Python prints for these arguments, with `program` on its standard input. Nothing else may be written."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        input=program,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.replace(">>> ", "").strip()) == (code, ""), done.stderr
    return done.stdout


def test_importing_loads_nothing_heavy_starts_nothing_and_warns_of_nothing() -> None:
    program = f"import workers.api, sys, threading; print([*{{*{HEAVY}}} & {{*sys.modules}}], threading.active_count())"
    assert run("-W", "error", "-c", program) == "[] 1\n"


def test_one_recording_has_the_same_markers_whatever_it_comes_as(memo: Path) -> None:
    samples = np.round(SIGNAL * 32767).astype(np.int16)
    of_path, of_bytes, of_samples, alone = markers([memo, memo.read_bytes(), (samples, 16000)]) + markers(memo)
    assert isinstance(of_path, Markers)
    assert of_path == of_bytes == alone
    assert isinstance(of_samples, Markers)
    assert tuple(of_path.values) == MARKER_NAMES
    np.testing.assert_allclose([*of_samples.values.values()], [*of_path.values.values()], rtol=1e-3)
    assert {name for name, value in of_path.values.items() if math.isnan(value)} == {*of_path.undefined}
    assert of_path.duration_s == 3.0


def test_a_recording_that_cannot_be_used_costs_the_others_nothing(memo: Path) -> None:
    bad: list[Recording] = [*broken(SIGNAL).values(), memo.parent / "nowhere.wav", (np.full(16000, np.nan), 16000)]
    first, *failures, last = markers([memo, *bad, memo])
    assert isinstance(first, Markers)
    assert first == last
    assert all(isinstance(each, Failure) and each.reason.startswith("audio:") for each in failures)
    assert len(failures) == len(bad)


def test_nothing_is_done_for_a_list_with_something_else_in_it(memo: Path) -> None:
    with pytest.raises(TypeError, match="recording 1 is of type int"):
        markers([memo, 7])  # type: ignore[list-item]


def test_a_bundle_that_cannot_be_used_is_named_before_any_work(memo: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="bundle"):
        score([memo], bundle=tmp_path)


def test_after_closing_the_next_call_starts_again(memo: Path) -> None:
    before = markers(memo)
    api.close()
    api.close()
    assert markers(memo) == before


PRINT = "print([type(each).__name__ for each in markers([{memo!r}, 'nowhere.wav'])])"
TWO = "['Markers', 'Failure']\n"


def test_a_script_without_a_guard_runs_once(memo: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"from workers.api import markers\nprint('once')\n{PRINT.format(memo=str(memo))}\n")
    assert run("-W", "error", script) == f"once\n{TWO}"


def test_a_script_with_a_guard_and_one_run_as_a_module(
    memo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ("from workers.api import markers", "if __name__ == '__main__':", f"    {PRINT.format(memo=str(memo))}")
    (tmp_path / "guarded.py").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    assert run("guarded.py") == run("-m", "guarded") == TWO


@pytest.mark.parametrize("arguments", [("-",), ("-i",)], ids=["standard input", "prompt"])
def test_a_program_that_is_read_or_typed(memo: Path, arguments: tuple[str, ...]) -> None:
    program = f"from workers.api import markers\n{PRINT.format(memo=str(memo))}\n"
    assert run("-q", *arguments, program=program) == TWO


EVERYTHING = """
import json, sys
from workers.api import Embedder, Failure, features, score

memo, *others = sys.argv[1:]
alone = score([memo, "nowhere.wav"])
turns = score([memo, *others], one_person=True)
(found,) = features(memo)
with Embedder() as embedder:
    embedding, failure = embedder.embed([memo, b""])
    none, frames = embedder.frames([b"", memo])
try:
    embedder.embed(memo)
except ValueError as error:
    closed = str(error)
print(json.dumps({
    "alone": [alone[0].probability, alone[0].band, alone[0].bundle],
    "failures": [isinstance(each, Failure) and each.reason for each in (alone[1], failure, none)],
    "turns": [each.baseline_memos for each in turns],
    "shapes": [each.shape for each in (found.functionals, found.windows, found.embedding.summary, frames)],
    "same": float(abs(found.embedding.summary - embedding.summary).max()),
    "frames": float(abs(frames.mean(axis=0) - embedding.summary).max()),
    "closed": closed,
}))
"""


@pytest.mark.timeout(480)  # TensorFlow compiles three programs, and a busy machine takes its time
def test_scores_features_and_embeddings_in_one_script(memo: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(EVERYTHING)
    told = json.loads(run(tmp_path / "script.py", memo, memo, memo))
    probability, band, bundle = told["alone"]
    assert 0 <= probability <= 1
    assert band in {"low", "high", "indeterminate"}
    assert bundle.startswith("demo-")
    assert told["failures"] == ["audio:missing", "audio:empty", "audio:empty"]
    assert told["turns"] == [0, 1, 2]
    (functionals, windows, embedding, frames) = told["shapes"]
    assert (functionals, windows) == ([88], [1, 76])
    assert embedding == frames[1:]
    assert told["same"] < 1e-5
    assert told["frames"] < 1e-4
    assert "closed" in told["closed"]
