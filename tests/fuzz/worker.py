"""`python -m tests.fuzz.worker FOLDER TARGET SEED FIRST STEP COUNT SECONDS`: fuzz in a process that may die.

Every input is noted before it is tried, so that whoever waits for this process knows what killed it. What was found so
far lies in the folder at any time.
"""

import json
import logging
import resource
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.targets import TARGETS, Target, made

NOTE_EVERY_S = 1.0


@dataclass(slots=True)
class Tally:
    """What was found. inputs: tried; faults: how often each occurred, first: the number of its first input; outcomes:
    counted; slowest: CPU seconds, length of the sound, number; peak_mb: resident memory, of this process or a child.
    """

    inputs: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    slowest: tuple[float, float, int] = (0.0, 0.0, -1)
    peak_mb: float = 0.0

    def add(self, other: "Tally") -> None:
        """Take in what another process found."""
        self.inputs += other.inputs
        self.faults = dict(Counter(self.faults) + Counter(other.faults))
        self.first = {**other.first, **self.first}
        self.outcomes = dict(Counter(self.outcomes) + Counter(other.outcomes))
        self.slowest = max(self.slowest, other.slowest)
        self.peak_mb = max(self.peak_mb, other.peak_mb)


def tally_of(folder: Path) -> Tally:
    """What a worker of this folder has found so far."""
    path = folder / "tally.json"
    if not path.exists():
        return Tally()
    content: dict[str, Any] = json.loads(path.read_text())
    cpu_s, length_s, number = content.pop("slowest")
    return Tally(**content, slowest=(cpu_s, length_s, number))


def work(folder: Path, name: str, seed: int, numbers: range, until: float) -> None:
    """Try these inputs, until a moment of the monotonic clock."""
    target, tally, noted = TARGETS[name], Tally(), 0.0
    for number in numbers:
        if time.monotonic() > until:
            break
        (folder / "current").write_text(str(number))
        _try(target, name, seed, number, tally, folder)
        if time.monotonic() - noted > NOTE_EVERY_S:
            noted = time.monotonic()
            _note(folder, tally)
    _note(folder, tally)


def _try(target: Target, name: str, seed: int, number: int, tally: Tally, folder: Path) -> None:
    given = made(name, seed, number)
    verdict = target.run(given)
    tally.inputs += 1
    tally.outcomes = dict(Counter(tally.outcomes) + Counter(verdict.outcomes))
    tally.slowest = max(tally.slowest, (verdict.cpu_s, verdict.length_s, number))
    if verdict.fault and verdict.fault not in tally.faults:
        tally.first[verdict.fault] = number
        smaller = target.smaller(given, verdict.fault)
        (folder.parents[1] / f"{name}-{seed}-{number}.bin").write_bytes(target.pack(smaller))
    if verdict.fault:
        tally.faults[verdict.fault] = tally.faults.get(verdict.fault, 0) + 1


def _note(folder: Path, tally: Tally) -> None:
    used = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    tally.peak_mb = max(used) / 1024
    unfinished = folder / "tally.new"
    unfinished.write_text(json.dumps(asdict(tally)))
    unfinished.rename(folder / "tally.json")


def main() -> None:
    """The command."""
    folder, name, seed, first, step, count, seconds = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    numbers = range(int(first), int(first) + int(step) * int(count), int(step))
    work(Path(folder), name, int(seed), numbers, time.monotonic() + float(seconds))


if __name__ == "__main__":
    main()
