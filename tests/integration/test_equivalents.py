"""`undertone bundle verify-equivalent`: what a precision changes decides whether workers and scores accept it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from schemas.bundle_equivalents import EQUIVALENTS
from schemas.errors import ConfigurationError
from schemas.pipeline import EMBEDDING
from schemas.settings import SHIPPED_BUNDLE, Settings
from streams.roles import feature_worker
from tests.audio_files import sndfile
from tests.json_output import validated
from workers.evaluation.equivalence import FEWEST
from workers.offline.scores import extraction_for, strangers
from workers.scoring.bundle import Bundle
from workers.scoring.scorer import Scored, Scorer
from workers.simulation.cohort import random_voice, voice_at
from workers.simulation.source_filter import speak
from workers.wav2vec2.engines.choice import this_machine

pytestmark = pytest.mark.skipif("openvino" not in this_machine().installed, reason="install the extra openvino")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for number in range(FEWEST):  # of people who differ: near-equal scores change places at a breath
        rng = np.random.default_rng(number)
        voice = voice_at(random_voice(rng), number / FEWEST, rng)
        (folder / f"{number:02}.wav").write_bytes(sndfile(speak(voice, 6.0, rng)[0]))
    (folder / "broken.wav").write_bytes(b"no audio")
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The shipped bundle, as it was trained: it accepts nothing else."""
    return Path(shutil.copytree(SHIPPED_BUNDLE, tmp_path / "bundle", ignore=shutil.ignore_patterns(EQUIVALENTS)))


def verified(bundle: Path, recordings: Path, *more: str) -> "tuple[int, dict[str, object], str]":
    given = ("--bundle", bundle, "--precision", "bfloat16", *more, "--json")
    done = run(("bundle", "verify-equivalent", recordings, *given))
    lines = validated("bundle verify-equivalent", done.stdout)
    return done.returncode, lines[0] if lines else {}, done.stderr


def run(arguments: Sequence[object]) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "UNDERTONE_ENGINE": "openvino", "UNDERTONE_ACOUSTIC_PROCESSES": "1"}
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_harmless_precision_is_accepted_from_then_on_and_no_other(bundle: Path, recordings: Path) -> None:
    settings = Settings.load(bundle=bundle, precision="bfloat16", engine="openvino", acoustic_processes=1)
    with pytest.raises(ConfigurationError, match=r"-bfloat16 .*undertone bundle verify-equivalent"):
        feature_worker._stage(settings, EMBEDDING)
    with pytest.raises(ConfigurationError, match="undertone bundle verify-equivalent"):
        extraction_for(settings, Bundle.load(bundle))
    before = Bundle.load(bundle).id

    code, line, errors = verified(bundle, recordings)

    assert (code, line["equivalent"], line["recordings"]) == (0, True, FEWEST)
    assert [Path(path).name for path in line["left_out"]] == ["broken.wav"]  # type: ignore[attr-defined]
    assert "broken.wav" in errors
    assert 0 < line["largest_change"] < 0.05  # type: ignore[operator]
    feature_worker._stage(settings, EMBEDDING).close()
    accepting = Bundle.load(bundle)
    assert accepting.id == before, "the bundle is the same one"
    with extraction_for(settings, accepting) as extraction:
        (scored,) = strangers(Scorer(accepting), extraction.extract([recordings / "00.wav"]))
    assert isinstance(scored.score, Scored)
    assert scored.score.probability is not None
    with pytest.raises(ConfigurationError, match="undertone bundle verify-equivalent"):
        extraction_for(settings.model_copy(update={"precision": "int8"}), Bundle.load(bundle))


def test_what_changes_scores_more_is_not_accepted_and_nothing_is_written(bundle: Path, recordings: Path) -> None:
    code, line, _ = verified(bundle, recordings, "--most-change", "0.000001")
    assert (code, line["equivalent"]) == (1, False)
    assert not (bundle / EQUIVALENTS).exists()


def test_too_few_recordings_say_nothing(bundle: Path, recordings: Path) -> None:
    code, line, errors = verified(bundle, recordings / "00.wav")
    assert (code, line) == (78, {})
    assert f"1 of 1 recordings have a score, and {FEWEST} are needed" in errors


def test_the_shipped_bundle_accepts_every_precision() -> None:
    entries = json.loads((SHIPPED_BUNDLE / EQUIVALENTS).read_text())["equivalents"]
    assert {entry["extractor"]["version"].rpartition("-")[2] for entry in entries} == {"bfloat16", "int8"}
    for precision in ("bfloat16", "int8"):
        settings = Settings.load(precision=precision, engine="openvino", acoustic_processes=1)
        extraction_for(settings, Bundle.load(SHIPPED_BUNDLE)).close()
