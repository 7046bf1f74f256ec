"""Group windows into batches: few static shapes, bounded audio seconds, little padding.

Lengths are in samples. Every row of a batch carries a window, so its only overhead is the padding of each row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

RATIO = 1.15
"""Ratio of one bucket's length to the next shorter one's: padding is at most 15 %, half of that on average."""

ROWS_STEP = 4
"""Batches have 1, 4, 16 … rows: few shapes to compile, no empty rows."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows computed together. samples: length of every row; members: position of each row's window in the plan."""

    samples: int
    members: tuple[int, ...]


def buckets(longest: int, shortest: int, ratio: float = RATIO) -> tuple[int, ...]:
    """Row lengths, ascending, ending in `longest`: each `ratio` times the previous one, none below `shortest`.

    >>> buckets(2116, 1500)
    (1600, 1840, 2116)
    """
    lengths = [longest]
    while lengths[-1] / ratio >= shortest:
        lengths.append(round(lengths[-1] / ratio))
    return tuple(reversed(lengths))


def shapes(row_lengths: Sequence[int], bound: int) -> list[tuple[int, int]]:
    """Every (rows, samples) that `plan` may use, so that each can be compiled in advance."""
    return [(rows, samples) for samples in row_lengths for rows in _row_counts(samples, bound)]


def plan(lengths: Sequence[int], row_lengths: Sequence[int], bound: int) -> list[Batch]:
    """Batches that contain every window once, longest rows first, so that a lack of memory shows immediately.

    lengths: of the windows, none longer than the last of `row_lengths` (ValueError); row_lengths: ascending; bound:
    maximum samples in a batch, including padding; one row is always allowed.

    >>> plan([5, 9, 4, 10, 5, 3], row_lengths=(5, 10), bound=20)
    [Batch(samples=10, members=(3,)), Batch(samples=10, members=(1,)), Batch(samples=5, members=(0, 4, 2, 5))]
    """
    if lengths and max(lengths) > row_lengths[-1]:
        raise ValueError("a window is longer than the longest row")
    batches = []
    waiting = sorted(range(len(lengths)), key=lambda member: -lengths[member])
    for samples, shorter in zip(reversed(row_lengths), [*reversed(row_lengths[:-1]), 0], strict=True):
        fitting = [member for member in waiting if lengths[member] > shorter]
        waiting = waiting[len(fitting) :]
        for rows in reversed(_row_counts(samples, bound)):
            while len(fitting) >= rows:
                batches.append(Batch(samples, tuple(fitting[:rows])))
                fitting = fitting[rows:]
    return batches


def padding_share(batches: Sequence[Batch], lengths: Sequence[int]) -> float:
    """Share of all computed samples that is padding, 0 to 1; 0 for no batches."""
    computed = sum(batch.samples * len(batch.members) for batch in batches)
    carried = sum(lengths[member] for batch in batches for member in batch.members)
    return 1 - carried / computed if computed else 0.0


def _row_counts(samples: int, bound: int) -> list[int]:
    counts = [1]
    while counts[-1] * ROWS_STEP * samples <= bound:
        counts.append(counts[-1] * ROWS_STEP)
    return counts
