"""Timestamps that no clock can have given."""

import pytest

from workers.service.record_time import arrived_s

NOW_S = 1_790_000_000.0


@pytest.mark.parametrize(
    ("timestamp_s", "arrived"),
    [
        (NOW_S - 5, NOW_S - 5),
        (NOW_S + 60, NOW_S),
        (-1e-3, NOW_S),
        (-1e15, NOW_S),
        (4e10, NOW_S),
        (0, NOW_S),
        (5e8, NOW_S),
    ],
)
def test_an_impossible_timestamp_counts_as_now(timestamp_s: float, arrived: float) -> None:
    assert arrived_s(round(timestamp_s * 1000), NOW_S) == arrived
