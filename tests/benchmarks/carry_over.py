"""What carries over to microphones and rooms never met: `python -m tests.benchmarks.carry_over`, about 10 minutes.

Writes `results/carry_over.md`. Needs the folder of real speech (UNDERTONE_SHARED, or `shared` beside the project).
"""

import csv
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from zlib import crc32

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import signal as filters
from sklearn.linear_model import LogisticRegression

from schemas.errors import Poison
from schemas.events import Extractor, FloatArray, Modality
from schemas.settings import Settings
from tests.benchmarks.machine import ROOT, provenance
from tests.benchmarks.scoring import CACHE, Bytes
from workers.acoustic.extraction import extractor
from workers.acoustic.feature_names import FUNCTIONAL_NAMES
from workers.audio.memo import SAMPLING_RATE
from workers.corpora.examples import EVERY, Examples
from workers.corpora.feature_cache import extracted
from workers.corpora.features import extractions
from workers.evaluation import metrics
from workers.evaluation.evaluate import score_after
from workers.scoring.bundle import Bundle
from workers.training.fit_bundle import fit
from workers.training.held_out_metrics import cross_validated
from workers.training.recipe import Recipe

RESULT = Path(__file__).parent / "results" / "carry_over.md"
DIVISIONS, FEW, FOLDS = 5, 2, 2
"""How often speakers are parted in halves, clips of each label that `few` leaves a speaker, folds for calibration."""
Shift = Callable[[FloatArray, str, str], FloatArray]
"""A signal of a speaker, by name, and its clip, by name, as something else would have recorded it."""


def main() -> None:
    """Measure and write the page."""
    shared = Path(os.environ.get("UNDERTONE_SHARED", ROOT.parent / "shared")) / "audio"
    if not (shared / "manifest.csv").is_file():
        sys.exit("no folder of real speech: set UNDERTONE_SHARED to it")
    with (shared / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["emotion"] in ("sadness", "neutral")]
    heard = {name: _examples(shared, rows, shift) for name, shift in SHIFTS.items()}
    RESULT.write_text("\n".join([*_page(heard), "", f"{provenance('python -m tests.benchmarks.carry_over')}.", ""]))


def _page(heard: Mapping[str, Examples]) -> list[str]:
    clean = heard["as recorded"]
    fitted = fit(clean, _extractors(), Recipe(), name="t")
    out = cross_validated(clean, fitted.held_out, rounds=200)
    lines = [
        "# What carries over",
        "",
        f"EmoDB, sadness against neutral, {len(clean)} clips. One speaker left out at a time: AUC {out['auc']:.3f},",
        f"ECE {out['ece']:.3f}, calibrated by {fitted.bundle.calibration.kind}.",
        "",
        "Trained on five speakers as recorded, judged on the other five as below: AUC of the default head, and of",
        "eGeMAPS standardised per speaker with logistic regression; with every clip, with none but the one that is",
        f"judged (there the reference is standardised by the training speakers), and with {FEW} of each label. Means",
        f"over {DIVISIONS} divisions of the ten speakers in halves, each half judged once; calibrated,",
        f"and its choices made, on {FOLDS} folds.",
        "",
        "| judged | head | plain | head, no baseline | plain, no baseline | head, few | plain, few |",
        "|---|---|---|---|---|---|---|",
    ]
    judged: dict[str, list[list[float]]] = {name: [] for name in heard}
    for held in _halves(clean.speakers):
        train = clean.chosen(~held)
        bundle = fit(train, _extractors(), Recipe(folds=FOLDS), name="t").bundle
        for name, examples in heard.items():
            judged[name].append(_judged(bundle, train, examples.chosen(held)))
    for name, found in judged.items():
        lines.append(f"| {name} | {' | '.join(f'{value:.3f}' for value in np.mean(found, axis=0))} |")
    return lines


def _judged(bundle: Bundle, train: Examples, test: Examples) -> list[float]:
    """AUC of the head and of the plain reference, with all clips, with no baseline and with few."""
    few = _few(test)
    return [
        _auc(bundle, test, EVERY),
        _plain(_standardised(train), train, _standardised(test), test),
        _auc(bundle, test, 0),
        _plain(*_by_training(train, test)),
        _auc(bundle, few, EVERY),
        _plain(_standardised(train), train, _standardised(few), few),
    ]


def _auc(bundle: Bundle, test: Examples, memos: int) -> float:
    _, said = score_after(bundle, test, memos, np.random.default_rng(0))
    return metrics.auc(test.labels > 0.5, said.calibrated)


def _plain(learnt: FloatArray, train: Examples, judged: FloatArray, test: Examples) -> float:
    model = LogisticRegression(max_iter=5000).fit(learnt, train.labels)
    return metrics.auc(test.labels > 0.5, model.decision_function(judged))


def _by_training(train: Examples, test: Examples) -> tuple[FloatArray, Examples, FloatArray, Examples]:
    learnt, judged = _functionals(train), _functionals(test)
    mean, sd = learnt.mean(axis=0), learnt.std(axis=0) + 1e-9
    return (learnt - mean) / sd, train, (judged - mean) / sd, test


