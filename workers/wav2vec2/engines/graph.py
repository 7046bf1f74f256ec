"""The Wav2Vec 2.0 encoder as a graph of plain operations, for runtimes that optimise one: the same numbers as Encoder.

In three parts: the convolutions of a signal, the positional convolution, and attention. A frame of the first two sees a
few hundred samples, or a few seconds, so that they may be run over pieces; attention sees all frames. Channels come
before time in the convolutions, as those runtimes want it. Padding changes no valid frame: the first norm comes from
outside (`moments`), padded frames are zero before the positional convolution, and masked as keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np

from schemas.events import FloatArray
from workers.wav2vec2.checkpoint import Checkpoint
from workers.wav2vec2.config import CONV_EPSILON
from workers.wav2vec2.engines.engine import Readout
from workers.wav2vec2.engines.operations import Node, Operations

MASKED = 1e9
"""Subtracted from the attention logits of padded keys; finite, so that a row without frames stays finite too."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What the convolutions take.

    signals: (n, samples), normalised; scale, shift: (n, channels) of the first norm, which only group-norm checkpoints
    read.
    """

    signals: Node
    scale: Node | None = None
    shift: Node | None = None


@dataclass(frozen=True, slots=True)
class Frames:
    """What attention takes.

    features, positions: (n, frames, width), as `Graph.features` and `Graph.positions` give them; valid: (n, frames),
    1.0 where valid, else 0.0.
    """

    features: Node
    positions: Node
    valid: Node


class Graph:
    """Builds the encoder of a checkpoint from a runtime's operations."""

    def __init__(self, operations: Operations, checkpoint: Checkpoint) -> None:
        self._do = operations
        self._config = checkpoint.config
        self._weights: Mapping[str, FloatArray] = checkpoint.weights

    def features(self, inputs: Signals) -> Node:
        """The features of every frame: (n, frames, width)."""
        do, config = self._do, self._config
        x = do.reshape(inputs.signals, (0, 1, -1))
        for index, stride in enumerate(config.conv_stride):
            name = f"feature_extractor.conv_layers.{index}"
            x = do.convolution(x, self._weights[f"{name}.conv.weight"], stride=stride)
            if index == 0 and config.feat_extract_norm == "group":
                x = do.affine(x, inputs.scale, inputs.shift)
            elif config.conv_bias:
                x = do.add(x, do.constant(self._weights[f"{name}.conv.bias"][None, :, None]))
            if config.feat_extract_norm == "layer":
                x = self._across(self._norm(self._across(x), f"{name}.layer_norm", CONV_EPSILON))
            x = do.activation(x, config.feat_extract_activation)
        x = self._norm(self._across(x), "feature_projection.layer_norm", config.layer_norm_eps)
        return self._linear(x, "feature_projection.projection")

    def positions(self, features: Node) -> Node:
        """What is added to features for their positions: `config.num_conv_pos_embeddings` - 1 frames fewer.

        features: zero where padded.
        """
        name, groups = "encoder.pos_conv_embed.conv", self._config.num_conv_pos_embedding_groups
        x = self._do.grouped_convolution(self._across(features), self._weights[f"{name}.weight"], groups=groups)
        x = self._do.add(x, self._do.constant(self._weights[f"{name}.bias"][None, :, None]))
        return self._across(self._do.activation(x, self._config.feat_extract_activation))

    def attended(self, inputs: Frames, readout: Readout) -> list[Node]:
        """The outputs that a readout names, the first as its total over the valid frames."""
        do = self._do
        hidden = self._contextualised(do.add(inputs.features, inputs.positions), inputs.valid)
        weighted = do.multiply(hidden, do.reshape(inputs.valid, (0, -1, 1)))
        outputs = [do.total(weighted, 1)]
        if readout is Readout.FRAMES:
            outputs.append(hidden)
        if readout is Readout.LOGITS:
            outputs.append(self._linear(hidden, "lm_head"))
        return outputs

    def _contextualised(self, x: Node, valid: Node) -> Node:
        do, config = self._do, self._config
        if not config.do_stable_layer_norm:
            x = self._norm(x, "encoder.layer_norm", config.layer_norm_eps)
        masked = do.add(
            do.multiply(valid, do.constant(np.array([MASKED], np.float32))),
            do.constant(np.array([-MASKED], np.float32)),
        )
        bias = do.reshape(masked, (0, 1, 1, -1))
        for layer in range(config.num_hidden_layers):
            x = self._layer(x, bias, f"encoder.layers.{layer}")
        return self._norm(x, "encoder.layer_norm", config.layer_norm_eps) if config.do_stable_layer_norm else x

    def _layer(self, x: Node, bias: Node, name: str) -> Node:
        do, epsilon = self._do, self._config.layer_norm_eps
        if self._config.do_stable_layer_norm:
            x = do.add(x, self._attention(self._norm(x, f"{name}.layer_norm", epsilon), bias, f"{name}.attention"))
            return do.add(x, self._feed_forward(self._norm(x, f"{name}.final_layer_norm", epsilon), name))
        x = self._norm(do.add(x, self._attention(x, bias, f"{name}.attention")), f"{name}.layer_norm", epsilon)
        return self._norm(do.add(x, self._feed_forward(x, name)), f"{name}.final_layer_norm", epsilon)

    def _feed_forward(self, x: Node, name: str) -> Node:
        inner = self._linear(x, f"{name}.feed_forward.intermediate_dense")
        inner = self._do.activation(inner, self._config.hidden_act)
        return self._linear(inner, f"{name}.feed_forward.output_dense")

    def _attention(self, x: Node, bias: Node, name: str) -> Node:
        do, heads = self._do, self._config.num_attention_heads
        size = self._config.hidden_size // heads
        queries, keys, values = (
            do.reshape(self._linear(x, f"{name}.{part}_proj"), (0, 0, heads, size)) for part in "qkv"
        )
        queries = do.multiply(do.transpose(queries, (0, 2, 1, 3)), do.constant(np.array([1 / sqrt(size)], np.float32)))
        logits = do.add(do.product(queries, do.transpose(keys, (0, 2, 3, 1))), bias)
        mixed = do.product(do.softmax(logits), do.transpose(values, (0, 2, 1, 3)))
        together = do.reshape(do.transpose(mixed, (0, 2, 1, 3)), (0, 0, heads * size))
        return self._linear(together, f"{name}.out_proj")

    def _linear(self, x: Node, name: str) -> Node:
        return self._do.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, x: Node, name: str, epsilon: float) -> Node:
        return self._do.layer_norm(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"], epsilon)

    def _across(self, x: Node) -> Node:
        """Time and channels exchanged."""
        return self._do.transpose(x, (0, 2, 1))
