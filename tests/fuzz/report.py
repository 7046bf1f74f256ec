"""What `make fuzz` found, as a file that says where and how."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.benchmarks.machine import provenance
from tests.fuzz.targets import TARGETS
from tests.fuzz.worker import Tally

HEAD = """# Fuzzing

`make fuzz SECONDS=… SEED=…` tries inputs of a seed, always the same ones in the same order, in processes that may die.
*records*: of every topic, among good memos, through decoding, isolation, agents, state and delivery in one process.
*state*: values in the store under the keys of users whose memos then come. *writers*: schemas as a registry may
have them, and records that name them. *recordings*: encodings of one sound with
changes to their chunks, boxes, pages and bytes, through the decoder. A fault is: an end of the process, a hang, a good
memo with another outcome than alone, two dead letters of one record, a record that takes a CPU second, a recording that
takes more than 60 CPU seconds and twice its length. *defects*: records that the program fails on and isolates; each is
one dead letter. *slowest*: CPU seconds of one input (a batch of records, one recording) beside the length of its sound.
"""
COLUMNS = ("target", "seed", "inputs", "seconds", "faults", "defects", "slowest", "peak memory (MB)", "outcomes")
MOST_OUTCOMES = 8


def report(path: Path, seed: int, command: str, found: Mapping[str, tuple[Tally, float]]) -> None:
    """Add what was found, by target with the seconds that it took, below what stands there."""
    text = path.read_text() if path.exists() else HEAD
    rows = (COLUMNS, ["---"] * len(COLUMNS), *(_values(name, seed, *of) for name, of in found.items()))
    lines = ["", provenance(command), "", *map(_row, rows)]
    for name, (tally, _) in found.items():
        lines += [
            f"\n{name}: {fault}, {times} times, first input {tally.first[fault]}"
            for fault, times in tally.faults.items()
        ]
    path.write_text(text.rstrip() + "\n" + "\n".join(lines) + "\n")


def _values(name: str, seed: int, tally: Tally, seconds: float) -> Iterable[object]:
    defects = sum(times for outcome, times in tally.outcomes.items() if "defect:" in outcome)
    cpu_s, length_s, _ = tally.slowest
    slowest = f"{cpu_s:.2f} s" + (f" of {length_s:.1f} s" if length_s else "")
    most = sorted(tally.outcomes.items(), key=lambda each: -each[1])[:MOST_OUTCOMES]
    outcomes = ", ".join(f"{times:,} {outcome}" for outcome, times in most)
    faults, peak = sum(tally.faults.values()), f"{tally.peak_mb:.0f}"
    inputs = f"{tally.inputs * TARGETS[name].each:,} {TARGETS[name].unit}"
    return name, seed, inputs, f"{seconds:.0f}", faults, defects, slowest, peak, outcomes


def _row(values: Iterable[object]) -> str:
    return " | ".join(map(str, values))
