"""What can be fuzzed: how an input is made of chance, what is wrong with what it leads to, and how it is kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.fuzz import recordings, records, writers

SHRINK_S = 20.0
"""Seconds for making an input smaller."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one input led to. fault: empty if there is none; outcomes: what else was found, counted; cpu_s: what it
    took, where that was measured; length_s: of its sound.
    """

    fault: str
    outcomes: Mapping[str, int] = field(default_factory=dict)
    cpu_s: float = 0.0
    length_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """One row. unit: what is counted, and each: how many of them an input holds; make: an input; run: it; smaller: the
    same fault with less; pack, unpack: the input as a file.
    """

    unit: str
    each: int
    make: Callable[[Random], Any]
    run: Callable[[Any], Verdict]
    smaller: Callable[[Any, str], Any]
    pack: Callable[[Any], bytes]
    unpack: Callable[[bytes], Any]


def _batch(batch: records.Batch) -> Verdict:
    found = records.outcome(batch)
    return Verdict(found.fault, found.reasons, found.cpu_s)


def _recording(data: bytes) -> Verdict:
    found = recordings.heard(data)
    return Verdict(found.fault, {found.reason: 1}, found.cpu_s, found.length_s)


def _writer(given: writers.Written) -> Verdict:
    return Verdict(*writers.fault_of(given))


def _unchanged(given: writers.Written, _: str) -> writers.Written:
    return given


def _same(data: bytes) -> bytes:
    return data


def _smaller(batch: records.Batch, fault: str) -> records.Batch:
    return records.smallest(batch, fault, SHRINK_S)


TARGETS = {
    "records": Target(
        "records", records.TOGETHER, records.fuzzed_records, _batch, _smaller, records.packed, records.unpacked
    ),
    "state": Target("values", records.OWNERS, records.fuzzed_state, _batch, _smaller, records.packed, records.unpacked),
    "writers": Target("schemas", 1, writers.fuzzed_writer, _writer, _unchanged, writers.packed, writers.unpacked),
    "recordings": Target(
        "recordings",
        1,
        recordings.recording,
        _recording,
        lambda data, fault: recordings.smaller(data, fault, SHRINK_S),
        _same,
        _same,
    ),
}
"""All of them, by name."""


def made(name: str, seed: int, number: int) -> Any:
    """The n-th input of a seed, always the same."""
    return TARGETS[name].make(Random(f"{name} {seed} {number}"))
