"""What `make shutdown` found, as a file that says where and how."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from tests.benchmarks.machine import provenance
from tests.faults.shutdown.stand import DEADLINE_S
from tests.faults.shutdown.strikes import GRACE_S, NOTICED_S, End

HEAD = f"""# Ends of processes

A worker, the agents and a bridge as processes, on real Apache Kafka and real Redis, with records under way, are ended
at moments by chance. UNDERTONE_STOP_DEADLINE_S is {DEADLINE_S:g}: after an order each must be gone within
{DEADLINE_S + GRACE_S:g} s, after the cause of a fatal error within {DEADLINE_S + GRACE_S + NOTICED_S:g} s, of which
{NOTICED_S:g} s are for noticing it, and with an exit code of its reason. *in time*: how many were gone, with whichever
code; *right code*: how many of these ended with a code of their reason; *exit codes*: each, with how often.
"""
COLUMNS = ("strike", "role", "times", "in time", "right code", "median (s)", "longest (s)", "exit codes")


def report(path: Path, command: str, ends: Sequence[End]) -> None:
    """Add the ends to the file, below those that stand there."""
    text = path.read_text() if path.exists() else HEAD
    kinds = dict.fromkeys((end.strike, end.role) for end in ends)
    rows = [_values([end for end in ends if (end.strike, end.role) == kind]) for kind in kinds]
    lines = ["", provenance(command), "", *map(_row, (COLUMNS, ["---"] * len(COLUMNS), *rows))]
    lines += ["", f"{summary(ends)}."]
    path.write_text(text.rstrip() + "\n" + "\n".join(lines) + "\n")


def summary(ends: Sequence[End]) -> str:
    """How many were gone in time, and how many of them with a code of their reason."""
    in_time, good = sum(end.in_time for end in ends), sum(end.good for end in ends)
    return f"{in_time} of {len(ends)} processes were gone in time, {good} with an exit code of their reason"


def _values(ends: Sequence[End]) -> Iterable[object]:
    seconds = [end.seconds for end in ends]
    counted = Counter("none" if end.code is None else str(end.code) for end in ends)
    codes = ", ".join(f"{code} ({times})" for code, times in sorted(counted.items()))
    in_time, good = sum(end.in_time for end in ends), sum(end.good for end in ends)
    longest = f"{max(seconds):.2f}"
    return ends[0].strike, ends[0].role, len(ends), in_time, good, f"{median(seconds):.2f}", longest, codes


def _row(values: Iterable[object]) -> str:
    return " | ".join(map(str, values))
