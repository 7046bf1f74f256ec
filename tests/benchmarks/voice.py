"""What moves a score that must not: `python -m tests.benchmarks.voice [--before FILE]`, 20 minutes on one core.

Scores the folder of real speech (UNDERTONE_SHARED, or `shared` beside the project) as `undertone score` does: clips as
they are, and some with an offset, at other levels, with a silent or noisy tail, and with a second channel. Writes
`results/voice.md`. `--scores FILE` only writes the scores, which another tree reads as `--before FILE`.
"""

import argparse
import csv
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
import soundfile
from numpy.typing import NDArray

from schemas.settings import Settings
from streams.local.offline import score_files
from tests.benchmarks.machine import ROOT, provenance
from workers.audio.memo import SAMPLING_RATE

RESULT = Path(__file__).parent / "results" / "voice.md"
PLAIN, CHANGED = 4, 36
"""One clip in this many is scored as it is; one in this many also changed."""

Samples: TypeAlias = NDArray[np.float64]
Scores: TypeAlias = dict[str, dict[str, list[float | str | None]]]
"""Probability and band by change and clip."""


def noise(samples: int, rms: float, seed: int = 0) -> Samples:
    """White noise."""
    return np.random.default_rng(seed).normal(0.0, rms, samples)


def rms(signal: Samples) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(signal))))


def with_tail(signal: Samples, tail: Samples) -> Samples:
    """The signal with something behind it."""
    return np.concatenate([signal, tail])


def beside(signal: Samples, other: Samples) -> Samples:
    """(samples, 2): the signal on the left, another on the right."""
    return np.stack([signal, other[: len(signal)]], axis=1)


def notes(samples: int) -> Samples:
    """Plucked notes of a quarter of a second."""
    rng, note = np.random.default_rng(1), SAMPLING_RATE // 4
    time = np.arange(note) / SAMPLING_RATE
    pitches = 220 * 2 ** (rng.integers(-12, 12, samples // note + 1) / 12)
    played = [sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, 7)) * np.exp(-time / 0.15) for hz in pitches]
    return 0.05 * np.concatenate(played)[:samples]


CHANGES: dict[str, tuple[str, Callable[[Samples], Samples]]] = {
    "as it is": ("PCM_16", lambda s: s),
    "offset of 2 %": ("FLOAT", lambda s: s + 0.02),
    "offset of 10 %": ("FLOAT", lambda s: s + 0.1),
    "10 dB quieter, float": ("FLOAT", lambda s: s * 10**-0.5),
    "20 dB quieter, float": ("FLOAT", lambda s: s * 0.1),
    "40 dB quieter, float": ("FLOAT", lambda s: s * 0.01),
    "40 dB quieter, 24 bits": ("PCM_24", lambda s: s * 0.01),
    "20 dB quieter, 16 bits": ("PCM_16", lambda s: s * 0.1),
    "40 dB quieter, 16 bits": ("PCM_16", lambda s: s * 0.01),
    "30 s of digital silence behind": ("PCM_16", lambda s: with_tail(s, np.zeros(30 * SAMPLING_RATE))),
    "30 s of noise behind, 40 dB lower": ("FLOAT", lambda s: with_tail(s, noise(30 * SAMPLING_RATE, 0.01 * rms(s)))),
    "the same on the right": ("PCM_16", lambda s: beside(s, s)),
    "its negative on the right": ("PCM_16", lambda s: beside(s, -s)),
    "silence on the right": ("PCM_16", lambda s: beside(s, np.zeros(len(s)))),
    "hiss on the right, as loud": ("FLOAT", lambda s: beside(s, noise(len(s), rms(s)))),
    "hum on the right": ("FLOAT", lambda s: beside(s, 0.1 * np.sign(np.sin(100 * np.pi * np.arange(len(s)) / 16000)))),
    "notes on the right": ("FLOAT", lambda s: beside(s, notes(len(s)))),
    "itself in noise, 10 dB SNR, on the right": ("FLOAT", lambda s: beside(s, s + noise(len(s), 0.3 * rms(s)))),
}
"""File format and change of a clip, by what is done to it."""


