"""The encoder at base size on every engine that is installed, against ONNX Runtime, PyTorch and matrix products.

    python -m tests.benchmarks.encoder [--clips 24] [--rounds 3] [--json]

Writes `results/encoder.md`. With `--json` it prints one object instead: every engine by turns, first the one that
UNDERTONE_ENGINE and UNDERTONE_PRECISION lead to. Rounds of the engines alternate, so that whatever else the machine
does meets all of them; CPU seconds are of this process, and the best round of each clip counts.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from schemas.settings import Settings
from tests.benchmarks.encoder_engines import as_json, as_table
from tests.benchmarks.encoder_processes import processes
from tests.benchmarks.encoder_work import clips
from tests.benchmarks.machine import provenance
from workers.audio.memo import SAMPLING_RATE

OUT = Path(__file__).parent / "results" / "encoder.md"


def main() -> None:
    """Measure, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--speed-only", action="store_true", help="leave out start-up, memory and the 30-minute memo")
    parser.add_argument("--json", action="store_true", help="print one object about every engine")
    options = parser.parse_args()
    settings = Settings.load()
    threads = settings.intra_op_threads or len(os.sched_getaffinity(0))
    signals = [signal for signal in clips(options.clips) if len(signal) <= 15 * SAMPLING_RATE]
    if options.json:
        sys.stdout.write(json.dumps(as_json(settings, signals, threads, options.rounds)) + "\n")
        return
    command = " ".join(["python -m tests.benchmarks.encoder", *sys.argv[1:]])
    lines = ["# The encoder's speed", "", provenance(command), "", *as_table(signals, threads, options.rounds)]
    lines += [] if options.speed_only else processes(signals)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text("\n".join(lines) + "\n")
    sys.stdout.write(OUT.read_text())
    return


if __name__ == "__main__":
    main()
