"""The parts of the Wav2Vec 2.0 encoder as Keras layers, written with `keras.ops` only.

Shapes: n signals per batch, t time steps of a layer, `width` channels. `dtype` applies to weights and activations;
normalisation and softmax always compute in float32.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import keras
from keras import ops

from workers.wav2vec2.config import Activation, EncoderConfig

Tensor: TypeAlias = Any
"""A tensor of the current Keras backend."""

MASKED = -1e9
"""Added to the attention logits of padded keys; finite, so that a row without frames stays finite too."""

BY_HEAD_FRAMES = 400
"""Minimum frames (8 s) at which heads are computed one by one: at 14 s this is faster, at 5 s it is not."""


def gelu(x: Tensor) -> Tensor:
    """Gaussian error linear unit, by the error function; Keras's, by its complement, takes twice as long."""
    return x * (0.5 + 0.5 * ops.erf(x * 0.7071067811865476))


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "gelu": gelu,
    "gelu_new": partial(ops.gelu, approximate=True),
    "relu": ops.relu,
    "silu": ops.silu,
    "swish": ops.silu,
}


def frame_counts(config: EncoderConfig, lengths: Tensor, layers: int | None = None) -> Tensor:
    """`config.frames` of a tensor of lengths; may be negative where a signal is shorter than a frame."""
    for kernel, stride in list(zip(config.conv_kernel, config.conv_stride, strict=True))[:layers]:
        lengths = ops.floor_divide(lengths - kernel, stride) + 1
    return lengths


def valid_frames(counts: Tensor, total: int) -> Tensor:
    """(n, total, 1) float32: 1.0 for the first `counts` (n,) of each row, then 0.0."""
    within = ops.expand_dims(ops.arange(total, dtype="int32"), 0) < ops.expand_dims(ops.cast(counts, "int32"), 1)
    return ops.expand_dims(ops.cast(within, "float32"), -1)


def dense(inward: int, outward: int, dtype: str) -> keras.layers.Dense:
    """A linear layer, already built."""
    layer = keras.layers.Dense(outward, dtype=dtype)
    layer.build((None, None, inward))
    return layer


def norm(width: int, epsilon: float, dtype: str) -> keras.layers.LayerNormalization:
    """Layer norm over the channels, already built."""
    layer = keras.layers.LayerNormalization(epsilon=epsilon, dtype=dtype)
    layer.build((None, None, width))
    return layer


