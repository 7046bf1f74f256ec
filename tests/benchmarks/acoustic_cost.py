"""What the acoustic pass costs: `python -m tests.benchmarks.acoustic_cost`, about 2 minutes on two free cores.

Writes `results/acoustic_cost.md`: CPU beside stock openSMILE on the same clips, throughput by processes, and memory of
a 30-minute memo. Uses real speech where it lies (UNDERTONE_SHARED, or `shared` beside the project), else the simulator.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import opensmile
import soundfile

from schemas.events import FloatArray
from tests.benchmarks.acoustic import RESULTS, real_speech
from tests.benchmarks.machine import provenance
from workers.acoustic.extraction import extract
from workers.acoustic.opensmile_pass import acoustic_pass
from workers.acoustic.process_pool import ExtractionPool
from workers.audio.memo import SAMPLING_RATE
from workers.simulation.source_filter import Voice, speak

ROUNDS = 2
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
    clips = [soundfile.read(path, dtype="float32")[0] for path, _ in real_speech()[::30]]
    return clips or [speak(Voice(), 8.0, np.random.default_rng(seed))[0] for seed in range(20)]


def _cpu(work: Callable[[], object]) -> float:
    """CPU seconds of the quickest of ROUNDS: what the work takes when least disturbed."""
    spent = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return min(spent)


def _beside_stock(clips: list[FloatArray]) -> list[str]:
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    minutes = sum(len(clip) for clip in clips) / SAMPLING_RATE / 60
    ways: dict[str, Callable[[FloatArray], object]] = {
        "stock openSMILE, eGeMAPSv02 functionals": lambda clip: smile(clip, SAMPLING_RATE),
        "our pass: functionals, descriptors, MFCCs": acoustic_pass,
        "everything: pass, markers, windows": extract,
    }
    # Clip by clip beside each other, so that a busy machine disturbs all ways alike.
    spent = dict.fromkeys(ways, 0.0)
    for clip in clips:
        for name, way in ways.items():
            spent[name] += _cpu(lambda way=way, clip=clip: way(clip))  # type: ignore[misc]
    stock = next(iter(spent.values()))
    rows = [f"{name} | {cpu / minutes:.2f} | {cpu / stock:.3f}" for name, cpu in spent.items()]
    title = f"## CPU on {len(clips)} clips, {60 * minutes:.0f} s of audio"
    return [title, "\n".join(["way | CPU-seconds a minute of audio | ratio to stock", "---|---|---", *rows])]


def _throughput(clips: list[FloatArray]) -> list[str]:
    batch = [*clips, *clips]
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
