"""Evidence for reading and judging audio: `python -m tests.benchmarks.audio`, about 6 minutes on one core.

Writes `results/audio.md`. Needs the folder of real speech (UNDERTONE_SHARED, or `shared` beside the project).
"""

import csv
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from schemas.errors import Poison
from schemas.events import FloatArray, Quality
from schemas.settings import Settings
from tests.audio_files import encodings, spoken
from tests.benchmarks.machine import provenance
from workers.audio.decode import Decoded, decode
from workers.audio.memo import SAMPLING_RATE
from workers.audio.quality import Thresholds, assess
from workers.audio.speech_frames import find_speech

ROOT = Path(__file__).parents[2]
OUT = Path(__file__).parent / "results" / "audio.md"
THRESHOLDS = Thresholds.of(Settings())
DAMAGED = 20000


def main() -> None:
    """Measure everything and write the table."""
    shared = Path(os.environ.get("UNDERTONE_SHARED", ROOT.parent / "shared")) / "audio"
    with (shared / "manifest.csv").open(newline="") as file:
        paths = [shared / row["path"] for row in csv.DictReader(file)]
    clips = [soundfile.read(path, dtype="float32")[0] for path in paths[::20]]
    parts = [
        "# Reading and judging audio",
        provenance("python -m tests.benchmarks.audio"),
        *_speed(paths),
        *_encodings(clips),
        *_noise(clips),
        *_clipping(clips),
        *_damage(np.random.default_rng(0)),
    ]
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text("\n\n".join(parts) + "\n")
    sys.stdout.write(OUT.read_text())


def _read(data: bytes) -> Decoded:
    return decode(data, max_s=60.0, min_s=0.1)


def _judge(signal: FloatArray) -> Quality:
    return assess(Decoded(signal.astype(np.float32), 0.0, SAMPLING_RATE), THRESHOLDS)


def _spread(values: list[float], digits: int = 2) -> str:
    return " / ".join(f"{value:.{digits}f}" for value in np.percentile(values, (5, 50, 95)))


def _table(title: str, header: str, rows: list[str]) -> Iterator[str]:
    yield f"## {title}"
    yield "\n".join([header, "|".join(["---"] * (header.count("|") + 1)), *rows])


def _speed(paths: list[Path]) -> Iterator[str]:
    started, audio_s, refused = time.process_time(), 0.0, Counter[str]()
    for path in paths:
        decoded = _read(path.read_bytes())
        audio_s += len(decoded.signal) / SAMPLING_RATE
        refused.update(assess(decoded, THRESHOLDS).reasons)
    spent = time.process_time() - started
    yield "## Every clip"
    yield (
        f"{len(paths)} clips, {audio_s:.0f} s of audio: decoded and judged in {spent:.1f} s of CPU, "
        f"{audio_s / spent:.0f} × real time. Refused: {dict(refused) or 'none'}."
    )


def _encodings(clips: list[FloatArray]) -> Iterator[str]:
    seen: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for clip in clips:
        plain = _judge(clip)
        for name, data in encodings(clip).items():
            decoded = _read(data)
            quality = assess(decoded, THRESHOLDS)
            n = min(len(clip), len(decoded.signal))
            seen[name]["like"].append(float(np.corrcoef(clip[:n], decoded.signal[:n])[0, 1]))
            seen[name]["length"].append(1000 * (len(decoded.signal) - len(clip)) / SAMPLING_RATE)
            seen[name]["speech"].append(quality.speech_s - plain.speech_s)
            seen[name]["snr"].append(quality.snr_db - plain.snr_db)
            seen[name]["verdict"].append(quality.reasons == plain.reasons)
    rows = [
        f"{name} | {_spread(s['like'], 4)} | {_spread(s['length'], 0)} | {_spread(s['speech'])}"
        f" | {_spread(s['snr'], 1)} | {sum(s['verdict']):.0f} of {len(s['verdict'])}"
        for name, s in seen.items()
    ]
    header = (
        "encoding | correlation, no shift allowed | length − original (ms) | speech − (s) | SNR − (dB) | same verdict"
    )
    yield from _table(f"{len(clips)} clips, re-encoded (P5 / median / P95)", header, rows)
    yield (
        "8 kHz and AMR lose everything above 4 kHz. Raw AAC (ADTS), AMR and an MP4 written in fragments do not tell "
        "their encoder's delay, so they stand 5 to 25 ms late; nothing measured here depends on that."
    )


