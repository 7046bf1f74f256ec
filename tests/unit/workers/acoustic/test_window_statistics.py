import numpy as np

from workers.acoustic.opensmile_configuration import HOP_S
from workers.acoustic.window_statistics import window_statistics
from workers.audio.memo import SAMPLING_RATE


def frames_of(seconds: float) -> np.ndarray:
    """As openSMILE gives them: the last 60 ms begin no frame. The first column tells the second it lies in."""
    count = round(seconds / HOP_S) - 6
    return np.column_stack([np.arange(count) // 100, np.arange(count) % 2]).astype(np.float32)


def test_each_window_has_its_own_mean_and_deviation() -> None:
    table = window_statistics(frames_of(32.0), HOP_S, 32 * SAMPLING_RATE, window_s=15.0)
    assert table.shape == (3, 4)
    np.testing.assert_allclose(table[:, 0], [7.0, 22.0, np.mean(frames_of(32.0)[3000:, 0])], atol=1e-5)
    np.testing.assert_allclose(table[:, 3], 0.5, atol=1e-3)


def test_a_short_tail_joins_its_neighbour_as_in_the_embedding() -> None:
    joined = window_statistics(frames_of(30.3), HOP_S, round(30.3 * SAMPLING_RATE), window_s=15.0)
    apart = window_statistics(frames_of(30.4), HOP_S, round(30.4 * SAMPLING_RATE), window_s=15.0)
    assert len(joined) == 2
    assert len(apart) == 3
    assert apart[2, 0] == 30


def test_a_memo_shorter_than_a_window_is_one_window() -> None:
    assert window_statistics(frames_of(0.1), HOP_S, SAMPLING_RATE // 10, window_s=15.0).shape == (1, 4)
