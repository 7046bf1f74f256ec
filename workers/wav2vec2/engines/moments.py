"""The first normalisation of a group-norm checkpoint, from a signal's own statistics: exact at any padding. Pure.

Group norm with one group per channel scales each channel of the first convolution by its deviation over time. The
convolution is linear, so that mean and variance of every channel follow from those of the windows that it sees: ten
means and a matrix of ten by ten numbers, instead of a second pass over 512 channels. Padding takes no part in them.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from schemas.events import FloatArray
from workers.wav2vec2.config import CONV_EPSILON


def group_norm(
    signal: FloatArray, kernel: FloatArray, stride: int, gain: FloatArray, shift: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Scale and shift of each channel that turn the first convolution's output, without its bias, into its group norm.

    signal: (samples,), all valid; kernel: (channels, 1, taps); gain, shift: (channels,) of the norm. Both returned are
    (channels,) float32; gain and shift as they are for a signal shorter than the kernel.

    >>> scale, offset = group_norm(np.array([1, 3], np.float32), np.ones((1, 1, 1)), 1, np.ones(1), np.zeros(1))
    >>> scale.round(3).tolist(), offset.round(3).tolist()
    ([1.0], [-2.0])
    """
    taps = kernel.shape[2]
    if len(signal) < taps:
        return gain.astype(np.float32), shift.astype(np.float32)
    seen: NDArray[np.float64] = sliding_window_view(signal.astype(np.float64), taps)[::stride]
    centre = seen.mean(axis=0)
    away = np.ascontiguousarray((seen - centre).T)
    # Not by BLAS, whose threads spin while the encoder computes.
    spread = np.einsum("tn,sn->ts", away, away) / len(seen)
    weights = kernel[:, 0].astype(np.float64)
    variance = np.einsum("ct,ts,cs->c", weights, spread, weights)
    scale = gain / np.sqrt(variance + CONV_EPSILON)
    return scale.astype(np.float32), (shift - scale * (weights @ centre)).astype(np.float32)