def _noise(clips: list[FloatArray]) -> Iterator[str]:
    rng, rows = np.random.default_rng(0), []
    for planted in (30.0, 20.0, 15.0, 10.0, 5.0, 0.0):
        error: list[float] = []
        reasons: Counter[str] = Counter()
        for clip in clips:
            noise = rng.standard_normal(len(clip)) * np.sqrt(find_speech(clip).power * 10 ** (-planted / 10))
            quality = _judge(clip * 0.3 + noise * 0.3)
            reasons.update(quality.reasons)
            if quality.speech_s:
                error.append(quality.snr_db - planted)
        rows.append(f"{planted:.0f} | {_spread(error, 1) if error else 'no speech found'} | {dict(reasons) or 'none'}")
    yield from _table("White noise added", "planted SNR (dB) | estimate − planted (dB) | reasons", rows)


def _clipping(clips: list[FloatArray]) -> Iterator[str]:
    rows = []
    for gain in (1.0, 1.5, 2.0, 4.0, 8.0, 20.0):
        true, found, reasons = [], [], Counter[str]()
        for clip in clips:
            clipped = np.clip(clip / np.abs(clip).max() * gain, -1.0, 1.0)
            quality = _judge(clipped * 0.3)
            true.append(100 * float(np.mean(np.abs(clipped) >= 0.999)))
            found.append(100 * quality.clipped)
            reasons.update(quality.reasons)
        rows.append(f"{gain:g} | {_spread(true)} | {_spread(found)} | {dict(reasons) or 'none'}")
    header = "gain over full scale | samples clipped (%) | found (%) | reasons"
    yield from _table("Hard clipping, level lowered afterwards", header, rows)


def _damage(rng: np.random.Generator) -> Iterator[str]:
    files = encodings(spoken(1.5))
    names = sorted(files)
    outcome: dict[str, Counter[str]] = defaultdict(Counter)
    slowest = 0.0
    for _ in range(DAMAGED):
        name = names[rng.integers(len(names))]
        data = _damaged(bytearray(files[name]), files[names[rng.integers(len(names))]], rng)
        started = time.perf_counter()
        try:
            signal = _read(data).signal
            outcome[name]["sound" if np.isfinite(signal).all() and np.abs(signal).max() <= 1.0 else "BAD"] += 1
        except Poison as poison:
            outcome[name][poison.reason] += 1
        slowest = max(slowest, time.perf_counter() - started)
    rows = [f"{name} | {dict(counts.most_common())}" for name, counts in sorted(outcome.items())]
    yield from _table(
        f"{DAMAGED} damaged files: bits flipped, cut, bytes lost, headers changed, spliced", "file | outcome", rows
    )
    yield f"No other exception and no crash; the slowest took {slowest:.2f} s."


def _damaged(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes:
    way = rng.integers(5)
    if way == 0:
        for _ in range(rng.integers(1, 30)):
            data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    elif way == 1:
        data = data[: rng.integers(1, len(data))]
    elif way == 2:
        first, last = sorted(rng.integers(0, len(data), 2))
        del data[first:last]
    elif way == 3:
        for _ in range(rng.integers(1, 8)):
            data[rng.integers(min(len(data), 300))] = int(rng.integers(256))
    else:
        data = data[: rng.integers(len(data))] + other[rng.integers(len(other)) :]
    return bytes(data)


if __name__ == "__main__":
    main()
