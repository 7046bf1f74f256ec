"""Split a memo into analysis windows, the same for every modality."""


def window_bounds(samples: int, window: int, shortest_tail: int) -> list[tuple[int, int]]:
    """Start and end of each window in samples: contiguous, without overlap, covering the whole memo.

    samples: length of the memo; window: length of a window; shortest_tail: a shorter last window is merged into its
    neighbour.

    >>> window_bounds(100, window=40, shortest_tail=10)
    [(0, 40), (40, 80), (80, 100)]
    >>> window_bounds(85, window=40, shortest_tail=10)
    [(0, 40), (40, 85)]
    """
    starts = list(range(0, samples, window)) or [0]
    if len(starts) > 1 and samples - starts[-1] < shortest_tail:
        starts.pop()
    return list(zip(starts, [*starts[1:], samples], strict=True))
