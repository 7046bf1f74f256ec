"""`python -m tests.faults.parade short|long`: the parade of poisons; ends with 1 when one of them did any harm.

`make parade` marches `long` and keeps what it found in tests/benchmarks/results/parade.md.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.parade.crowd import Crowd
from tests.faults.parade.march import Parade, parade
from tests.faults.parade.report import report

CROWDS = {
    "short": Crowd(users=8, changing=0, calm_days=8, changed_days=0),
    "long": Crowd(users=10, changing=3, calm_days=38, changed_days=12),
}


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=[*CROWDS])
    parser.add_argument("--seed", type=int, help="of the order; another one every time, and printed, if left out")
    parser.add_argument("--only", default="", help="march only with poisons whose name has this in it")
    parser.add_argument("--sealed", action="store_true", help="seal everything but the quiet day")
    parser.add_argument("--report", type=Path, help="a Markdown file for the outcome")
    arguments = parser.parse_args()
    seed = time.time_ns() % 100_000 if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="undertone-parade-") as folder:
        found = parade(CROWDS[arguments.name], seed, Path(folder), arguments.only, sealed=arguments.sealed)
    for fault in _faults(found):
        print(fault)
    print(json.dumps(counted(found)), flush=True)
    if arguments.report:
        report(arguments.report, f"{arguments.name}, sealed" if arguments.sealed else arguments.name, seed, found)
    return 0 if found.verdict.good else 1


def counted(found: Parade) -> dict[str, float]:
    """The outcome in numbers."""
    verdict = found.verdict
    return {
        "good": found.good,
        "poisons": len(found.rows),
        "alerts": len(found.quiet.written.alerts),
        "posted": len(found.quiet.posted),
        "exits": len(verdict.exits),
        "wrong": len(verdict.wrong),
        "undocumented": len(verdict.poisons),
        "uninvited": len(verdict.uninvited),
        "swollen": len(verdict.swollen),
        "stuck": len(verdict.stuck),
        "throughput": round(found.throughput, 3),
    }


def _faults(found: Parade) -> list[str]:
    verdict = found.verdict
    return [*verdict.exits, *verdict.wrong, *verdict.poisons, *verdict.uninvited, *verdict.swollen, *verdict.stuck]


if __name__ == "__main__":
    sys.exit(main())