def clips(shared: Path, every: int) -> Iterator[tuple[str, Samples]]:
    """One clip in `every` of the folder: name and samples at SAMPLING_RATE."""
    with (shared / "audio" / "manifest.csv").open(newline="") as file:
        for row in islice(csv.DictReader(file), 0, None, every):
            yield row["path"], soundfile.read(shared / "audio" / row["path"])[0]


def scores(shared: Path) -> Scores:
    """Score clips as they are, and some changed."""
    found: Scores = {}
    for name, (subtype, change) in CHANGES.items():
        chosen = list(clips(shared, PLAIN if name == "as it is" else CHANGED))
        with tempfile.TemporaryDirectory() as folder:
            paths = {str(Path(folder, f"{number}.wav")): clip for number, (clip, _) in enumerate(chosen)}
            for path, (_, signal) in zip(paths, chosen, strict=True):
                soundfile.write(path, change(signal), SAMPLING_RATE, subtype=subtype)
            lines = score_files(Settings.load(), [Path(path) for path in paths])
            found[name] = {
                paths[str(line["path"])]: [line.get("probability"), str(line.get("band", line.get("error")))]  # type: ignore[list-item]
                for line in lines
            }
        print(f"{name}: {len(found[name])} clips", flush=True)
    return found


def page(now: Scores, before: Scores | None) -> list[str]:
    """The tables."""
    plain = now["as it is"]
    lines = ["## Each change against the clip as it is", ""]
    columns = [
        "change",
        *(["before: median / largest move, bands moved"] if before else []),
        "median / largest move",
        "bands moved",
        "abstain",
    ]
    lines += [" | ".join(columns), "|".join(["---"] * len(columns))]
    for name in list(CHANGES)[1:]:
        moved = [_moves(before["as it is"], before[name])[:2]] if before else []
        past = [f"{moves}, {bands}" for moves, bands in moved]
        lines.append(" | ".join([name, *past, *_moves(plain, now[name])]))
    lines += [
        "",
        f"Moves of the probability over {len(now[name])} clips; a clip that abstains with a reason moves no band.",
    ]
    if before:
        moves, bands, _ = _moves(before["as it is"], plain)
        lines += [
            "",
            "## Clips as they are, before and after",
            "",
            f"{len(plain)} clips as they are: moves {moves}; {bands} bands moved.",
        ]
    return lines


def _moves(
    plain: dict[str, list[float | str | None]], changed: dict[str, list[float | str | None]]
) -> tuple[str, str, str]:
    """Median and largest move, clips whose band turned from low to high or back, clips that abstain for a reason."""
    pairs = [(plain[clip], changed[clip]) for clip in changed]
    moves = [abs(float(a[0]) - float(b[0])) for a, b in pairs if a[0] is not None and b[0] is not None]
    turned = sum({a[1], b[1]} == {"low", "high"} for a, b in pairs)
    silent = sum(b[0] is None for _, b in pairs)
    return (f"{np.median(moves):.4f} / {max(moves):.4f}" if moves else "–"), str(turned), str(silent)


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--before", type=Path, default=None)
    parser.add_argument("--scores", type=Path, default=None)
    arguments = parser.parse_args()
    shared = Path(os.environ.get("UNDERTONE_SHARED", ROOT.parent / "shared"))
    if not (shared / "audio" / "manifest.csv").is_file():
        sys.exit("no real speech here: put the shared folder beside the project or name it in UNDERTONE_SHARED")
    now = scores(shared)
    if arguments.scores:
        arguments.scores.write_text(json.dumps(now))
        return
    before = json.loads(arguments.before.read_text()) if arguments.before else None
    command = "python -m tests.benchmarks.voice" + (" --before FILE" if before else "")
    lines = ["# What must not move a score", "", provenance(command), "", *page(now, before)]
    RESULT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
