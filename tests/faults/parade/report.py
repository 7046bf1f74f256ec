"""What `make parade` found, as a file that says where and how."""

from collections.abc import Iterable
from pathlib import Path

from tests.benchmarks.machine import provenance
from tests.faults.parade.march import Parade

HEAD = """# Poison parade

Good memos of a few users, and among them every poison of tests/faults/poisons once: on real Apache Kafka and real
Redis, roles as processes of their own, decoding as in production, features that cost nothing. The same good memos on a
day without poisons are the measure. *exits*: roles that ended by themselves; *wrong*: good scores and alerts that
differ from the quiet day's in anything but the time, scores that neither day has, alerts that were not posted;
*undocumented*: poisons with another outcome than the one that is documented for them, mostly one dead letter;
*uninvited*: results that nobody asked for; *swollen*: memory past the limits of deploy/k8s, metrics past 5,000 series,
operators' commands that fail; *stuck*: partitions that a group did not get past; *peak memory*: of each role with its
children, each at its own time; *throughput*: good memos a second, as a share of the quiet day's, where other load of
the machine differs as well. `make parade SEED=…` repeats a run.
"""
COLUMNS = (
    "parade",
    "seed",
    "good memos",
    "poisons",
    "alerts",
    "exits",
    "wrong",
    "undocumented",
    "uninvited",
    "swollen",
    "stuck",
    "peak memory (MB)",
    "throughput",
)


def report(path: Path, name: str, seed: int, found: Parade) -> None:
    """Add the outcome to the file, below those that stand there."""
    text = path.read_text() if path.exists() else HEAD
    verdict = found.verdict
    peaks = ", ".join(f"{role} {mb:.0f}" for role, mb in found.day.footprint.peak_mb.items())
    faults = (verdict.exits, verdict.wrong, verdict.poisons, verdict.uninvited, verdict.swollen, verdict.stuck)
    values = (
        name, seed, found.good, len(found.rows), len(found.quiet.written.alerts), *map(len, faults), peaks,
        f"{found.throughput:.3f}",
    )  # fmt: skip
    rows = (COLUMNS, ["---"] * len(COLUMNS), values)
    lines = ["", provenance(f"make parade SEED={seed}"), "", *map(_row, rows)]
    path.write_text(text.rstrip() + "\n" + "\n".join(lines) + "\n")


def _row(values: Iterable[object]) -> str:
    return " | ".join(map(str, values))
