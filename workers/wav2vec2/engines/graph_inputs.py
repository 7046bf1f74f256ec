"""What a graph reads besides the signals: which frames are valid, and the first norm of each row. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.events import FloatArray
from workers.wav2vec2.checkpoint import Checkpoint
from workers.wav2vec2.config import EncoderConfig
from workers.wav2vec2.engines.moments import group_norm


@dataclass(frozen=True, slots=True)
class FirstNorm:
    """The first layer of a group-norm checkpoint. kernel: (channels, 1, taps); bias, gain, shift: (channels,)."""

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


def graph_inputs(
    config: EncoderConfig, first: FirstNorm | None, rows: FloatArray, lengths: NDArray[np.int32]
) -> Mapping[str, NDArray[Any]]:
    """The arrays of `graph.Inputs` by name. rows: (n, samples), normalised; lengths: (n,) valid samples."""
    frames = np.array([config.frames(int(length)) for length in lengths])
    valid = (np.arange(config.frames(rows.shape[1])) < frames[:, None]).astype(np.float32)
    if first is None:
        return {"signals": rows, "valid": valid}
    norms = [
        group_norm(row[:length], first.kernel, first.stride, first.gain, first.shift)
        for row, length in zip(rows, lengths, strict=True)
    ]
    scales, shifts = (np.stack(each) for each in zip(*norms, strict=True))
    return {"signals": rows, "valid": valid, "scale": scales, "shift": shifts}


def with_means(outputs: list[NDArray[np.float32]], valid: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The outputs of a graph, its totals over valid frames as means."""
    return [outputs[0] / np.maximum(valid.sum(axis=1, keepdims=True), 1.0), *outputs[1:]]
