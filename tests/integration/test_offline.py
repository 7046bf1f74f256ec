"""`undertone score` and `undertone features` on whatever people hand them."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from schemas.errors import ConfigurationError
from schemas.events import Modality
from schemas.markers import MARKER_NAMES
from schemas.pipeline import ACOUSTIC
from schemas.settings import Settings
from streams.cli.application import app
from streams.local.offline import score_files
from streams.roles import feature_worker
from tests.audio_files import broken, encodings, sndfile, spoken
from tests.json_output import validated
from tests.unit.workers.scoring import toys
from workers.audio.memo import SAMPLING_RATE
from workers.offline.extraction import Extraction
from workers.scoring.bundle import save
from workers.scoring.feature_space import FeatureSpace
from workers.scoring.heads import LogisticHead
from workers.scoring.personal_baseline import Population

NARROW = {"wav_8k", "amr", "3gp"}
"""Telephone band: half of what the voice says is missing, so the score may move further."""


def written(folder: Path, files: dict[str, bytes], ending: str = "bin") -> list[Path]:
    paths = []
    for name, data in files.items():
        paths.append(folder / f"{name}.{ending}")
        paths[-1].write_bytes(data)
    return paths


def undertone(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "streams.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_broken_files_say_why_and_the_others_are_scored_all_the_same(tmp_path: Path) -> None:
    signal = spoken()
    good = written(tmp_path, {"good": sndfile(signal), "also_good": sndfile(signal, kind="FLAC")})
    bad = written(tmp_path, broken(signal))
    done = undertone("score", *good[:1], *bad, *good[1:], tmp_path / "nowhere.wav", "--json")
    lines = validated("score", done.stdout)
    assert done.returncode == 1
    assert done.stderr == ""
    assert [line["path"] for line in lines] == [*map(str, [*good[:1], *bad, *good[1:], tmp_path / "nowhere.wav"])]
    assert all(set(line) == {"path", "error"} for line in lines if Path(line["path"]).stem not in {"good", "also_good"})
    for line in (lines[0], lines[-2]):
        assert {"path", "probability", "band", "reasons", "markers", "duration_s"} <= set(line)
        assert 0 <= line["probability"] <= 1
        assert set(line["markers"]) == set(MARKER_NAMES)


def test_what_cannot_be_judged_is_indeterminate_with_the_reason(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files = {
        "silence": sndfile(np.zeros(5 * SAMPLING_RATE, np.float32)),
        "noise": sndfile(rng.normal(0, 0.1, 5 * SAMPLING_RATE).astype(np.float32)),
        "clipped": sndfile(np.clip(spoken() * 60, -1, 1).astype(np.float32)),
    }
    lines = {Path(str(line["path"])).stem: line for line in score_files(Settings.load(), written(tmp_path, files))}
    assert {name: line["band"] for name, line in lines.items()} == dict.fromkeys(files, "indeterminate")
    assert all(line["reasons"] for line in lines.values())
    assert lines["silence"]["probability"] is None


def test_the_memos_of_one_person_are_held_against_those_before_them(tmp_path: Path) -> None:
    usual = [sndfile(spoken(pause_share=0.15, seed=seed)) for seed in range(5)]
    changed, silent = sndfile(spoken(pause_share=0.45, seed=9)), sndfile(np.zeros(5 * SAMPLING_RATE, np.float32))
    files = [*usual, silent, b"no audio", changed]
    written(tmp_path, {f"{number}": data for number, data in enumerate(files)}, "wav")
    done = CliRunner().invoke(app, ["score", str(tmp_path), "--one-person", "--json"])
    *before, quiet, broken_one, last = validated("score", done.stdout)
    assert "error" in broken_one
    assert [line["baseline_memos"] for line in before] == [0, 1, 2, 3, 4]
    assert (quiet["baseline_memos"], last["baseline_memos"]) == (5, 5), "silence is not learnt from"
    assert last["evidence"][0]["name"].startswith("pause_")
    assert last["evidence"][0]["deviation_sd"] > 2


def test_a_bundle_of_other_features_is_refused_before_any_file_and_by_its_worker(tmp_path: Path) -> None:
    acoustic = FeatureSpace({Modality.ACOUSTIC: toys.ACOUSTIC}, toys.NAMES)
    head, four = LogisticHead(toys.f32([0] * 4), 0.0), toys.f32([1] * 4)
    people = Population(four, four, four, freedom=5.0)
    save(replace(toys.bundle(head), space=acoustic, population=people), tmp_path / "b", "")
    settings = Settings.load(bundle=tmp_path / "b", acoustic_processes=1)
    with pytest.raises(ConfigurationError, match=r"was trained on those from toy-acoustic.*train it again"):
        next(score_files(settings, [tmp_path / "absent.wav"]))
    with pytest.raises(ConfigurationError, match="toy-acoustic"):
        feature_worker._stage(settings, ACOUSTIC)


def test_one_recording_has_one_score_however_it_is_encoded(tmp_path: Path) -> None:
    paths = written(tmp_path, encodings(spoken(8.0, seed=5)))
    scores = {Path(str(line["path"])).stem: line for line in score_files(Settings.load(), paths)}
    assert not [name for name, line in scores.items() if "error" in line]
    original = float(str(scores["wav"]["probability"]))
    moved = {name: abs(float(str(line["probability"])) - original) for name, line in scores.items()}
    assert {name: m for name, m in moved.items() if m > 0.1 and name not in NARROW} == {}


def test_features_are_written_under_the_promised_names(tmp_path: Path) -> None:
    (path,) = written(tmp_path, {"memo": sndfile(spoken(20.0))}, "wav")
    out = tmp_path / "features.npz"
    done = undertone("features", path, "--out", out, "--frames", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = validated("features", done.stdout)
    with np.load(out) as arrays:
        assert line["arrays"] == {name: [*one.shape] for name, one in arrays.items() if name.startswith("memo.")}
        assert arrays["memo.functionals"].shape == arrays["functionals_names"].shape == (88,)
        assert arrays["memo.markers"].shape == arrays["markers_names"].shape
        assert arrays["memo.windows"].shape == (2, *arrays["window_names"].shape)
        frames, windows = arrays["memo.embedding_frames"], arrays["memo.embedding_windows"]
        assert windows.shape == (2, frames.shape[1])
        assert np.allclose(frames.mean(axis=0), arrays["memo.embedding_summary"], atol=1e-4)


def test_what_is_undefined_or_doubtful_is_written_beside_the_numbers(tmp_path: Path) -> None:
    hissing = spoken(4.0) + np.random.default_rng(0).normal(0, 0.006, 4 * SAMPLING_RATE).astype(np.float32)
    files = {"still": sndfile(np.zeros(2 * SAMPLING_RATE, np.float32)), "hissing": sndfile(hissing)}
    out = tmp_path / "features.npz"
    done = undertone("features", *written(tmp_path, files, "wav"), "--modality", "acoustic", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    with np.load(out) as arrays:
        for stem in files:
            undefined = arrays["markers_names"][np.isnan(arrays[f"{stem}.markers"])]
            assert [entry.split(":")[0] for entry in arrays[f"{stem}.undefined"]] == undefined.tolist()
        assert np.isnan(arrays["still.markers"]).all()
        assert "loudness_sd" in arrays["hissing.fragile"]


def test_a_page_is_drawn_or_says_why_not(tmp_path: Path) -> None:
    (path,) = written(tmp_path, {"memo": sndfile(spoken(3.0))}, "wav")
    done = undertone("features", path, "--plot", tmp_path / "memo.png")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"plot: {tmp_path / 'memo.png'}\n", "")
    assert (tmp_path / "memo.png").read_bytes()[1:4] == b"PNG"
    assert undertone("features", path, "--plot", tmp_path / "memo.doc").returncode == 2
    nowhere = undertone("features", path, "--plot", tmp_path / "nowhere" / "memo.png")
    assert nowhere.returncode == 2
    assert "create it" in nowhere.stderr


def test_files_of_one_name_are_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    paths = [*written(tmp_path / "a", {"memo": b""}, "wav"), *written(tmp_path / "b", {"memo": b""}, "wav")]
    done = undertone("features", *paths, "--out", tmp_path / "out.npz")
    assert done.returncode == 2
    assert "memo" in done.stderr
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_clip_of_real_speech_passes_both_stages(shared: Path) -> None:
    paths = sorted((shared / "audio").rglob("*.flac"))
    assert len(paths) > 500
    with Extraction(Settings.load(), tuple(Modality)[:2]) as extraction:
        results = list(extraction.extract(paths))
    failed = [each.recording.name for each in results if not isinstance(each.result, dict)]
    assert failed == []
    for each in results:
        assert isinstance(each.result, dict)
        embedding, acoustic = each.result[Modality.EMBEDDING], each.result[Modality.ACOUSTIC]
        assert np.isfinite(embedding.windows).all()
        undefined = {name.partition(":")[0] for name in acoustic.undefined}
        assert {n for n, v in zip(acoustic.names, acoustic.summary, strict=True) if not np.isfinite(v)} == undefined
        assert np.isfinite(acoustic.windows).all()


@pytest.mark.shared
def test_real_recordings_have_one_score_however_they_are_encoded(shared: Path, tmp_path: Path) -> None:
    """Twelve clips of EmoDB by as many formats as phones and browsers send."""
    kinds = ("wav", "m4a", "opus", "mp3", "webm", "wav_48k_24bit_stereo", "vorbis")
    paths, originals = [], sorted((shared / "audio" / "emodb").glob("*.flac"))[::28][:12]
    for clip in originals:
        signal, _ = soundfile.read(clip, dtype="float32")
        files = encodings(signal)
        paths += written(tmp_path, {f"{clip.stem}-{kind}": files[kind] for kind in kinds})
    scores = {Path(str(line["path"])).stem: line["probability"] for line in score_files(Settings.load(), paths)}
    moved = {
        name: abs(float(str(p)) - float(str(scores[name.split("-")[0] + "-wav"])))
        for name, p in scores.items()
        if p is not None and scores[name.split("-")[0] + "-wav"] is not None
    }
    assert len(moved) > 60
    assert {name: round(m, 3) for name, m in moved.items() if m > 0.1} == {}
