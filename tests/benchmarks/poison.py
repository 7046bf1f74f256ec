"""One memo in a hundred is rotten: what a worker still gets done of the others.

`python -m tests.benchmarks.poison [--memos N] [--rounds N]`: real Kafka and the worker's process, with decoding
and a stage that cost next to nothing, so that what poison costs stands out. Clean and rotten memos come by turns.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from deploy.kafka.server import KafkaServer
from schemas import topics
from schemas.events import MemoUploaded
from schemas.pipeline import ACOUSTIC
from tests.benchmarks.machine import provenance
from tests.benchmarks.pipeline_measure import Rate, Topics, measured
from tests.benchmarks.pipeline_records import CODEC, fill
from tests.faults.cohort import Cohort
from tests.faults.judge import Content
from tests.faults.reader import Reader

RESULTS = Path(__file__).parent / "results" / "poison.md"
USERS = 499
"""No divisor of POISON_EVERY: everybody has a rotten memo at times."""
POISON_EVERY = 100
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Way:
    """Memos that wait for a worker. poison: their uploads as they lie on the topic."""

    memos: Sequence[MemoUploaded]
    poison: frozenset[bytes]

    @classmethod
    def of(cls, memos: int, poison_every: int, folder: Path) -> "Way":
        """Write the audio of about so many memos."""
        folder.mkdir()
        cohort = Cohort(USERS, changing=0, calm_days=memos // USERS, changed_days=0, poison_every=poison_every)
        written = tuple(cohort.write(folder))
        return cls(written, frozenset(CODEC.encode(m) for n, m in enumerate(written) if cohort.broken(n)))


def worked_off(way: Way, environment: Mapping[str, str]) -> Rate:
    """Let one worker take all memos of a fresh broker, and hold its dead letters against the poison."""
    with KafkaServer() as kafka:
        inside = {**environment, "KAFKA_BOOTSTRAP": kafka.bootstrap}
        subprocess.run([sys.executable, "-m", "streams.cli", "topics", "create"], env=inside, check=True)
        fill(kafka.bootstrap, topics.UPLOADED.name, way.memos)
        beside = Topics(kafka.bootstrap)
        rate = measured(
            ["-m", "tests.faults.cheap_worker", "acoustic"],
            inside,
            lambda: beside.committed(topics.UPLOADED.name, ACOUSTIC.group),
            len(way.memos),
        )
        letters = _dead(kafka.bootstrap, len(way.poison))
    values = {letter["value"] for letter in letters}
    assert len(letters) == len(way.poison), f"{len(letters)} dead letters of {len(way.poison)} rotten memos"
    assert values == way.poison, "a dead letter has not the bytes that were uploaded"
    return rate


def rates(memos: int, rounds: int) -> Iterator[tuple[Rate, Rate, int]]:
    """Clean and with poison, round by round, and how many memos were rotten. Rates are of good memos."""
    with tempfile.TemporaryDirectory(prefix="undertone-poison-") as name:
        folder = Path(name)
        environment = {**os.environ, "UNDERTONE_AUDIO_PREFIXES": folder.as_uri()}
        clean, rotten = Way.of(memos, 0, folder / "clean"), Way.of(memos, POISON_EVERY, folder / "rotten")
        good = 1 - len(rotten.poison) / len(rotten.memos)
        for number in range(rounds):
            turns = (clean, rotten) if number % 2 == 0 else (rotten, clean)
            rate = {id(way): worked_off(way, environment) for way in turns}
            one, other = rate[id(clean)], rate[id(rotten)]
            yield one, Rate(other.wall * good, other.cpu * good, other.memory), len(rotten.poison)


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--memos", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    found = list(rates(arguments.memos, arguments.rounds))
    lines = [
        "# One memo in a hundred is rotten",
        "",
        provenance(f"python -m tests.benchmarks.poison --memos {arguments.memos} --rounds {arguments.rounds}")
        + f"; load before {load:.1f}, after {os.getloadavg()[0]:.1f}",
        "",
        f"One worker on real Kafka, {arguments.memos // USERS * USERS} memos, {found[0][2]} of them rotten: each led",
        "to one dead letter with the bytes that were uploaded. Rates are of good memos, from a tenth of the way on.",
        "",
        "round | clean, memos/s | with poison | ratio | clean, memos/s of CPU | with poison | ratio",
        "---|---|---|---|---|---|---",
    ]
    for number, (clean, rotten, _) in enumerate(found, 1):
        parts = [f"{c:,.0f} | {r:,.0f} | {r / c:.3f}" for c, r in ((clean.wall, rotten.wall), (clean.cpu, rotten.cpu))]
        lines.append(" | ".join([str(number), *parts]))
    middle = [median(r.wall / c.wall for c, r, _ in found), median(r.cpu / c.cpu for c, r, _ in found)]
    lines += ["", f"Median ratio: {middle[0]:.3f} of wall clock, {middle[1]:.3f} of CPU."]
    RESULTS.write_text("\n".join(lines) + "\n")
    print(RESULTS.read_text())


def _dead(bootstrap: str, wanted: int) -> list[Content]:
    """All dead letters, once there are so many."""
    reader, deadline = Reader(bootstrap), time.monotonic() + PATIENCE_S
    try:
        while len(reader.read().dead) < wanted and time.monotonic() < deadline:
            pass
        return reader.read().dead
    finally:
        reader.close()


if __name__ == "__main__":
    main()
