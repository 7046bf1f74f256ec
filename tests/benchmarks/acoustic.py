"""Evidence for the acoustic markers: `python -m tests.benchmarks.acoustic`, about 4 minutes on one core.

Writes `results/acoustic.md` and `results/acoustic.png`. The simulator part needs nothing; the robustness table needs
the folder of real speech (UNDERTONE_SHARED, or `shared` beside the project). `acoustic_praat` compares with Praat.
"""

import csv
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import soxr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import signal as filters
from scipy.stats import spearmanr

from schemas.events import FloatArray
from schemas.markers import MARKER_NAMES, MARKERS
from tests.audio_files import ffmpeg, sndfile
from tests.benchmarks.machine import provenance
from workers.acoustic.extraction import extract
from workers.audio.decode import decode
from workers.audio.memo import SAMPLING_RATE
from workers.simulation.source_filter import Truth, Voice, speak

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"
SPEAKERS = {"low": Voice(), "high": Voice(f0_hz=205.0, formant_scale=1.16)}
SWEEP_S, STEPS = 20.0, 9
SWEEPS: Mapping[str, tuple[str, float, float]] = {
    "f0_hz": ("pitch_median", 85.0, 260.0),
    "f0_range_st": ("pitch_range", 2.0, 14.0),
    "jitter": ("jitter", 0.003, 0.03),
    "shimmer": ("shimmer", 0.02, 0.2),
    "hnr_db": ("hnr", 8.0, 28.0),
    "creak_share": ("creak_share", 0.0, 0.4),
    "pause_share": ("pause_share", 0.05, 0.5),
    "pauses_per_min": ("pause_rate", 4.0, 30.0),
}
Array = NDArray[np.float64]


def main() -> None:
    """Measure everything; write the table and the plot."""
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 4).ravel()
    parts = ["# Acoustic markers", provenance("python -m tests.benchmarks.acoustic"), *_simulator(list(axes))]
    paths = [path for path, row in real_speech() if row["corpus"] == "librispeech"][::6]
    if paths:
        parts += _robustness(paths)
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / "acoustic.png", dpi=70)
    (RESULTS / "acoustic.md").write_text("\n\n".join(parts) + "\n")
    sys.stdout.write((RESULTS / "acoustic.md").read_text())


def real_speech() -> list[tuple[Path, dict[str, str]]]:
    """Every clip of the folder of real speech with its row of the manifest; none where the folder is not there."""
    shared = Path(os.environ.get("UNDERTONE_SHARED", ROOT.parent / "shared")) / "audio"
    if not (shared / "manifest.csv").is_file():
        return []
    with (shared / "manifest.csv").open(newline="") as file:
        return [(shared / row["path"], row) for row in csv.DictReader(file)]


def measured(signal: FloatArray) -> dict[str, float]:
    """The markers of a signal by name."""
    return dict(zip(MARKER_NAMES, (float(value) for value in extract(signal).markers), strict=True))


def table(header: str, rows: list[str]) -> str:
    return "\n".join([header, "|".join(["---"] * (header.count("|") + 1)), *rows])


def _planted(trait: str, asked: float, truth: Truth) -> float:
    """What was really planted, where the draw differs from what was asked."""
    drawn = {
        "jitter": truth.jitter,
        "shimmer": truth.shimmer,
        "creak_share": truth.creak_share,
        "pause_share": sum(end - start for start, end in truth.pauses) / SWEEP_S,
        "pauses_per_min": len(truth.pauses) / SWEEP_S * 60,
    }
    return drawn.get(trait, asked)