def _standardised(examples: Examples) -> FloatArray:
    rows = _functionals(examples)
    for speaker in np.unique(examples.speakers):
        own = examples.speakers == speaker
        rows[own] = (rows[own] - rows[own].mean(axis=0)) / (rows[own].std(axis=0) + 1e-9)
    return np.nan_to_num(rows)


def _functionals(examples: Examples) -> FloatArray:
    rows = np.stack([parts[Modality.ACOUSTIC].summary[: len(FUNCTIONAL_NAMES)] for parts in examples.parts])
    return np.nan_to_num(rows)


def _few(examples: Examples) -> Examples:
    """The first clips of each label of every speaker."""
    keep = np.zeros(len(examples), bool)
    for speaker in np.unique(examples.speakers):
        for label in (0, 1):
            keep[np.flatnonzero((examples.speakers == speaker) & (examples.labels == label))[:FEW]] = True
    return examples.chosen(keep)


def _halves(speakers: NDArray[np.str_]) -> list[NDArray[np.bool_]]:
    """Which memos are judged, each speaker once a division."""
    names, rng, halves = np.unique(speakers), np.random.default_rng(1), []
    for _ in range(DIVISIONS):
        held = np.isin(speakers, rng.permutation(names)[: len(names) // 2])
        halves += [held, ~held]
    return halves


def _examples(audio: Path, rows: list[dict[str, str]], shift: Shift) -> Examples:
    recordings = []
    for row in rows:
        signal = shift(soundfile.read(audio / row["path"], dtype="float32")[0], row["speaker"], row["path"])
        out = BytesIO()
        soundfile.write(out, signal / max(float(np.abs(signal).max()), 1.0), SAMPLING_RATE, format="FLAC")
        recordings.append(Bytes(out.getvalue()))
    with extractions(Settings.load(), (Modality.ACOUSTIC,)) as stages:
        found = extracted(recordings, stages, CACHE)
    parts = [part for part in found if not isinstance(part, Poison)]
    assert len(parts) == len(rows), "a clip could not be read"
    labels = np.array([float(row["emotion"] == "sadness") for row in rows])
    return Examples(parts, labels, np.array([row["speaker"] for row in rows]), np.full(len(rows), np.nan))


def _extractors() -> dict[Modality, Extractor]:
    return {Modality.ACOUSTIC: extractor()}


def _rng(*names: str) -> np.random.Generator:
    return np.random.default_rng([crc32(name.encode()) for name in names])


def _telephone(signal: FloatArray, speaker: str, clip: str) -> FloatArray:
    band = filters.butter(4, [300, 3400], "bandpass", fs=SAMPLING_RATE, output="sos")
    return np.asarray(filters.sosfilt(band, signal), np.float32)


def _noise(signal: FloatArray, speaker: str, clip: str, snr_db: float = 10.0) -> FloatArray:
    spectrum = np.fft.rfft(_rng(clip).normal(size=len(signal)))
    pink = np.fft.irfft(
        spectrum / np.sqrt(np.maximum(np.fft.rfftfreq(len(signal), 1 / SAMPLING_RATE), 30)), len(signal)
    )
    return np.asarray(signal + pink / pink.std() * signal.std() * 10 ** (-snr_db / 20), np.float32)


def _room(signal: FloatArray, speaker: str, clip: str) -> FloatArray:
    rng = _rng(speaker)
    seconds = rng.uniform(0.2, 0.8)
    times = np.arange(int(seconds * SAMPLING_RATE)) / SAMPLING_RATE
    tail = rng.normal(size=len(times)) * 10 ** (-3 * times / seconds)
    response = tail / np.sqrt(np.sum(tail**2)) * 10 ** (-rng.uniform(-3, 9) / 20)
    response[0] = 1.0
    return np.asarray(filters.fftconvolve(signal, response), np.float32)


def _microphone(signal: FloatArray, speaker: str, clip: str) -> FloatArray:
    rng, hertz = _rng(speaker), np.maximum(np.fft.rfftfreq(2 * len(signal), 1 / SAMPLING_RATE), 50)
    gain_db = rng.normal(0, 6) + rng.normal(0, 3) * np.log2(hertz / 1000)
    for _ in range(4):
        at, width = np.exp(rng.uniform(np.log(100), np.log(7000))), rng.uniform(0.3, 1.2)
        gain_db = gain_db + rng.normal(0, 5) * np.exp(-0.5 * (np.log2(hertz / at) / width) ** 2)
    return np.fft.irfft(np.fft.rfft(signal, 2 * len(signal)) * 10 ** (gain_db / 20))[: len(signal)].astype(np.float32)


SHIFTS: Mapping[str, Shift] = {
    "as recorded": lambda signal, speaker, clip: signal,
    "a telephone's band": _telephone,
    "a microphone of each speaker's own": _microphone,
    "a room of each speaker's own": _room,
    "noise at 10 dB": partial(_noise, snr_db=10.0),
}


if __name__ == "__main__":
    main()
