"""What a difference between two clocks means."""

import pytest

from streams.doctor.clock import judged
from streams.doctor.finding import Status


@pytest.mark.parametrize(
    ("ahead_s", "status", "words"),
    [
        (0.4, Status.OK, "agrees with Redis"),
        (-1.9, Status.OK, "agrees with Redis"),
        (12.0, Status.WARNING, "12 s behind Redis"),
        (-86400.0, Status.FAILED, "86,400 s ahead of Redis"),
    ],
)
def test_a_difference_is_told_with_its_direction(ahead_s: float, status: Status, words: str) -> None:
    found = judged(ahead_s, "Redis")
    assert found.status is status
    assert words in found.text
