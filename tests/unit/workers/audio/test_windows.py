"""Windows cover every sample once, whatever the length of the memo."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.audio.windows import window_bounds

lengths = st.integers(0, 10_000)


@given(lengths, st.integers(1, 5_000), st.data())
def test_windows_cover_the_memo_back_to_back(samples: int, window: int, data: st.DataObject) -> None:
    shortest = data.draw(st.integers(0, window))
    bounds = window_bounds(samples, window, shortest)
    assert bounds[0][0] == 0
    assert bounds[-1][1] == samples
    assert all(end == start for (_, end), (start, _) in pairwise(bounds))
    assert all(end - start == window for start, end in bounds[:-1])
    last = bounds[-1][1] - bounds[-1][0]
    assert last <= max(window, window + shortest - 1)
    assert last >= shortest or len(bounds) == 1


@pytest.mark.parametrize(
    ("samples", "bounds"),
    [
        (0, [(0, 0)]),
        (3, [(0, 3)]),
        (40, [(0, 40)]),
        (49, [(0, 49)]),
        (50, [(0, 40), (40, 50)]),
        (80, [(0, 40), (40, 80)]),
    ],
)
def test_a_tail_that_is_too_short_joins_its_neighbour(samples: int, bounds: list[tuple[int, int]]) -> None:
    assert window_bounds(samples, window=40, shortest_tail=10) == bounds
