import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from sklearn.metrics import roc_auc_score
from typer import Typer
from typer.testing import CliRunner, Result

from schemas.errors import ConfigurationError
from streams.cli.models.train import add_to
from tests.json_output import validated
from tests.unit.workers.scoring.toys import GOOD
from tests.unit.workers.training.cohorts import EXTRACTORS, RECIPE, people
from workers.audio.memo import SAMPLING_RATE
from workers.evaluation.evaluate import evaluate
from workers.evaluation.flags import Limit
from workers.simulation.source_filter import Voice, speak
from workers.training.fit_bundle import fit


def test_a_memo_that_is_abstained_from_stays_in_the_auc() -> None:
    bundle = fit(people(), EXTRACTORS, RECIPE, name="t").bundle
    fresh = people(speakers=10, seed=3)
    silent = replace(GOOD, speech_s=0.0, reasons=("quality:no_speech",))
    noisy = replace(GOOD, snr_db=1.0, reasons=("quality:noisy",))
    spoilt = {0: silent, 1: silent, 2: noisy}
    parts = [
        {m: replace(p, quality=spoilt.get(index, GOOD)) for m, p in memo.items()}
        for index, memo in enumerate(fresh.parts)
    ]
    clean, found = (evaluate(bundle, e, [{}] * len(e), rounds=10) for e in (fresh, replace(fresh, parts=parts)))
    assert found.figures["n"] == len(fresh)
    assert found.figures["without_probability"] == 2
    assert found.figures["abstained_share"] == pytest.approx(
        found.figures["undecided_share"] + 3 / len(fresh), abs=0.02
    )
    places = np.r_[np.full(2, np.log(bundle.bands.threshold / (1 - bundle.bands.threshold)))]
    ranks = np.r_[places, clean.logits.calibrated[2:]]
    assert found.figures["auc"] == pytest.approx(roc_auc_score(fresh.labels, ranks))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve simulated people, two memos each: one plain, one low, flat and halting."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = ["path,speaker,label,sex,split"]
    for person in range(12):
        for label in (0, 1):
            rng = np.random.default_rng([person, label])
            pitch = (110.0 + 8 * person) * (1 - 0.1 * label)
            voice = Voice(f0_hz=pitch, f0_range_st=8 - 4 * label, pause_share=0.12 + 0.3 * label)
            name = f"{person}-{label}.wav"
            soundfile.write(folder / name, speak(voice, 4.0, rng)[0], SAMPLING_RATE)
            rows.append(f"{name},p{person},{label},{'mf'[person % 2]},{'train' if person < 8 else 'test'}")
    (folder / "m.csv").write_text("\n".join(rows))
    return folder


def invoked(*arguments: str | Path) -> Result:
    app = Typer()
    add_to(app)
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception:
        raise result.exception
    return result


def run(*arguments: str | Path) -> str:
    return str(invoked(*arguments).stdout)


def scored_with(bundle: Path, *files: Path) -> list[dict[str, Any]]:
    """The lines of `undertone score` in a shell where nothing but the bundle is set."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UNDERTONE_")}
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "score", "--json", *map(str, files)],
        env={**environment, "UNDERTONE_BUNDLE": str(bundle)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return validated("score", done.stdout)


def test_memos_over_time_are_split_in_time_by_both_commands(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERTONE_ACOUSTIC_PROCESSES", "1")
    monkeypatch.setattr("workers.training.model_selection.PATIENCE", (1.0, 8.0))
    # Three people of four speakers' recordings each, one a day; the last of twelve labels comes as often as not.
    lines = [line.split(",") for line in (corpus / "m.csv").read_text().splitlines()[1:]]
    rows = ["path,speaker,label,recorded_at"]
    for number, (path, _, label, *_) in enumerate(lines):
        rows.append(f"{path},p{number % 8 // 2},{label},2026-03-{1 + number // 2:02d}T08:00")
    (corpus / "over-time.csv").write_text("\n".join(rows))
    common = ("--manifest", corpus / "over-time.csv", "--cache", tmp_path / "cache", "--split", "chronological")
    (trained,) = validated("train", run("train", *common, "--out", tmp_path / "b", "--json"))
    assert (trained["logistic"]["n"], trained["test"]["n"]) == (16, 8)
    assert trained["test"]["speakers"] == 4
    (told,) = validated("evaluate", run("evaluate", "--bundle", tmp_path / "b", *common, "--json"))
    assert {key: told[key] for key in ("n", "auc", "ece")} == {key: trained["test"][key] for key in ("n", "auc", "ece")}
    with pytest.raises(ConfigurationError, match="trained on 16 of these"):
        run("evaluate", "--bundle", tmp_path / "b", *common[:4])
    copy = (corpus / "over-time.csv").read_text() + "\n0-0.wav,p9,0,2026-05-01\n0-1.wav,p9,1,2026-05-02"
    (corpus / "copied.csv").write_text(copy)
    with pytest.raises(ConfigurationError, match="recordings are on both sides"):
        run("train", "--manifest", corpus / "copied.csv", "--split", "chronological", "--out", tmp_path / "no")


def test_training_and_judging_are_a_command_each_and_leaks_are_refused(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERTONE_ACOUSTIC_PROCESSES", "1")
    monkeypatch.setattr("workers.training.model_selection.PATIENCE", (1.0, 8.0))
    common = ("--manifest", corpus / "m.csv", "--cache", tmp_path / "cache")
    (trained,) = validated("train", run("train", *common, "--out", tmp_path / "b", "--json"))
    assert trained["logistic"]["speakers"] == trained["logistic"]["choices_apart"]["speakers"] == 8
    assert trained["test"]["speakers"] == 4
    again = json.loads(run("train", *common, "--out", tmp_path / "again", "--json"))
    assert again["bundle"] == trained["bundle"]
    low, high = scored_with(tmp_path / "b", corpus / "9-0.wav", corpus / "9-1.wav")
    assert low["bundle"] == high["bundle"] == trained["bundle"]
    assert not any("missing" in reason for reason in (*low["reasons"], *high["reasons"]))
    assert low["probability"] < high["probability"]
    monkeypatch.setattr("workers.evaluation.flags.LIMITS", (Limit("undecided_share", -1.0, "{value:.0%} undecided"),))
    done = invoked("evaluate", "--bundle", tmp_path / "b", *common, "--json", "--report", tmp_path / "r")
    (told,) = validated("evaluate", done.stdout)
    assert done.stderr == f"{told['undecided_share']:.0%} undecided\n"
    assert json.loads((tmp_path / "r/report.json").read_text()) == {"format": 1, **told}
    assert (told["n"], told["speakers"], told["bundle"]) == (8, 4, trained["bundle"])
    assert (tmp_path / "r/report.md").is_file()
    with pytest.raises(ConfigurationError, match="trained on 16 of these"):
        run("evaluate", "--bundle", tmp_path / "b", *common, "--split", "all")
    leaky = (corpus / "m.csv").read_text().replace("8-0.wav,p8,", "8-0.wav,p1,")
    (corpus / "leaky.csv").write_text(leaky)
    with pytest.raises(ConfigurationError, match="speakers are on both sides, test and train"):
        run("train", "--manifest", corpus / "leaky.csv", "--out", tmp_path / "no")
