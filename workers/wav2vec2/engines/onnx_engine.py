"""The encoder on ONNX Runtime: one program for every length, and no TensorFlow."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from schemas.errors import ConfigurationError
from schemas.events import FloatArray
from workers.wav2vec2.checkpoint import Checkpoint
from workers.wav2vec2.config import Activation
from workers.wav2vec2.engines.engine import EngineName, Plan, Program, Readout
from workers.wav2vec2.engines.graph import Frames, Graph, Signals
from workers.wav2vec2.engines.graph_program import GraphParts, GraphProgram, Part
from workers.wav2vec2.engines.moments import FirstNorm
from workers.wav2vec2.engines.progress import reporting_progress

RATIO = 1.02
"""As in Plan: another length costs nothing."""
OPSET, IR_VERSION = 20, 9
"""Of ONNX: the first operation set with Gelu, and a format that ONNX Runtime 1.17 and later read."""


class OnnxOperations:
    """The graph's operations as ONNX nodes; a node is the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def constant(self, values: NDArray[Any]) -> str:
        """As in Operations."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def linear(self, x: str, weight: FloatArray, bias: FloatArray) -> str:
        """As in Operations."""
        return self.add(self.product(x, self.constant(weight.T)), self.constant(bias))

    def convolution(self, x: str, kernel: FloatArray, *, stride: int) -> str:
        """As in Operations."""
        return self._node("Conv", x, self.constant(kernel), strides=[stride])

    def grouped_convolution(self, x: str, kernel: FloatArray, *, groups: int) -> str:
        """As in Operations."""
        return self._node("Conv", x, self.constant(kernel), group=groups)

    def affine(self, x: str, scale: str, shift: str) -> str:
        """As in Operations."""
        return self.add(self.multiply(x, self.reshape(scale, (0, -1, 1))), self.reshape(shift, (0, -1, 1)))

    def layer_norm(self, x: str, gain: FloatArray, shift: FloatArray, epsilon: float) -> str:
        """As in Operations."""
        affine = self.constant(gain), self.constant(shift)
        return self._node("LayerNormalization", x, *affine, epsilon=epsilon, axis=-1)

    def activation(self, x: str, kind: Activation) -> str:
        """As in Operations."""
        match kind:
            case "gelu":
                return self._node("Gelu", x)
            case "gelu_new":
                return self._node("Gelu", x, approximate="tanh")
            case "relu":
                return self._node("Relu", x)
            case "silu" | "swish":
                return self.multiply(x, self._node("Sigmoid", x))

    def softmax(self, x: str) -> str:
        """As in Operations."""
        return self._node("Softmax", x, axis=-1)

    def product(self, one: str, other: str) -> str:
        """As in Operations."""
        return self._node("MatMul", one, other)

    def add(self, one: str, other: str) -> str:
        """As in Operations."""
        return self._node("Add", one, other)

    def multiply(self, one: str, other: str) -> str:
        """As in Operations."""
        return self._node("Mul", one, other)

    def transpose(self, x: str, axes: tuple[int, ...]) -> str:
        """As in Operations."""
        return self._node("Transpose", x, perm=[*axes])

    def reshape(self, x: str, shape: tuple[int, ...]) -> str:
        """As in Operations."""
        return self._node("Reshape", x, self.constant(np.array(shape, np.int64)))

    def total(self, x: str, axis: int) -> str:
        """As in Operations."""
        return self._node("ReduceSum", x, self.constant(np.array([axis], np.int64)), keepdims=0)

    def _node(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [*inputs], [name], **attributes))
        return name


class OnnxEngine:
    """A checkpoint on ONNX Runtime's CPU provider, in float32.

    threads: for one operation, 0 for every core. Raises ConfigurationError for any other precision.
    """

    name: EngineName = "onnx"

    def __init__(self, checkpoint: Checkpoint, precision: str, threads: int) -> None:
        if precision != "float32":
            raise ConfigurationError(f"UNDERTONE_PRECISION={precision} is none of UNDERTONE_ENGINE=onnx: only float32")
        self._threads = threads or len(os.sched_getaffinity(0))
        self.plan = Plan(ratio=RATIO, batched=False, at_once=1)
        self.device = f"CPU, {self._threads} threads"
        self._checkpoint = checkpoint
        self._first = FirstNorm.of(checkpoint)

    def program(self, readout: Readout) -> Program:
        """As in Engine; one that takes rows of every length."""
        signals = {"signals": 2} | ({"scale": 2, "shift": 2} if self._first else {})
        frames = {"features": 3, "positions": 3, "valid": 2}
        parts = GraphParts(
            self._part(signals, lambda graph: [graph.features(Signals(**{name: name for name in signals}))]),
            self._part({"features": 3}, lambda graph: [graph.positions("features")]),
            self._part(frames, lambda graph: graph.attended(Frames(*frames), readout)),
        )
        return reporting_progress(GraphProgram(self._checkpoint.config, self._first, parts))

    def _part(self, axes: Mapping[str, int], build: Callable[[Graph], list[str]]) -> Part:
        """A part of the graph. axes: how many each input has, by name."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        # Threads that spin while they wait would take the cores of whatever else runs there.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(self._model(axes, build), options, ["CPUExecutionProvider"])

        def run(inputs: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
            found: list[NDArray[np.float32]] = session.run(None, dict(inputs))
            return found

        return run

    def _model(self, axes: Mapping[str, int], build: Callable[[Graph], list[str]]) -> bytes:
        operations = OnnxOperations()
        outputs = build(Graph(operations, self._checkpoint))
        given = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [f"{name}.{axis}" for axis in range(count)])
            for name, count in axes.items()
        ]
        made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(operations.nodes, "wav2vec2", given, made, operations.weights)
        opset = [helper.make_opsetid("", OPSET)]
        return bytes(helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION).SerializeToString())
