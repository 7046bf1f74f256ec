"""Group norm by a signal's own statistics is group norm of the convolution's output."""

import numpy as np
import pytest

from tests.unit.workers.wav2vec2.checkpoints import noise
from workers.wav2vec2.config import CONV_EPSILON
from workers.wav2vec2.engines.moments import group_norm


@pytest.mark.parametrize("offset", [0.0, 100.0], ids=["centred", "far from zero"])
@pytest.mark.parametrize(("taps", "stride"), [(10, 5), (3, 1), (1, 1)])
def test_it_normalises_each_channel(taps: int, stride: int, offset: float) -> None:
    rng = np.random.default_rng(0)
    kernel, gain, shift = (rng.normal(size=size).astype(np.float32) for size in ((4, 1, taps), 4, 4))
    signal = noise(0.2) + np.float32(offset)
    seen = np.lib.stride_tricks.sliding_window_view(signal.astype(np.float64), taps)[::stride]
    output = seen @ kernel[:, 0].T
    expected = (output - output.mean(axis=0)) / np.sqrt(output.var(axis=0) + CONV_EPSILON) * gain + shift

    scale, moved = group_norm(signal, kernel, stride, gain, shift)

    np.testing.assert_allclose(output * scale + moved, expected, atol=1e-5 * (1 + offset))


def test_a_signal_shorter_than_the_kernel_has_no_statistics() -> None:
    gain, shift = np.full(2, 2, np.float32), np.full(2, 3, np.float32)
    scale, moved = group_norm(np.ones(2, np.float32), np.ones((2, 1, 3), np.float32), 1, gain, shift)
    assert (scale.tolist(), moved.tolist()) == ([2, 2], [3, 3])
