"""The way of a memo on one machine, with real Kafka and Redis: `python -m tests.benchmarks.pipeline [--only agents]`.

Every rate is told of wall clock and of the process's own CPU, from a tenth of the way to its end; the second compares
where something else keeps the cores busy. A section that is not run keeps what it said when it last was.
"""

import argparse
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks import pipeline_agents, pipeline_load, pipeline_way
from tests.benchmarks.machine import provenance

RESULTS = Path(__file__).parent / "results" / "pipeline.md"

SECTIONS: dict[str, tuple[str, Callable[[int], Iterator[str]], int]] = {
    "overhead": ("What streaming costs", pipeline_way.beside_loops, 120),
    "agents": ("Agents alone, one process", pipeline_agents.beside_bare, 10_000),
    "memory": ("Memory of the agents", pipeline_agents.flat, 100_000),
    "latency": ("From upload to alert", pipeline_load.latencies, 2_000),
    "scaling": ("More processes", pipeline_load.scaling, 200),
    "burst": ("A burst", pipeline_load.burst, 2_000),
}
"""Title, what measures it, and how many memos."""


def measured(name: str, memos: int | None) -> str:
    """A section as Markdown, with where and how it was measured."""
    title, measure, usual = SECTIONS[name]
    count, load = memos or usual, os.getloadavg()[0]
    lines = [*measure(count)]
    command = f"python -m tests.benchmarks.pipeline --only {name} --memos {count}"
    where = f"{provenance(command)}; load before {load:.1f}, after {os.getloadavg()[0]:.1f}"
    return "\n".join([f"## {title}", "", where, "", *lines])


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[*SECTIONS], action="append", help="sections to measure; all, if left out")
    parser.add_argument("--memos", type=int, help="how many, instead of the section's own number")
    arguments = parser.parse_args()
    for name in arguments.only or SECTIONS:
        section = measured(name, arguments.memos)
        told = RESULTS.read_text() if RESULTS.exists() else ""
        kept = {part.splitlines()[0]: part for part in re.split(r"^## ", told, flags=re.MULTILINE)[1:]}
        kept[SECTIONS[name][0]] = section.removeprefix("## ")
        parts = [kept[title] for title, _, _ in SECTIONS.values() if title in kept]
        RESULTS.write_text("# The pipeline\n\n" + "\n\n".join(f"## {part.strip()}" for part in parts) + "\n")
        print(section, flush=True)


if __name__ == "__main__":
    main()
