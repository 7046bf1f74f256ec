"""Runs the three parts of a graph: convolutions over pieces of a signal, attention over all of its frames.

A frame of the convolutions depends on a few hundred samples, one of the positional convolution on as many frames as
that has taps, so pieces of a signal give the frames of the whole. At base size the first convolution's output is 6.5 MB
for a second of audio: that of a piece stays near the processor, all of it would take 100 MB for each of three buffers.
And a runtime that makes code for each length makes most of it for the positional convolution (OpenVINO: 8 of 9 MB).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from schemas.events import FloatArray
from workers.wav2vec2.config import EncoderConfig
from workers.wav2vec2.engines.moments import FirstNorm

Part: TypeAlias = Callable[[Mapping[str, NDArray[np.float32]]], list[NDArray[np.float32]]]
"""A compiled part of a graph, thread-safe: from its inputs by name to its outputs."""

PIECE = 96
"""Frames of a piece, 1.9 s. At base size shorter pieces are slower (a quarter of a second by a tenth), and longer ones
not quicker."""
STEP = 12
"""A last piece is padded to a multiple of so many frames: a runtime that makes code for each length meets eight."""


@dataclass(frozen=True, slots=True)
class GraphParts:
    """The compiled methods of `graph.Graph`: inputs are called as the parameters there."""

    features: Part
    positions: Part
    attended: Part


class GraphProgram:
    """A program made of the parts of a graph."""

    def __init__(self, config: EncoderConfig, first: FirstNorm | None, parts: GraphParts) -> None:
        self._config, self._first, self._parts = config, first, parts

    def __call__(self, rows: FloatArray, lengths: NDArray[np.int32]) -> list[NDArray[np.float32]]:
        """As in `engine.Program`."""
        frames = np.array([self._config.frames(int(length)) for length in lengths])
        features = self._features(rows, lengths)
        valid = np.arange(features.shape[1]) < frames[:, None]
        features[~valid] = 0
        inputs = {"features": features, "positions": self._positions(features), "valid": valid.astype(np.float32)}
        totals, *outputs = self._parts.attended(inputs)
        return [totals / np.maximum(frames[:, None], 1).astype(np.float32), *outputs]

    def _features(self, rows: FloatArray, lengths: NDArray[np.int32]) -> NDArray[np.float32]:
        """(n, frames, width) of rows (n, samples), of which so many samples are valid."""
        config = self._config
        norm: dict[str, NDArray[np.float32]] = {}
        if self._first is not None:
            valid = [row[:length] for row, length in zip(rows, lengths, strict=True)]
            norm["scale"], norm["shift"] = self._first.of_signals(valid)
        found = np.empty((len(rows), config.frames(rows.shape[1]), config.hidden_size), np.float32)
        for start, stop, computed in pieces(found.shape[1], STEP):
            samples = (computed - 1) * config.hop + config.receptive_field
            signals = _padded(rows[:, start * config.hop :], samples)
            found[:, start:stop] = self._parts.features({"signals": signals, **norm})[0][:, : stop - start]
        return found

    def _positions(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is added to features (n, frames, width): as much."""
        taps, found = self._config.num_conv_pos_embeddings, np.empty_like(features)
        # With an even number of taps PyTorch pads both sides by half and drops the last frame.
        around = np.pad(features, ((0, 0), (taps // 2, 0), (0, 0)))
        for start, stop, computed in pieces(features.shape[1], PIECE):
            piece = _padded(around[:, start:], computed + taps - 1)
            found[:, start:stop] = self._parts.positions({"features": piece})[0][:, : stop - start]
        return found


def _padded(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The first values along the second axis, with zeros where there are fewer."""
    given = values[:, :size]
    found = np.zeros((len(values), size, *values.shape[2:]), np.float32)
    found[:, : given.shape[1]] = given
    return found


def pieces(frames: int, step: int) -> Iterator[tuple[int, int, int]]:
    """Where each piece begins and ends, and how many frames are computed for it: a multiple of the step.

    >>> list(pieces(220, 12))
    [(0, 96, 96), (96, 192, 96), (192, 220, 36)]
    """
    for start in range(0, frames, PIECE):
        stop = min(start + PIECE, frames)
        yield start, stop, -((start - stop) // step) * step
