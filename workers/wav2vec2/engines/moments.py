"""The first normalisation of a group-norm checkpoint, from a signal's own statistics: exact at any padding. Pure.

Group norm with one group per channel scales each channel of the first convolution by its deviation over time. The
convolution is linear, so that mean and variance of every channel follow from those of the windows that it sees: ten
means and a matrix of ten by ten numbers, instead of a second pass over 512 channels. Padding takes no part in them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from schemas.events import FloatArray
from workers.wav2vec2.checkpoint import Checkpoint
from workers.wav2vec2.config import CONV_EPSILON


@dataclass(frozen=True, slots=True)
class FirstNorm:
    """The first layer of a group-norm checkpoint. kernel: (channels, 1, taps); gain, shift: (channels,)."""

    kernel: FloatArray
    stride: int
    gain: FloatArray
    shift: FloatArray

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "FirstNorm | None":
        """That of a checkpoint; None where every layer is normalised alike."""
        if checkpoint.config.feat_extract_norm == "layer":
            return None
        name = "feature_extractor.conv_layers.0"
        kernel, gain, shift = (
            np.array(checkpoint.weights[f"{name}.{part}"])
            for part in ("conv.weight", "layer_norm.weight", "layer_norm.bias")
        )
        # A bias before the norm moves every step alike: the norm takes it out again.
        return cls(kernel, checkpoint.config.conv_stride[0], gain, shift)

    def of_signals(self, signals: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Scale and shift of each signal, (n, channels) both. signals: without padding."""
        norms = [group_norm(signal, self.kernel, self.stride, self.gain, self.shift) for signal in signals]
        return np.stack([scale for scale, _ in norms]), np.stack([shift for _, shift in norms])


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
