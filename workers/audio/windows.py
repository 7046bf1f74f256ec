"""How a memo is cut into analysis windows, the same for every modality."""


def window_bounds(samples: int, window: int, shortest_tail: int) -> list[tuple[int, int]]:
    """Start and end of each window, in samples: back to back, no overlap, covering all of the memo.

    samples: length of the memo; window: length of a window; shortest_tail: a last window shorter than this joins its
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
