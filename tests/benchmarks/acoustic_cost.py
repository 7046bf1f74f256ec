"""What the acoustic pass costs: `python -m tests.benchmarks.acoustic_cost`, about 4 minutes on two free cores.

Writes `results/acoustic_cost.md`: CPU beside stock openSMILE on the same clips, throughput by processes, and memory of
a 30-minute memo. Uses real speech where it lies (UNDERTONE_SHARED, or `shared` beside the project), else the simulator.
"""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import opensmile
import soundfile
from numpy.typing import NDArray

from schemas.events import FloatArray
from tests.benchmarks.acoustic import RESULTS, real_speech
from tests.benchmarks.machine import provenance
from workers.acoustic.extraction import extract
from workers.acoustic.opensmile_pass import acoustic_pass
from workers.acoustic.process_pool import ExtractionPool
from workers.audio.memo import SAMPLING_RATE
from workers.simulation.source_filter import Voice, speak

ROUNDS = 5
LENGTHS_S = (5, 10, 20, 40, 60)
CLIPS = 2
"""Of each length."""
LONG_S = 1800


def main() -> None:
    """Measure everything and write the table."""
    clips = _clips()
    parts = [
        "# What the acoustic pass costs",
        provenance("python -m tests.benchmarks.acoustic_cost"),
        *_beside_stock(clips),
        *_throughput(clips),
        *_memory(),
    ]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "acoustic_cost.md").write_text("\n\n".join(parts) + "\n")
    sys.stdout.write((RESULTS / "acoustic_cost.md").read_text())


def _clips() -> list[FloatArray]:
    """CLIPS of each length; of real speech, several clips make a longer one."""
    files = [path for path, row in real_speech() if float(row["duration_s"]) >= min(LENGTHS_S)]
    lengths = [length for length in LENGTHS_S for _ in range(CLIPS)]
    if not files:
        return [speak(Voice(), float(length), np.random.default_rng(seed))[0] for seed, length in enumerate(lengths)]
    spoken = [soundfile.read(path, dtype="float32")[0] for path in files[:: max(1, len(files) // 40)]]
    starts = np.random.default_rng(0).permutation(len(spoken))
    joined = [np.concatenate(spoken[start:] + spoken[:start]) for start in starts[: len(lengths)].tolist()]
    return [signal[: length * SAMPLING_RATE] for signal, length in zip(joined, lengths, strict=True)]


def _spent(ways: Mapping[str, Callable[[FloatArray], object]], clip: FloatArray) -> NDArray[np.float64]:
    """(ROUNDS, ways) CPU seconds, by turns, so that a busy machine disturbs all ways alike."""
    spent = np.zeros((ROUNDS, len(ways)))
    for times in spent:
        for place, way in enumerate(ways.values()):
            started = time.process_time()
            way(clip)
            times[place] = time.process_time() - started
    return spent


def _beside_stock(clips: list[FloatArray]) -> list[str]:
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    ways: dict[str, Callable[[FloatArray], object]] = {
        "stock openSMILE, eGeMAPSv02 functionals": lambda clip: smile(clip, SAMPLING_RATE),
        "our pass: functionals, descriptors, MFCCs": acoustic_pass,
        "everything: pass, markers, windows": extract,
    }
    acoustic_pass(clips[0])
    spent = np.array([_spent(ways, clip) for clip in clips])
    least, ratios = spent.min(axis=1), np.median(spent / spent[..., :1], axis=1)
    minutes = sum(len(clip) for clip in clips) / SAMPLING_RATE / 60
    rows = [
        f"{name} | {cpu / minutes:.2f} | {cpu / least[:, 0].sum():.3f} | {np.median(ratio):.3f} | {ratio.max():.3f}"
        for name, cpu, ratio in zip(ways, least.sum(axis=0), ratios.T, strict=True)
    ]
    lengths = np.round([len(clip) / SAMPLING_RATE for clip in clips])
    by_length = [
        f"{length:.0f} | " + " | ".join(f"{ratio:.3f}" for ratio in np.median(ratios[lengths == length, 1:], axis=0))
        for length in sorted(set(lengths.tolist()))
    ]
    header = "way | CPU-seconds a minute of audio | ratio to stock | median over clips | largest of a clip"
    return [
        f"## CPU on {len(clips)} clips, {60 * minutes:.0f} s of audio",
        f"By turns, {ROUNDS} rounds: the quickest of each way, then each clip's median ratio.",
        "\n".join([header, "---|---|---|---|---", *rows]),
        "\n".join(["seconds | our pass, median ratio | everything", "---|---|---", *by_length]),
    ]


def _throughput(clips: list[FloatArray]) -> list[str]:
    batch = [clip for clip in clips if len(clip) <= 20 * SAMPLING_RATE] * 2
    audio_s = sum(len(clip) for clip in batch) / SAMPLING_RATE
    speeds = []
    for processes in (1, 2):
        pool = ExtractionPool(processes, window_s=15.0)
        pool.extract(batch[:4])
        started = time.perf_counter()
        pool.extract(batch)
        speeds.append(audio_s / (time.perf_counter() - started))
        pool.close()
    found = (
        f"1 process: {speeds[0]:.0f} × real time; 2 processes: {speeds[1]:.0f} ×; ratio {speeds[1] / speeds[0]:.2f}."
    )
    return ["## Throughput", found, "Means something only where two cores were free: see the load above."]


def _memory() -> list[str]:
    """What the process of a pool, as the worker runs it, comes to need; told by the kernel."""
    part = speak(Voice(), 15.0, np.random.default_rng(0))[0]
    peaks = []
    for seconds in (15, LONG_S):
        pool = ExtractionPool(1, window_s=15.0)
        pool.extract([np.tile(part, seconds // 15)])
        (child,) = pool.idle
        status = Path(f"/proc/{child.pid}/status").read_text().splitlines()
        peaks.append(int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024)
        pool.close()
    short, long = peaks
    found = f"{short:.0f} MB at its peak for 15 s of audio, {long:.0f} MB for {LONG_S} s"
    shares = f"of which the audio itself, as it comes through the pipe, is {LONG_S * SAMPLING_RATE * 8 / 2**20:.0f} MB"
    return ["## Memory of one process", f"{found}, {shares}."]


if __name__ == "__main__":
    main()
