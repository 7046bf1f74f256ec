"""`python -m tests.faults.shutdown`: end processes in every way, and end with 1 when one stayed or gave another reason.

`make shutdown` does so two hundred times and keeps the times in tests/benchmarks/results/shutdown.md.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from tests.faults.shutdown.report import report, summary
from tests.faults.shutdown.stand import Stand
from tests.faults.shutdown.strikes import STRIKES, End, strike


def ended(times: int, seed: int, only: str = "") -> list[End]:
    """Strike in turns until so many processes were ended. only: strikes whose name has this in it."""
    rng, ends = Random(seed), list[End]()
    rows = [row for row in STRIKES if only in row.name]
    with tempfile.TemporaryDirectory(prefix="undertone-shutdown-") as folder, Stand(Path(folder)) as stand:
        while len(ends) < times:
            for row in rows:
                found = strike(stand, row, rng)
                ends += found
                print(*(f"{each.strike}: {each.role} {each.seconds:.2f} s, {each.code}" for each in found), sep="\n")
                for each in found:
                    if not each.good:
                        log = max(Path(folder).glob(f"{each.role}-*.log"), key=lambda path: path.stat().st_mtime)
                        print(f"FAULT {each}\n{log.read_text()[-4000:]}")
                sys.stdout.flush()
    return ends


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200, help="how many processes to end")
    parser.add_argument("--seed", type=int, help="of the moments; another one every time, and printed, if left out")
    parser.add_argument("--only", default="", help="only strikes whose name has this in it")
    parser.add_argument("--report", type=Path, help="a Markdown file for the times")
    arguments = parser.parse_args()
    seed = time.time_ns() % 100_000 if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    ends = ended(arguments.times, seed, arguments.only)
    print(summary(ends))
    if arguments.report:
        only = f' --only "{arguments.only}"' * bool(arguments.only)
        report(arguments.report, f"python -m tests.faults.shutdown --times {arguments.times} --seed {seed}{only}", ends)
    return 0 if all(each.good for each in ends) else 1


if __name__ == "__main__":
    sys.exit(main())
