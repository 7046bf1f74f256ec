"""`python -m tests.benchmarks.encoder_start FOLDER`: how soon a process embeds with this checkpoint, and its memory.

Prints the seconds from its start to the first embedding, of 3 s of audio, and the gigabytes that are resident, then and
at most, once every program that it may need was used. Loads nothing that a worker would not.
"""

import os
import sys
from pathlib import Path

import numpy as np

from schemas.settings import Settings
from workers.audio.memo import SAMPLING_RATE
from workers.wav2vec2.stage import embedder_from


def main() -> None:
    """The command."""
    embedder = embedder_from(Settings.load(encoder=sys.argv[1]))
    rng = np.random.default_rng(0)
    embedder.embed([rng.standard_normal(3 * SAMPLING_RATE, np.float32)])
    began = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19]
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    lived = uptime - int(began) / os.sysconf("SC_CLK_TCK")
    for _ in embedder.warm():
        pass
    embedder.embed([rng.standard_normal(60 * SAMPLING_RATE, np.float32)])
    print(f"{lived:.1f} {kilobytes('VmRSS') / 1e6:.2f} {kilobytes('VmHWM') / 1e6:.2f}")


def kilobytes(name: str, process: str | int = "self") -> int:
    """A figure of a process's memory; 0 for one that has ended."""
    status = Path(f"/proc/{process}/status").read_text()
    return next((int(line.split()[1]) * 1024 // 1000 for line in status.splitlines() if line.startswith(name)), 0)


if __name__ == "__main__":
    main()
