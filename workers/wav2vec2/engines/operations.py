"""The operations that the encoder's graph is made of; each runtime has its own."""

from typing import Any, Protocol, TypeAlias

from numpy.typing import NDArray

from schemas.events import FloatArray
from workers.wav2vec2.config import Activation

Node: TypeAlias = Any
"""A value of the graph that is being built."""


class Operations(Protocol):
    """Each method adds an operation and returns its output. Shapes: n rows, t time steps."""

    def constant(self, values: NDArray[Any]) -> Node:
        """These very values."""

    def linear(self, x: Node, weight: FloatArray, bias: FloatArray) -> Node:
        """x: (n, t, inward); weight: (outward, inward)."""

    def convolution(self, x: Node, kernel: FloatArray, *, stride: int) -> Node:
        """x: (n, inward, t); kernel: (outward, inward, taps). Nothing is padded."""

    def grouped_convolution(self, x: Node, kernel: FloatArray, *, groups: int) -> Node:
        """x: (n, inward, t); kernel: (outward, inward / groups, taps). Nothing is padded."""

    def affine(self, x: Node, scale: Node, shift: Node) -> Node:
        """Scale and shift of every channel. x: (n, channels, t); scale, shift: (n, channels)."""

    def layer_norm(self, x: Node, gain: FloatArray, shift: FloatArray, epsilon: float) -> Node:
        """Over the last axis."""

    def activation(self, x: Node, kind: Activation) -> Node:
        """Element by element; `gelu` by the error function."""

    def softmax(self, x: Node) -> Node:
        """Over the last axis."""

    def product(self, one: Node, other: Node) -> Node:
        """Matrix product of the last two axes."""

    def add(self, one: Node, other: Node) -> Node:
        """Sum, with broadcasting."""

    def multiply(self, one: Node, other: Node) -> Node:
        """Product element by element, with broadcasting."""

    def transpose(self, x: Node, axes: tuple[int, ...]) -> Node:
        """The axes in this order."""

    def reshape(self, x: Node, shape: tuple[int, ...]) -> Node:
        """Another shape: 0 keeps the axis at its place, -1 takes the rest."""

    def total(self, x: Node, axis: int) -> Node:
        """Sum over an axis, which goes."""
