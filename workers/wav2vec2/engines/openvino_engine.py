"""The encoder on OpenVINO: one program for every length, and no TensorFlow."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ConfigurationError
from schemas.events import FloatArray
from workers.wav2vec2.batching import RATIO
from workers.wav2vec2.checkpoint import Checkpoint
from workers.wav2vec2.config import Activation
from workers.wav2vec2.engines.engine import EngineName, Plan, Program, Readout
from workers.wav2vec2.engines.graph import Graph, Inputs
from workers.wav2vec2.engines.graph_inputs import FirstNorm, graph_inputs, with_means
from workers.wav2vec2.engines.openvino_runtime import openvino, opset
from workers.wav2vec2.engines.operations import Node
from workers.wav2vec2.engines.progress import reporting_progress

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
"""OpenVINO's names."""


class OpenvinoOperations:
    """The graph's operations in OpenVINO's operation set."""

    def constant(self, values: NDArray[Any]) -> Node:
        """As in Operations."""
        return opset.constant(np.ascontiguousarray(values))

    def linear(self, x: Node, weight: FloatArray, bias: FloatArray) -> Node:
        """As in Operations."""
        return opset.add(opset.matmul(x, self.constant(weight), False, True), self.constant(bias))

    def convolution(self, x: Node, kernel: FloatArray, *, stride: int) -> Node:
        """As in Operations."""
        return opset.convolution(x, self.constant(kernel), [stride], [0], [0], [1])

    def grouped_convolution(self, x: Node, kernel: FloatArray, *, groups: int, pads: tuple[int, int]) -> Node:
        """As in Operations."""
        grouped = kernel.reshape(groups, -1, *kernel.shape[1:])
        return opset.group_convolution(x, self.constant(grouped), [1], [pads[0]], [pads[1]], [1])

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

    def _integers(self, *values: int) -> Node:
        return opset.constant(np.array(values, np.int64))


class OpenvinoEngine:
    """A checkpoint on OpenVINO's CPU device.

    threads: for all that it computes at once, 0 for every core. Raises ConfigurationError for a precision that OpenVINO
    has no products for.
    """

    name: EngineName = "openvino"

    def __init__(self, checkpoint: Checkpoint, precision: str, threads: int) -> None:
        if precision not in PRECISIONS:
            raise ConfigurationError(f"UNDERTONE_PRECISION={precision} is none of UNDERTONE_ENGINE=openvino")
        threads = threads or len(os.sched_getaffinity(0))
        self.plan = Plan(ratio=RATIO, batched=False, at_once=min(threads, 2))
        self.device = f"CPU, {threads} threads"
        self._checkpoint = checkpoint
        self._first = FirstNorm.of(checkpoint)
        self._options = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": self.plan.at_once,
        }

    def program(self, readout: Readout) -> Program:
        """As in Engine; one that takes rows of every length."""
        model = openvino.Core().compile_model(self._model(readout), "CPU", self._options)

        def run(rows: FloatArray, lengths: NDArray[np.int32]) -> list[NDArray[np.float32]]:
            inputs = graph_inputs(self._checkpoint.config, self._first, rows, lengths)
            request = model.create_infer_request()
            found = request.infer(dict(inputs))
            return with_means([np.array(found[index], np.float32) for index in range(len(found))], inputs["valid"])

        return reporting_progress(run)

    def _model(self, readout: Readout) -> openvino.Model:
        def parameter(name: str, size: int = -1) -> Node:
            made = opset.parameter([-1, size], openvino.Type.f32, name)
            made.output(0).set_names({name})
            return made

        names = ["signals", "valid"] + (["scale", "shift"] if self._first else [])
        channels = self._checkpoint.config.conv_dim[0]
        nodes = {name: parameter(name, channels if name in {"scale", "shift"} else -1) for name in names}
        outputs = Graph(OpenvinoOperations(), self._checkpoint).build(Inputs(**nodes), readout)
        return openvino.Model([opset.result(output) for output in outputs], [*nodes.values()], "wav2vec2")
