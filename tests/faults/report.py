"""What `make chaos` found, as a file that says where and how."""

from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.machine import provenance
from tests.faults.play import Outcome

HEAD = """# Fault injection

Real Apache Kafka, real Redis, roles as processes of their own; the judge reads with kafka-python and counts.
`make chaos SEED=…` repeats a run. Every row is one run; what is not 0 in the last five columns is a fault.
*lost*: accepted and without an end; *several*: with two ends; *contradicting*: two contents under one id; *wrong*: not
as on the quiet day. *repeated* records are unchanged duplicates, which at-least-once delivery allows. When Redis comes
back empty, recomputed scores differ from the first ones and nothing can know it: there *contradicting* counts them.
"""
COLUMNS = ("scenario", "seed", "memos", "scored", "indeterminate", "dead", "alerts", "repeated", "faults struck",
           "slowest end (s)", "ended by themselves", "minutes", "lost", "several", "uninvited", "contradicting",
           "wrong")  # fmt: skip


def report(path: Path, seed: int, outcomes: Mapping[str, Outcome]) -> None:
    """Add the outcomes to the file, below those that stand there."""
    text = path.read_text() if path.exists() else HEAD
    lines = [
        "",
        provenance(f"make chaos SEED={seed}"),
        "",
        " | ".join(COLUMNS),
        "|".join("---" for _ in COLUMNS),
        *(_row(name, seed, outcome) for name, outcome in outcomes.items()),
    ]
    path.write_text(text.rstrip() + "\n" + "\n".join(lines) + "\n")


def _row(name: str, seed: int, outcome: Outcome) -> str:
    verdict, chronicle = outcome.verdict, outcome.chronicle
    struck = {k: n for k, n in outcome.steps.items() if k not in {"Upload", "Settled", "Pause", "Mend", "Thaw"}}
    values = (
        name, seed, verdict.accepted, verdict.scored, verdict.indeterminate, verdict.dead, verdict.alerts,
        verdict.repeated, ", ".join(f"{count} {kind}" for kind, count in sorted(struck.items())),
        f"{max(chronicle.ends_s):.1f}", len(chronicle.ended_by_themselves), f"{outcome.seconds / 60:.1f}",
        *verdict.faults.values(),
    )  # fmt: skip
    return " | ".join(map(str, values))
