"""Products with weights in int8, where a processor has VNNI or AMX.

All but the first two convolutions is rounded: weights by output channel, their inputs by tensor, asymmetrically: GELU
gives nothing below -0.17, so half of a symmetric range would stay empty. The ranges of the inputs are those of a
synthetic clip in float32, widened, so every start finds the same. They are constants of the graph: padding and
neighbours in a batch change no frame. OpenVINO turns what these operations describe into integer products (its
low-precision transformations).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.events import FloatArray
from workers.wav2vec2.engines.openvino.operations import OpenvinoOperations
from workers.wav2vec2.engines.openvino.runtime import opset
from workers.wav2vec2.engines.operations import Node

HEADROOM = 1.25
"""How much wider a range is than in the clip. In 40 clips of real speech the shipped encoder's largest values were 1.0
to 1.5 times those of the clip, in the median 1.15: a wider range has coarser steps for all, and beyond it values
saturate."""
STEPS = 255
"""Of 8 bits."""
EXACT_CONVOLUTIONS = 2
"""The first ones, in float32: of the signal itself, whose range is any, and of what all later layers carry on.
Rounding the second as well is a third quicker, and moves logits of the demo's cohort by .051 instead of .015."""


class Range(NamedTuple):
    """The least and the largest value of a product's input."""

    least: float
    largest: float


class _Products(OpenvinoOperations):
    """Operations that treat products with weights in their own way, but for EXACT_CONVOLUTIONS."""

    def __init__(self) -> None:
        self._convolutions, self._exact = 0, False

    def convolution(self, x: Node, kernel: FloatArray, *, stride: int) -> Node:
        """As in Operations."""
        self._exact = self._convolutions < EXACT_CONVOLUTIONS
        self._convolutions += 1
        made = super().convolution(x, kernel, stride=stride)
        self._exact = False
        return made

    def _input(self, x: Node) -> Node:
        return x if self._exact else self._rounded_input(x)

    def _weight(self, values: FloatArray, channels: int = 1) -> Node:
        return self.constant(values) if self._exact else self._rounded_weight(values, channels)

    def _rounded_input(self, x: Node) -> Node:
        return x

    def _rounded_weight(self, values: FloatArray, channels: int) -> Node:
        return super()._weight(values, channels)


class Observing(_Products):
    """Operations in float32 that note what every product takes that `Int8` rounds."""

    def __init__(self) -> None:
        super().__init__()
        self._inputs: list[Node] = []
        self.ranges: list[Range] = []
        """Of every input so far, in their order; empty before the first run."""

    def observed(self) -> list[Node]:
        """Least and largest value of each input, one after the other."""
        axes = self._integers(0, 1, 2)
        return [reduce(x, axes, False) for x in self._inputs for reduce in (opset.reduce_min, opset.reduce_max)]

    def noted(self, outputs: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """As in OpenvinoOperations; widens `ranges`."""
        own = len(outputs) - 2 * len(self._inputs)
        least, largest = (map(float, outputs[own + bound :: 2]) for bound in (0, 1))
        found = [Range(*pair) for pair in zip(least, largest, strict=True)]
        known = self.ranges or found
        self.ranges = [
            Range(min(one.least, other.least), max(one.largest, other.largest))
            for one, other in zip(known, found, strict=True)
        ]
        return outputs[:own]

    def _rounded_input(self, x: Node) -> Node:
        self._inputs.append(x)
        return x


class Int8(_Products):
    """Operations whose products with weights are in int8. ranges: of their inputs, in the order of `Observing`."""

    def __init__(self, ranges: Sequence[Range]) -> None:
        super().__init__()
        self._ranges: Iterator[Range] = iter(ranges)

    def _rounded_input(self, x: Node) -> Node:
        step, zero = step_and_zero(next(self._ranges))
        return self._rounded(x, np.float32(-zero * step), np.float32((STEPS - zero) * step), STEPS + 1)

    def _rounded_weight(self, values: FloatArray, channels: int) -> Node:
        axes = tuple(range(channels, values.ndim))
        largest = np.maximum(np.abs(values).max(axis=axes, keepdims=True), np.finfo(np.float32).tiny)
        return self._rounded(self.constant(values), -largest, largest, STEPS)

    def _rounded(self, x: Node, least: np.float32 | FloatArray, largest: np.float32 | FloatArray, levels: int) -> Node:
        low, high = self.constant(np.asarray(least)), self.constant(np.asarray(largest))
        return opset.fake_quantize(x, low, high, low, high, levels)


def step_and_zero(found: Range) -> tuple[float, int]:
    """The step of 8 bits over a range that is widened, and the integer that stands for zero, 0 to 255.

    Zero is exact: padded frames stay zero.

    >>> step_and_zero(Range(-102.0, 102.0))
    (1.0, 128)
    >>> step_and_zero(Range(0.5, 204.0))
    (1.0, 0)
    """
    least, largest = HEADROOM * min(found.least, 0.0), HEADROOM * max(found.largest, 0.0)
    step = (largest - least) / STEPS or 1.0
    return step, round(-least / step)