class PositionalConvolution(keras.layers.Layer):
    """Positional embedding of each frame: a grouped convolution over adjacent frames.

    by_group: whether a program has one convolution for all groups in turn, for a CPU: with sixteen, the first run at
    base size takes six CPU seconds instead of four, and a batch 18 MB more.
    """

    def __init__(self, config: EncoderConfig, dtype: str, *, by_group: bool = False) -> None:
        super().__init__(dtype=dtype)
        taps, width = config.num_conv_pos_embeddings, config.hidden_size
        self.groups, self.by_group = config.num_conv_pos_embedding_groups, by_group
        # With an even number of taps PyTorch pads both sides by half and drops the last frame.
        self.reach = (taps // 2, taps - 1 - taps // 2)
        size = width // self.groups
        # Glorot's bound for the whole convolution; from this shape Keras would mistake the groups for taps.
        bound = (6 / (taps * (size + width))) ** 0.5
        self.kernel = self.add_weight(
            shape=(self.groups, taps, size, size),
            initializer=keras.initializers.RandomUniform(-bound, bound),
            name="kernel",
        )
        self.bias = self.add_weight(shape=(width,), initializer="zeros", name="bias")
        self.activation = ACTIVATIONS[config.feat_extract_activation]
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        """x: (n, frames, width), zero where padded."""
        padded = ops.pad(x, ((0, 0), self.reach, (0, 0)))
        grouped = ops.transpose(
            ops.reshape(padded, (-1, padded.shape[1], self.groups, self.kernel.shape[2])), (2, 0, 1, 3)
        )
        # Group by group: on a CPU twice as fast as one grouped convolution, and many times in the gradient.
        if self.by_group:
            kernels = ops.convert_to_tensor(self.kernel)
            mixed = ops.map(lambda group: ops.conv(*group, padding="valid"), (grouped, kernels))
        else:
            mixed = ops.stack([ops.conv(grouped[i], self.kernel[i], padding="valid") for i in range(self.groups)])
        mixed = ops.reshape(ops.transpose(mixed, (1, 2, 0, 3)), (-1, *x.shape[1:]))
        return self.activation(mixed + self.bias)


class SelfAttention(keras.layers.Layer):
    """Multi-head attention over the valid frames.

    by_head: whether long rows are computed head by head, for a CPU: the logits of 14 s are 23 MB, those of one head 2.
    """

    def __init__(self, width: int, heads: int, dtype: str, *, by_head: bool = False) -> None:
        super().__init__(dtype=dtype)
        self.heads, self.by_head = heads, by_head
        # One product for queries, keys and values: a third of the calls, each three times wider.
        self.inward = dense(width, 3 * width, dtype)
        self.outward = dense(width, width, dtype)
        self.built = True

    def call(self, x: Tensor, bias: Tensor) -> Tensor:
        """x: (n, frames, width); bias: (n, 1, 1, frames) float32, added to the logits of each key."""
        frames, width = x.shape[1], x.shape[2]
        parts = ops.reshape(self.inward(x), (-1, frames, 3, self.heads, width // self.heads))
        # The first axis is the heads, or the three kinds of vectors; then rows and frames.
        if self.by_head and frames >= BY_HEAD_FRAMES:
            mixed = ops.map(lambda head: self._mixed(head, bias[:, 0]), ops.transpose(parts, (3, 2, 0, 1, 4)))
            mixed = ops.transpose(mixed, (1, 2, 0, 3))
        else:
            mixed = ops.transpose(self._mixed(ops.transpose(parts, (2, 0, 3, 1, 4)), bias), (0, 2, 1, 3))
        return self.outward(ops.reshape(mixed, (-1, frames, width)))

    def _mixed(self, vectors: Tensor, bias: Tensor) -> Tensor:
        """Attention output of each frame: (…, frames, size of a head).

        vectors: (3, …, frames, size of a head), queries, keys and values; bias: (…, 1, frames) float32.
        """
        queries, keys, values = ops.unstack(vectors, 3, axis=0)
        logits = ops.matmul(queries * queries.shape[-1] ** -0.5, ops.swapaxes(keys, -1, -2))
        logits = ops.cast(logits, "float32") + ops.cast(bias, "float32")
        # Softmax, divided by its sum only after the product with the values: a frame has fewer values than keys.
        powers = ops.exp(logits - ops.max(logits, axis=-1, keepdims=True))
        mixed = ops.cast(ops.matmul(ops.cast(powers, self.compute_dtype), values), "float32")
        return ops.cast(mixed / ops.sum(powers, axis=-1, keepdims=True), self.compute_dtype)


class EncoderLayer(keras.layers.Layer):
    """Attention and feed-forward with residuals, each normalised after (post-norm) or before ("stable")."""

    def __init__(self, config: EncoderConfig, dtype: str, *, by_head: bool = False) -> None:
        super().__init__(dtype=dtype)
        width, inner = config.hidden_size, config.intermediate_size
        self.stable = config.do_stable_layer_norm
        self.attention = SelfAttention(width, config.num_attention_heads, dtype, by_head=by_head)
        self.layer_norm = norm(width, config.layer_norm_eps, dtype)
        self.intermediate = dense(width, inner, dtype)
        self.activation = ACTIVATIONS[config.hidden_act]
        self.output_dense = dense(inner, width, dtype)
        self.final_layer_norm = norm(width, config.layer_norm_eps, dtype)
        self.built = True

    def call(self, x: Tensor, bias: Tensor) -> Tensor:
        """x: (n, frames, width); bias as in SelfAttention."""
        if self.stable:
            x = x + self.attention(self.layer_norm(x), bias)
            return x + self._feed_forward(self.final_layer_norm(x))
        x = self.layer_norm(x + self.attention(x, bias))
        return self.final_layer_norm(x + self._feed_forward(x))

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.output_dense(self.activation(self.intermediate(x)))
