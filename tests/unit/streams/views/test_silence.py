"""Where nothing was judged, and how a line ends there."""

import numpy as np
import pytest

from streams.views.silence import LONGEST_DAYS, SHORTEST_DAYS, broken, silences


def test_a_user_who_speaks_every_day_is_silent_after_three_days() -> None:
    days = [0.0, 1, 2, 3, 6.5, 7.5]
    assert silences(days, 0, 7.5) == [(3, 6.5)]
    assert silences([0.0, 1, 2, 3, 3 + SHORTEST_DAYS], 0, 6) == []


def test_a_user_who_speaks_once_a_week_is_silent_later_and_never_after_more_than_two_weeks() -> None:
    weeks = [0.0, 7, 14, 21]
    assert silences(weeks, 0, 21) == []
    assert silences(weeks, 0, 21 + LONGEST_DAYS + 1) == [(21, 36)]
    assert silences([0.0, 60.0, 120.0], 0, 120) == [(0, 60), (60, 120)]


def test_silence_before_the_first_judged_memo_and_after_the_last_counts() -> None:
    assert silences([20.0], 0, 54) == [(0, 20), (20, 54)]
    assert silences([], 0, 54) == [(0, 54)]


@pytest.mark.parametrize("silent", [[(2.0, 9.0)], [(0.0, 1.0), (2.0, 9.0), (10.0, 20.0)]])
def test_a_line_has_no_value_within_silence(silent: list[tuple[float, float]]) -> None:
    times, values = broken(np.array([1.0, 2, 9, 10]), np.array([0.1, 0.2, 0.3, 0.4]), silent)
    assert np.isfinite(values).sum() == 4
    assert (np.diff(times) > 0).all()
    for start, end in silent:
        assert np.isnan(values[(times > start) & (times < end)]).all()
        assert ((times > start) & (times < end)).sum() == 1
