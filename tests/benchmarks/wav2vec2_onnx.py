"""The group-norm Wav2Vec2 as an ONNX graph, in the operators that an exporter would choose: the benchmark's peer."""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from schemas.events import FloatArray
from workers.wav2vec2.config import CONV_EPSILON, EncoderConfig

OPSET = 20


class Graph:
    """Nodes and weights so far; each method adds one operation and returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, values: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: object) -> str:
        name = f"n{len(self.nodes)}"
        names = [f"{name}.{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0]

    def linear(self, x: str, weight: FloatArray, bias: FloatArray) -> str:
        return self.op("Add", self.op("MatMul", x, self.weight(weight.T)), self.weight(bias))

    def norm(self, x: str, weight: FloatArray, bias: FloatArray, epsilon: float) -> str:
        return self.op("LayerNormalization", x, self.weight(weight), self.weight(bias), epsilon=epsilon, axis=-1)


def build(config: EncoderConfig, weights: Mapping[str, FloatArray]) -> bytes:
    """A model from `signals` (n, samples), normalised and unpadded, to hidden states (n, frames, width)."""
    graph = Graph()
    x = graph.op("Unsqueeze", "signals", graph.weight(np.array([1])))
    x = _convolutions(graph, x, config, weights)
    x = graph.op("Transpose", x, perm=[0, 2, 1])
    x = graph.norm(x, *_pair(weights, "feature_projection.layer_norm"), config.layer_norm_eps)
    x = graph.linear(x, *_pair(weights, "feature_projection.projection"))
    x = graph.op("Add", x, _positional(graph, x, config, weights))
    x = graph.norm(x, *_pair(weights, "encoder.layer_norm"), config.layer_norm_eps)
    for layer in range(config.num_hidden_layers):
        x = _block(graph, x, config, weights, f"encoder.layers.{layer}")
    inputs = [helper.make_tensor_value_info("signals", TensorProto.FLOAT, ["n", "samples"])]
    outputs = [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["n", "frames", config.hidden_size])]
    made = helper.make_graph(graph.nodes, "wav2vec2", inputs, outputs, graph.weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    return bytes(model.SerializeToString())


def _pair(weights: Mapping[str, FloatArray], name: str) -> tuple[FloatArray, FloatArray]:
    return weights[f"{name}.weight"], weights[f"{name}.bias"]


def _convolutions(graph: Graph, x: str, config: EncoderConfig, weights: Mapping[str, FloatArray]) -> str:
    for index, stride in enumerate(config.conv_stride):
        name = f"feature_extractor.conv_layers.{index}"
        x = graph.op("Conv", x, graph.weight(weights[f"{name}.conv.weight"]), strides=[stride])
        if index == 0:
            gain, shift = (graph.weight(values) for values in _pair(weights, f"{name}.layer_norm"))
            x = graph.op("InstanceNormalization", x, gain, shift, epsilon=CONV_EPSILON)
        x = graph.op("Gelu", x)
    return x


def _positional(graph: Graph, x: str, config: EncoderConfig, weights: Mapping[str, FloatArray]) -> str:
    taps, groups = config.num_conv_pos_embeddings, config.num_conv_pos_embedding_groups
    kernel, bias = (graph.weight(values) for values in _pair(weights, "encoder.pos_conv_embed.conv"))
    pads = [taps // 2, taps - 1 - taps // 2]
    across = graph.op("Transpose", x, perm=[0, 2, 1])
    mixed = graph.op("Gelu", graph.op("Conv", across, kernel, bias, group=groups, pads=pads))
    return graph.op("Transpose", mixed, perm=[0, 2, 1])


def _block(graph: Graph, x: str, config: EncoderConfig, weights: Mapping[str, FloatArray], name: str) -> str:
    attended = _attention(graph, x, config, weights, f"{name}.attention")
    x = graph.norm(graph.op("Add", x, attended), *_pair(weights, f"{name}.layer_norm"), config.layer_norm_eps)
    inner = graph.op("Gelu", graph.linear(x, *_pair(weights, f"{name}.feed_forward.intermediate_dense")))
    inner = graph.linear(inner, *_pair(weights, f"{name}.feed_forward.output_dense"))
    return graph.norm(graph.op("Add", x, inner), *_pair(weights, f"{name}.final_layer_norm"), config.layer_norm_eps)


def _attention(graph: Graph, x: str, config: EncoderConfig, weights: Mapping[str, FloatArray], name: str) -> str:
    heads, width = config.num_attention_heads, config.hidden_size
    split = graph.weight(np.array([0, 0, heads, width // heads]))
    queries, keys, values = (
        graph.op("Reshape", graph.linear(x, *_pair(weights, f"{name}.{part}_proj")), split) for part in "qkv"
    )
    scale = graph.weight(np.array((width // heads) ** -0.5, np.float32))
    queries = graph.op("Mul", graph.op("Transpose", queries, perm=[0, 2, 1, 3]), scale)
    logits = graph.op("MatMul", queries, graph.op("Transpose", keys, perm=[0, 2, 3, 1]))
    mixed = graph.op("MatMul", graph.op("Softmax", logits, axis=-1), graph.op("Transpose", values, perm=[0, 2, 1, 3]))
    together = graph.op(
        "Reshape", graph.op("Transpose", mixed, perm=[0, 2, 1, 3]), graph.weight(np.array([0, 0, width]))
    )
    return graph.linear(together, *_pair(weights, f"{name}.out_proj"))
