"""The graph's operations in OpenVINO's operation set."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.events import FloatArray
from workers.wav2vec2.config import Activation
from workers.wav2vec2.engines.openvino.runtime import opset
from workers.wav2vec2.engines.operations import Node


class OpenvinoOperations:
    """The graph's operations in OpenVINO's operation set."""

    def constant(self, values: NDArray[Any]) -> Node:
        """As in Operations; without a copy, so that weights of a mapped file stay there."""
        return opset.constant(np.require(values, requirements=["C", "W"]), shared_memory=True)

    def linear(self, x: Node, weight: FloatArray, bias: FloatArray) -> Node:
        """As in Operations."""
        return opset.add(opset.matmul(self._input(x), self._weight(weight), False, True), self.constant(bias))

    def convolution(self, x: Node, kernel: FloatArray, *, stride: int) -> Node:
        """As in Operations."""
        return opset.convolution(self._input(x), self._weight(kernel), [stride], [0], [0], [1])

    def grouped_convolution(self, x: Node, kernel: FloatArray, *, groups: int) -> Node:
        """As in Operations."""
        grouped = kernel.reshape(groups, -1, *kernel.shape[1:])
        weight = self._weight(grouped, channels=2)
        return opset.group_convolution(self._input(x), weight, [1], [0], [0], [1])

    def affine(self, x: Node, scale: Node, shift: Node) -> Node:
        """As in Operations.

        Scale and shift pass through a convolution that changes nothing: OpenVINO adds them in the layout that most
        operands have, and only convolutions' outputs have that of x, which would else be rearranged twice.
        """
        ones = self.constant(np.ones((x.get_output_partial_shape(0)[1].get_length(), 1, 1, 1), np.float32))
        by_channel = (
            opset.group_convolution(self.reshape(each, (0, -1, 1)), ones, [1], [0], [0], [1]) for each in (scale, shift)
        )
        return opset.add(opset.multiply(x, next(by_channel)), next(by_channel))

    def layer_norm(self, x: Node, gain: FloatArray, shift: FloatArray, epsilon: float) -> Node:
        """As in Operations."""
        normal = opset.mvn(x, self._integers(-1), True, epsilon, "inside_sqrt")
        return opset.add(opset.multiply(normal, self.constant(gain)), self.constant(shift))

    def activation(self, x: Node, kind: Activation) -> Node:
        """As in Operations."""
        match kind:
            case "gelu":
                return opset.gelu(x, "erf")
            case "gelu_new":
                return opset.gelu(x, "tanh")
            case "relu":
                return opset.relu(x)
            case "silu" | "swish":
                return opset.swish(x)

    def softmax(self, x: Node) -> Node:
        """As in Operations."""
        return opset.softmax(x, -1)

    def product(self, one: Node, other: Node) -> Node:
        """As in Operations."""
        return opset.matmul(one, other, False, False)

    def add(self, one: Node, other: Node) -> Node:
        """As in Operations."""
        return opset.add(one, other)

    def multiply(self, one: Node, other: Node) -> Node:
        """As in Operations."""
        return opset.multiply(one, other)

    def transpose(self, x: Node, axes: tuple[int, ...]) -> Node:
        """As in Operations."""
        return opset.transpose(x, self._integers(*axes))

    def reshape(self, x: Node, shape: tuple[int, ...]) -> Node:
        """As in Operations."""
        return opset.reshape(x, self._integers(*shape), True)

    def total(self, x: Node, axis: int) -> Node:
        """As in Operations."""
        return opset.reduce_sum(x, self._integers(axis), False)

    def observed(self) -> list[Node]:
        """Outputs that a graph of these operations has besides its own, the last ones."""
        return []

    def noted(self, outputs: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """The graph's own outputs of one run, without those of `observed`."""
        return outputs

    def _input(self, x: Node) -> Node:
        """What a product with weights takes."""
        return x

    def _weight(self, values: FloatArray, channels: int = 1) -> Node:
        """Weights of a product. channels: how many axes, from the first, name the output's channels."""
        return self.constant(values)

    def _integers(self, *values: int) -> Node:
        return opset.constant(np.array(values, np.int64))
