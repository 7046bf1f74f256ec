"""The parts of the Wav2Vec 2.0 encoder as Keras layers, written with `keras.ops` only.

Shapes: n signals a batch, t time steps of a layer, `width` channels. `dtype` is that of weights and activations;
normalisation and softmax compute in float32 whatever it is.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import keras
from keras import ops

from workers.wav2vec2.config import CONV_EPSILON, Activation, EncoderConfig

Tensor: TypeAlias = Any
"""A tensor of whichever backend Keras runs on."""

MASKED = -1e9
"""Added to the attention logits of padded keys; finite, so that a row without any frame stays finite too."""

_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "gelu": partial(ops.gelu, approximate=False),
    "gelu_new": partial(ops.gelu, approximate=True),
    "relu": ops.relu,
    "silu": ops.silu,
    "swish": ops.silu,
}


def frame_counts(config: EncoderConfig, lengths: Tensor, layers: int | None = None) -> Tensor:
    """`config.frames` of a tensor of lengths; may be below 0 where a signal is shorter than a frame."""
    for kernel, stride in list(zip(config.conv_kernel, config.conv_stride, strict=True))[:layers]:
        lengths = ops.floor_divide(lengths - kernel, stride) + 1
    return lengths


def valid_frames(counts: Tensor, total: int) -> Tensor:
    """(n, total, 1) float32: 1.0 for the first `counts` (n,) of each row, then 0.0."""
    within = ops.expand_dims(ops.arange(total, dtype="int32"), 0) < ops.expand_dims(ops.cast(counts, "int32"), 1)
    return ops.expand_dims(ops.cast(within, "float32"), -1)


def dense(inward: int, outward: int, dtype: str) -> keras.layers.Dense:
    """A linear layer whose weights exist already."""
    layer = keras.layers.Dense(outward, dtype=dtype)
    layer.build((None, None, inward))
    return layer


def norm(width: int, epsilon: float, dtype: str) -> keras.layers.LayerNormalization:
    """Layer norm over the channels, whose weights exist already."""
    layer = keras.layers.LayerNormalization(epsilon=epsilon, dtype=dtype)
    layer.build((None, None, width))
    return layer


class MaskedGroupNorm(keras.layers.Layer):
    """Group norm with one group a channel, over the valid steps of each signal alone."""

    def __init__(self, channels: int, dtype: str) -> None:
        super().__init__(dtype=dtype)
        self.gamma = self.add_weight(shape=(channels,), initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=(channels,), initializer="zeros", name="beta")
        self.built = True

    def call(self, x: Tensor, valid: Tensor) -> Tensor:
        """x: (n, t, channels); valid: (n, t, 1) float32, 1.0 where a step belongs to the signal, else 0.0."""
        # Keras has cast both to the layer's own type on their way in.
        wide, valid = ops.cast(x, "float32"), ops.cast(valid, "float32")
        share = valid / ops.maximum(ops.sum(valid, axis=1, keepdims=True), 1.0)
        mean = ops.sum(wide * share, axis=1, keepdims=True)
        variance = ops.sum(ops.square(wide - mean) * share, axis=1, keepdims=True)
        scale = ops.cast(self.gamma, "float32") * ops.rsqrt(variance + CONV_EPSILON)
        shift = ops.cast(self.beta, "float32") - mean * scale
        return ops.cast(wide * scale + shift, self.compute_dtype)


class FeatureEncoder(keras.layers.Layer):
    """The convolutions that turn samples into frames. None pads: a frame sees samples of its own signal only."""

    def __init__(self, config: EncoderConfig, dtype: str) -> None:
        super().__init__(dtype=dtype)
        self.config = config
        self.activation = _ACTIVATIONS[config.feat_extract_activation]
        self.convolutions = []
        self.norms = []
        for index, width in enumerate(config.conv_dim):
            convolution = keras.layers.Conv1D(
                width,
                config.conv_kernel[index],
                strides=config.conv_stride[index],
                use_bias=config.conv_bias,
                dtype=dtype,
            )
            convolution.build((None, None, config.conv_dim[index - 1] if index else 1))
            self.convolutions.append(convolution)
            if config.feat_extract_norm == "layer":
                self.norms.append(norm(width, CONV_EPSILON, dtype))
        if config.feat_extract_norm == "group":
            self.norms.append(MaskedGroupNorm(config.conv_dim[0], dtype))
        self.built = True

    def call(self, signals: Tensor, lengths: Tensor) -> Tensor:
        """signals: (n, samples); lengths: (n,) int32, valid samples. Returns (n, frames, channels)."""
        x = ops.expand_dims(ops.cast(signals, self.compute_dtype), -1)
        for index, convolution in enumerate(self.convolutions):
            x = convolution(x)
            if self.config.feat_extract_norm == "layer":
                x = self.norms[index](x)
            elif index == 0:
                x = self.norms[0](x, valid_frames(frame_counts(self.config, lengths, layers=1), x.shape[1]))
            x = self.activation(x)
        return x


class PositionalConvolution(keras.layers.Layer):
    """What a grouped convolution over its neighbours adds to each frame."""

    def __init__(self, config: EncoderConfig, dtype: str) -> None:
        super().__init__(dtype=dtype)
        taps, width = config.num_conv_pos_embeddings, config.hidden_size
        self.groups = config.num_conv_pos_embedding_groups
        # With an even number of taps PyTorch pads both sides by half of them and drops the last frame.
        self.reach = (taps // 2, taps - 1 - taps // 2)
        self.kernel = self.add_weight(shape=(taps, width // self.groups, width), name="kernel")
        self.bias = self.add_weight(shape=(width,), initializer="zeros", name="bias")
        self.activation = _ACTIVATIONS[config.feat_extract_activation]
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        """x: (n, frames, width), zero where padded."""
        padded = ops.pad(x, ((0, 0), self.reach, (0, 0)))
        # Group by group: on a CPU this is twice as fast as one grouped convolution, and its gradient many times.
        parts = zip(ops.split(padded, self.groups, axis=-1), ops.split(self.kernel, self.groups, axis=-1), strict=True)
        mixed = ops.concatenate([ops.conv(part, kernel, padding="valid") for part, kernel in parts], axis=-1)
        return self.activation(mixed + self.bias)


class SelfAttention(keras.layers.Layer):
    """Multi-head attention over the valid frames."""

    def __init__(self, width: int, heads: int, dtype: str) -> None:
        super().__init__(dtype=dtype)
        self.heads = heads
        # One product for queries, keys and values: a third of the calls, each three times as wide.
        self.inward = dense(width, 3 * width, dtype)
        self.outward = dense(width, width, dtype)
        self.built = True

    def call(self, x: Tensor, bias: Tensor) -> Tensor:
        """x: (n, frames, width); bias: (n, 1, 1, frames) float32, added to the logits of each key."""
        frames, width = x.shape[1], x.shape[2]
        parts = ops.reshape(self.inward(x), (-1, frames, 3, self.heads, width // self.heads))
        queries, keys, values = ops.unstack(ops.transpose(parts, (2, 0, 3, 1, 4)), 3, axis=0)
        logits = ops.matmul(queries * (width // self.heads) ** -0.5, ops.transpose(keys, (0, 1, 3, 2)))
        weights = ops.softmax(ops.cast(logits, "float32") + ops.cast(bias, "float32"), axis=-1)
        mixed = ops.matmul(ops.cast(weights, self.compute_dtype), values)
        return self.outward(ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (-1, frames, width)))


class EncoderLayer(keras.layers.Layer):
    """Attention and feed-forward with residuals, each normalised after (post-norm) or before ("stable")."""

    def __init__(self, config: EncoderConfig, dtype: str) -> None:
        super().__init__(dtype=dtype)
        width, inner = config.hidden_size, config.intermediate_size
        self.stable = config.do_stable_layer_norm
        self.attention = SelfAttention(width, config.num_attention_heads, dtype)
        self.layer_norm = norm(width, config.layer_norm_eps, dtype)
        self.intermediate = dense(width, inner, dtype)
        self.activation = _ACTIVATIONS[config.hidden_act]
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
