import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sklearn.metrics import roc_auc_score, roc_curve
from typer import Typer
from typer.testing import CliRunner

from schemas.errors import ConfigurationError
from streams.cli.train import add_to
from tests.unit.workers.scoring.toys import GOOD
from tests.unit.workers.training.cohorts import EXTRACTORS, RECIPE, people
from workers.audio.memo import SAMPLING_RATE
from workers.corpora.examples import default_memos
from workers.evaluation import metrics
from workers.evaluation.evaluate import evaluate
from workers.evaluation.report import PICTURES, write_report
from workers.simulation.source_filter import Voice, speak
from workers.training.fit_bundle import fit

RNG = np.random.default_rng(0)
LABELS = RNG.random(200) < 0.4
SCORES = np.round(RNG.normal(LABELS * 1.0, 1.0), 1)


def test_discrimination_is_what_scikit_learn_says() -> None:
    assert metrics.auc(LABELS, SCORES) == pytest.approx(roc_auc_score(LABELS, SCORES))
    misses, hits = metrics.roc(LABELS, SCORES)
    known_misses, known_hits, _ = roc_curve(LABELS, SCORES, drop_intermediate=False)
    np.testing.assert_allclose(misses, known_misses)
    np.testing.assert_allclose(hits, known_hits)


def test_probabilities_that_are_right_have_no_calibration_error() -> None:
    said = RNG.random(50_000)
    was = RNG.random(50_000) < said
    assert metrics.ece(was, said) < 0.01
    assert metrics.ece(was, said**3) > 0.15


def test_the_interval_is_over_speakers_not_memos() -> None:
    one_each = np.arange(200).astype(str)
    twenty = np.repeat(np.arange(10), 20).astype(str)
    copies = np.repeat([True, False], 100)
    scores = np.repeat(RNG.normal(size=10), 20) + np.where(copies, 0.5, 0.0)
    wide = metrics.auc_interval(copies, scores, twenty, np.random.default_rng(1))
    narrow = metrics.auc_interval(copies, scores, one_each, np.random.default_rng(1))
    assert wide[1] - wide[0] > 1.5 * (narrow[1] - narrow[0])


def test_a_gain_is_told_from_chance_by_the_speakers_who_had_it() -> None:
    """Speakers who differ much among themselves hide a gain in either AUC; their differences cancel in its interval."""
    speakers = np.repeat(np.arange(20), 20).astype(str)
    labels = np.tile([True, False], 200)
    hard = np.repeat(RNG.normal(0, 1.0, 20), 20)
    before = hard + np.where(labels, 0.5, 0.0) + RNG.normal(0, 1.0, 400)
    after = before + np.where(labels, 0.3, 0.0)
    low, high = metrics.gain_interval(labels, [after, after], before, speakers, np.random.default_rng(1), 300)
    wide = metrics.auc_interval(labels, after, speakers, np.random.default_rng(1), 300)
    gained = metrics.auc(labels, after) - metrics.auc(labels, before)
    assert 0 < low < gained < high
    assert high - low < (wide[1] - wide[0]) / 2
    same = metrics.gain_interval(labels, [before], before, speakers, np.random.default_rng(1), 20)
    assert same == (0.0, 0.0)


def test_deciding_only_the_sure_lowers_the_risk() -> None:
    said = 1 / (1 + np.exp(-(SCORES - 0.5)))
    coverage, risk = metrics.risk_coverage(LABELS, said, 0.4)
    assert coverage[-1] == 1.0
    assert risk[len(risk) // 3] < risk[-1]


def test_the_report_tells_every_figure_and_subgroup(tmp_path: Path) -> None:
    bundle = fit(people(), EXTRACTORS, RECIPE, name="t").bundle
    fresh = people(speakers=10, seed=3)
    groups = [{"sex": "f" if int(s[1:]) % 2 else "m", "age": "34"} for s in fresh.speakers]
    found = evaluate(bundle, fresh, groups, rounds=50)
    assert {"auc", "auc_ci", "uar", "ece", "n", "speakers", "undecided_share"} <= found.figures.keys()
    assert {*found.figures["groups"]} == {"sex", "age", "duration_s", "snr_db"}
    assert sum(row["n"] for row in found.figures["groups"]["sex"].values()) == found.figures["n"] == len(fresh)
    assert [*found.figures["groups"]["age"]] == ["30 to 50"]
    page = write_report(found, tmp_path).read_text()
    assert all((tmp_path / f"{name}.png").stat().st_size > 1000 for name in PICTURES)
    assert f"| {found.figures['auc']:.3f} |" in page
    low, high = found.figures["cold_start_gain"]["all"]
    assert low < found.figures["cold_start"]["all"] - found.figures["cold_start"]["0"] < high
    assert f"| {low:+.3f} to {high:+.3f} |" in page


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


def test_where_everyone_has_one_label_nobody_is_given_a_baseline() -> None:
    examples = people(speakers=6, memos=4)
    constant = examples.chosen((examples.labels > 0.5) == (np.char.endswith(examples.speakers, "1")))
    assert default_memos(examples) != 0
    assert default_memos(constant) == 0


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


def run(*arguments: str | Path) -> str:
    app = Typer()
    add_to(app)
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception:
        raise result.exception
    return result.stdout


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
    trained = json.loads(run("train", *common, "--out", tmp_path / "b", "--json"))
    assert (trained["logistic"]["n"], trained["test"]["n"]) == (16, 8)
    assert trained["test"]["speakers"] == 4
    told = json.loads(run("evaluate", "--bundle", tmp_path / "b", *common, "--json"))
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
    trained = json.loads(run("train", *common, "--out", tmp_path / "b", "--json"))
    assert trained["logistic"]["speakers"] == trained["logistic"]["choices_apart"]["speakers"] == 8
    assert trained["test"]["speakers"] == 4
    again = json.loads(run("train", *common, "--out", tmp_path / "again", "--json"))
    assert again["bundle"] == trained["bundle"]
    told = json.loads(run("evaluate", "--bundle", tmp_path / "b", *common, "--json", "--report", tmp_path / "r"))
    assert (told["n"], told["speakers"], told["bundle"]) == (8, 4, trained["bundle"])
    assert (tmp_path / "r/report.md").is_file()
    with pytest.raises(ConfigurationError, match="trained on 16 of these"):
        run("evaluate", "--bundle", tmp_path / "b", *common, "--split", "all")
    leaky = (corpus / "m.csv").read_text().replace("8-0.wav,p8,", "8-0.wav,p1,")
    (corpus / "leaky.csv").write_text(leaky)
    with pytest.raises(ConfigurationError, match="speakers are on both sides, test and train"):
        run("train", "--manifest", corpus / "leaky.csv", "--out", tmp_path / "no")
