"""Start, memory and a long memo, each in a process of its own, at base size."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from schemas.events import FloatArray
from tests.benchmarks.encoder_engines import here
from tests.benchmarks.encoder_start import kilobytes
from tests.benchmarks.encoder_work import BASE, ROOT, random_weights
from workers.audio.memo import SAMPLING_RATE
from workers.wav2vec2.checkpoint import save


def processes(signals: Sequence[FloatArray]) -> Iterator[str]:
    """Lines of Markdown: every engine's start and memory, and a memo of 30 minutes."""
    yield from ("", "## Start and memory", "", "A process that embeds, with every program that it may need.", "")
    yield "| engine | precision | s to the first embedding | again | GB resident when warm | at its peak |"
    yield "|---|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder), BASE, random_weights(BASE))
        for engine, precision in here():
            environment = {"UNDERTONE_ENGINE": engine, "UNDERTONE_PRECISION": precision}
            first, again = (_started(Path(folder), environment) for _ in range(2))
            yield f"| {engine} | {precision} | {first[0]} | {again[0]} | {again[1]} | {again[2]} |"
        long = np.resize(np.concatenate(signals), 30 * 60 * SAMPLING_RATE)
        both, alone = (_long_memo(Path(folder), long, more) for more in ([], ["--modality", "embedding"]))
    yield ""
    yield f"A 30-minute memo through `undertone features`: {both}; the embedding alone: {alone}."


def _started(folder: Path, environment: dict[str, str]) -> list[str]:
    """What `encoder_start` says in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.encoder_start", str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, check=True, env={**os.environ, **environment}
    )
    return done.stdout.split()


def _long_memo(folder: Path, signal: FloatArray, more: Sequence[str]) -> str:
    """The most memory that the command's own process has resident, and how long it takes."""
    soundfile.write(folder / "memo.wav", signal, SAMPLING_RATE)
    command = [sys.executable, "-m", "streams.cli", "features", str(folder / "memo.wav"), *more]
    command += ["--encoder", str(folder), "--out", str(folder / "memo.npz")]
    peak, began = 0, time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
        while process.poll() is None:
            # The rusage of a child would count what its parent had when it was forked.
            peak = max(peak, kilobytes("VmHWM", process.pid))
            time.sleep(0.1)
    assert process.returncode == 0
    return f"{peak / 1e6:.2f} GB at its peak, {time.perf_counter() - began:.0f} s"
