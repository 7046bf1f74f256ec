"""Stretches of time in which nothing was judged, so that a plot can show them instead of a line across them. Pure."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Span: TypeAlias = tuple[float, float]
"""From and to, in days."""

SHORTEST_DAYS = 3.0
"""A shorter stretch without a judged memo is no silence, however often a user usually speaks."""
USUAL = 3.0
"""Nor is one of less than this many times the user's usual distance between judged memos."""
LONGEST_DAYS = 14.0
"""A longer one is silence in any case: one of two memos a month apart has no usual distance."""


def silences(judged: Sequence[float], start: float, end: float) -> list[Span]:
    """The silent stretches between `start` and `end`. judged: times of judged memos, ascending; all in days."""
    usual = float(np.median(np.diff(judged))) if len(judged) > 2 else 1.0
    limit = min(max(SHORTEST_DAYS, USUAL * usual), LONGEST_DAYS)
    edges = [start, *judged, end]
    return [(before, after) for before, after in pairwise(edges) if after - before > limit]


def broken(times: Array, values: Array, silent: Sequence[Span]) -> tuple[Array, Array]:
    """A line that ends where silence begins: with NaN within each silent stretch. times: ascending, (n,); values: (n,).

    >>> times, values = broken(np.array([1.0, 9.0]), np.array([0.1, 0.2]), [(1.0, 9.0)])
    >>> [round(float(value), 1) for value in values]
    [0.1, nan, 0.2]
    """
    middles = [(before + after) / 2 for before, after in silent]
    places = np.searchsorted(times, middles)
    return np.insert(times, places, middles), np.insert(values, places, np.nan)
