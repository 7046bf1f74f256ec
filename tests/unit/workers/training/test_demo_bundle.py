"""The cohort behind the shipped bundle: the same every time, and labelled by severity."""

import shutil
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import Poison
from schemas.events import Modality
from schemas.markers import MARKER_NAMES
from schemas.settings import Settings
from tests.unit.workers.scoring.toys import part
from workers.acoustic.feature_names import FEATURE_NAMES
from workers.audio.memo import SAMPLING_RATE
from workers.simulation import cohort, device_channel, prosody, source_filter
from workers.training import demo_bundle
from workers.training.demo_bundle import CALM, OTHER, RECIPE, SpokenMemo, cohort_memos, examples_of

SETTINGS = Settings.load()
MEMOS = cohort_memos(SETTINGS, speakers=3)


def test_every_speaker_has_memos_at_their_usual_and_at_any_severity() -> None:
    speakers = [memo.speaker for memo in MEMOS]
    assert speakers == [name for name in sorted(set(speakers)) for _ in range(CALM + OTHER)]
    severity = np.array([memo.severity for memo in MEMOS]).reshape(3, CALM + OTHER)
    assert severity[:, :CALM].max() < 0.4
    assert severity[:, CALM:].max() > 0.7
    assert ((severity >= 0) & (severity <= 1)).all()
    assert len({memo.voice for memo in MEMOS}) == 3
    assert len({memo.seed for memo in MEMOS}) == len(MEMOS)


def test_a_speaker_is_the_same_however_many_others_there_are() -> None:
    assert cohort_memos(SETTINGS, speakers=1) == MEMOS[: CALM + OTHER]


def test_a_key_stands_for_everything_that_decides_the_signal() -> None:
    memo = MEMOS[0]
    others = [
        replace(memo, voice=replace(memo.voice, f0_hz=100.0)),
        replace(memo, severity=0.5),
        replace(memo, seconds=1.0),
        replace(memo, seed=1),
    ]
    assert replace(memo, speaker="somebody else").key == memo.key
    assert len({each.key for each in (memo, *others)}) == 5


def test_another_simulator_speaks_other_memos(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ours = demo_bundle._simulator.__wrapped__()
    assert demo_bundle._simulator.__wrapped__() == ours
    copy = shutil.copytree(str(resources.files("workers.simulation")), tmp_path / "simulation")
    monkeypatch.setattr(resources, "files", lambda _: Path(copy))
    assert demo_bundle._simulator.__wrapped__() == ours
    for module in (source_filter, prosody, cohort, device_channel):
        file = Path(copy) / Path(str(module.__file__)).name
        text = file.read_text()
        file.write_text(f"{text}\n")
        assert demo_bundle._simulator.__wrapped__() != ours
        file.write_text(text)


def test_a_memo_is_spoken_the_same_every_time_and_passes_the_quality_gate() -> None:
    memo = replace(MEMOS[0], seconds=3.0)
    (signal, quality), (again, _) = memo.read(), memo.read()
    np.testing.assert_array_equal(signal, again)
    assert len(signal) == pytest.approx(3 * SAMPLING_RATE, abs=0.06 * SAMPLING_RATE)
    assert quality.reasons == ()


def spoken(severity: float) -> SpokenMemo:
    return replace(MEMOS[0], severity=severity)


def test_labels_rise_with_severity_and_memos_without_features_are_left_out() -> None:
    memos = [spoken(severity) for severity in (0.0, 0.45, 0.7, 1.0)]
    parts = {Modality.ACOUSTIC: part(Modality.ACOUSTIC, [0] * 4)}
    examples = examples_of(memos, [parts, parts, Poison("audio:too_short", "too short"), parts])
    assert len(examples) == 3
    assert examples.labels[1] == pytest.approx(0.5)
    assert examples.labels[0] < 0.1 < 0.9 < examples.labels[2]
    assert examples.times.tolist() == [0, 1, 2]


def test_the_recipe_names_features_that_there_are() -> None:
    assert {*RECIPE.acoustic} <= {*FEATURE_NAMES}
    assert len(set(RECIPE.acoustic)) == len(RECIPE.acoustic)
    assert {*RECIPE.silent} < {*MARKER_NAMES} <= {*RECIPE.acoustic}
