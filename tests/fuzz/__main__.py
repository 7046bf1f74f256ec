"""`python -m tests.fuzz`: fuzz records, state and recordings; ends with 1 when anything is wrong.

`make fuzz` does so for two minutes (SECONDS=7200 for two hours, SEED=7 for the inputs of another run). An input with a
fault is made smaller and kept in .cache/fuzz; `python -m tests.fuzz --replay FILE` tries it again.
"""

import argparse
import sys
import time
from pathlib import Path

from tests.fuzz.campaign import FOLDER, campaign
from tests.fuzz.report import report
from tests.fuzz.targets import TARGETS
from tests.fuzz.worker import Tally


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[*TARGETS], default=[*TARGETS], help="which targets")
    parser.add_argument("--seconds", type=float, default=120.0, help="for all targets together")
    parser.add_argument("--seed", type=int, help="of the inputs; another one every time, and printed, if left out")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--report", type=Path, help="a Markdown file for what was found")
    parser.add_argument("--replay", type=Path, help="try one kept input again, in this process")
    arguments = parser.parse_args()
    if arguments.replay:
        return _replayed(arguments.replay)
    seed = time.time_ns() % 100_000 if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    found: dict[str, tuple[Tally, float]] = {}
    for name in arguments.only:
        began = time.monotonic()
        tally = campaign(name, seed, seconds=arguments.seconds / len(arguments.only), jobs=arguments.jobs)
        found[name] = (tally, time.monotonic() - began)
        _tell(name, seed, tally)
    if arguments.report:
        command = f"make fuzz SECONDS={arguments.seconds:.0f} SEED={seed}"
        report(arguments.report, seed, command, found)
    return 1 if any(tally.faults for tally, _ in found.values()) else 0


def _tell(name: str, seed: int, tally: Tally) -> None:
    target, outcomes = TARGETS[name], sorted(tally.outcomes.items(), key=lambda each: -each[1])
    print(f"{name}: {tally.inputs * target.each:,} {target.unit}, {sum(tally.faults.values())} faults")
    print(f"  slowest {tally.slowest}, peak {tally.peak_mb:.0f} MB, {outcomes}")
    for fault, times in tally.faults.items():
        kept = FOLDER / f"{name}-{seed}-{tally.first[fault]}.bin"
        print(f"  {fault}, {times} times: python -m tests.fuzz --replay {kept}")
    sys.stdout.flush()


def _replayed(path: Path) -> int:
    target = TARGETS[path.name.partition("-")[0]]
    verdict = target.run(target.unpack(path.read_bytes()))
    print(verdict)
    return 1 if verdict.fault else 0


if __name__ == "__main__":
    sys.exit(main())
