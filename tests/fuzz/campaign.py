"""Processes that fuzz, side by side: one that dies or hangs is a fault, and another takes its place."""

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from deploy.kafka.server import dies_with_parent
from tests.fuzz.targets import TARGETS, made
from tests.fuzz.worker import Tally, tally_of

FOLDER = Path(__file__).parents[2] / ".cache" / "fuzz"
"""Where inputs with a fault are kept."""
STUCK_S = 150.0
"""Seconds on one input after which a process is given up: more than any may take."""
ENDLESS = 10**9


@dataclass(slots=True)
class _Child:
    """One process of a campaign: its folder, the first of its inputs, and when it last went on to another."""

    folder: Path
    process: "subprocess.Popen[bytes]"
    current: str = ""
    moved_at: float = field(default_factory=time.monotonic)

    def is_stuck(self) -> bool:
        """Whether it has been at one input for too long."""
        current = self.number()
        if current != self.current:
            self.current, self.moved_at = current, time.monotonic()
        return time.monotonic() - self.moved_at > STUCK_S

    def number(self) -> str:
        """The input that it tries."""
        path = self.folder / "current"
        return path.read_text() if path.exists() else ""


def campaign(name: str, seed: int, *, seconds: float = ENDLESS, count: int = ENDLESS, jobs: int = 2) -> Tally:
    """Fuzz one target: for so long, or so many inputs, in so many processes."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    tally, until = Tally(), time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=FOLDER) as folder:
        children = [_started(Path(folder), name, seed, job, jobs, -(-count // jobs), until) for job in range(jobs)]
        while children:
            time.sleep(0.1)
            for child in list(children):
                stuck = child.is_stuck()
                if child.process.poll() is None and not stuck:
                    continue
                child.process.kill()
                code = child.process.wait()
                children.remove(child)
                tally.add(tally_of(child.folder))
                if (stuck or code) and (number := child.number()):
                    _bury(name, seed, int(number), "hangs" if stuck else f"ends its process: exit status {code}", tally)
                    left = -(-(count - int(number)) // jobs) - 1
                    if time.monotonic() < until and left > 0:
                        children.append(_started(Path(folder), name, seed, int(number) + jobs, jobs, left, until))
                elif code:
                    raise RuntimeError(f"{name}: the fuzzer did not start, exit status {code}")
    return tally


def _bury(name: str, seed: int, number: int, fault: str, tally: Tally) -> None:
    tally.faults[fault] = tally.faults.get(fault, 0) + 1
    tally.first.setdefault(fault, number)
    (FOLDER / f"{name}-{seed}-{number}.bin").write_bytes(TARGETS[name].pack(made(name, seed, number)))


def _started(folder: Path, name: str, seed: int, first: int, step: int, count: int, until: float) -> _Child:
    own = Path(tempfile.mkdtemp(dir=folder))
    left = max(until - time.monotonic(), 0.0)
    arguments = [str(own), name, str(seed), str(first), str(step), str(count), str(left)]
    command = [*dies_with_parent(), sys.executable, "-m", "tests.fuzz.worker", *arguments]
    return _Child(own, subprocess.Popen(command))