def _simulator(axes: list[object]) -> list[str]:
    rows = []
    for plot, (trait, (marker, low, high)) in zip(axes, SWEEPS.items(), strict=True):
        ranks = []
        for name, voice in SPEAKERS.items():
            planted, found = [], []
            for seed, asked in enumerate(np.linspace(low, high, STEPS)):
                pauses = {"pause_share": 0.3} if trait == "pauses_per_min" else {}
                signal, truth = speak(replace(voice, **pauses, **{trait: asked}), SWEEP_S, np.random.default_rng(seed))
                planted.append(_planted(trait, float(asked), truth))
                found.append(measured(signal)[marker])
            ranks.append(float(spearmanr(planted, found)[0]))
            error = np.abs(np.subtract(found, planted))
            unit = next(m.unit for m in MARKERS if m.name == marker)
            compared = "–" if trait == "shimmer" else f"{np.median(error):.3g} / {error.max():.3g}"
            span = f"{min(planted):.3g}–{max(planted):.3g}"
            rows.append(f"{trait} | {name} | {span} | {marker} ({unit}) | {ranks[-1]:.3f} | {compared}")
            plot.plot(planted, found, ".-", label=name)  # type: ignore[attr-defined]
        plot.set_title(f"{marker}: ρ {min(ranks):.2f}", fontsize=9)  # type: ignore[attr-defined]
        plot.set_xlabel(f"planted {trait}", fontsize=8)  # type: ignore[attr-defined]
    header = "planted | voice | range | marker | rank correlation | absolute error, median / largest"
    note = f"{STEPS} memos of {SWEEP_S:.0f} s a sweep, all else held. Shimmer is planted as a share, measured in dB."
    return ["## Against the simulator", table(header, rows), note]


def _changes(signal: FloatArray, rng: np.random.Generator) -> dict[str, FloatArray]:
    """The same words under other conditions. signal: peak at 0.09, so that 20 dB more still fit."""
    band = filters.butter(4, (300.0, 3400.0), "bandpass", fs=SAMPLING_RATE, output="sos")
    narrow = soxr.resample(soxr.resample(filters.sosfilt(band, signal), SAMPLING_RATE, 8000), 8000, SAMPLING_RATE)
    loud = signal[np.abs(signal) > 0.1 * np.abs(signal).max()]
    noise = rng.standard_normal(len(signal)) * np.sqrt(np.mean(loud**2) / 100)
    mp3 = ffmpeg(signal, container="mp3", codec="libmp3lame", rate=44100, bit_rate=96000)
    opus = sndfile(signal, kind="OGG", subtype="OPUS", rate=48000)
    return {
        "+20 dB": signal * np.float32(10.0),
        "−20 dB": signal * np.float32(0.1),
        "telephone": narrow.astype(np.float32),
        "noise, 20 dB SNR": (signal + noise).astype(np.float32),
        "mp3, 96 kbit/s": decode(mp3, max_s=60.0, min_s=0.1).signal,
        "opus": decode(opus, max_s=60.0, min_s=0.1).signal,
    }


def _robustness(paths: list[Path]) -> list[str]:
    rng = np.random.default_rng(0)
    plain, moved = [], []
    for path in paths:
        signal = soundfile.read(path, dtype="float32")[0][: 8 * SAMPLING_RATE]
        signal = signal * np.float32(0.09 / np.abs(signal).max())
        plain.append(list(measured(signal).values()))
        moved.append([list(measured(changed).values()) for changed in _changes(signal, rng).values()])
    base = np.array(plain)
    spread = np.nanstd(base, axis=0)
    moves = np.sqrt(np.nanmean(np.square(np.array(moved) - base[:, None, :]), axis=0)) / spread
    names = list(_changes(np.ones(SAMPLING_RATE, np.float32), rng))
    rows = []
    for column, marker in enumerate(MARKER_NAMES):
        cells = [f"**{move:.2f}**" if move > 1 else f"{move:.2f}" for move in moves[:, column]]
        rows.append(f"{marker} | {spread[column]:.3g} | {' | '.join(cells)}")
    header = f"marker | between-speaker SD | {' | '.join(names)}"
    note = (
        f"{len(paths)} speakers, 8 s each; root mean square of the move, in between-speaker SDs. Bold: more than one."
    )
    return ["## Robustness", table(header, rows), note]


if __name__ == "__main__":
    main()
