"""The feature encoder of Wav2Vec 2.0: convolutions from samples to frames, at once or in blocks.

None of them pads: a frame depends only on samples of its own signal, which may be split anywhere. Shapes as in
`layers`.
"""

from collections.abc import Callable, Iterable
from math import ceil, prod
from typing import TypeAlias

import keras
from keras import ops

from workers.wav2vec2.config import CONV_EPSILON, EncoderConfig
from workers.wav2vec2.layers import ACTIVATIONS, Tensor, frame_counts, norm, valid_frames

Moments: TypeAlias = tuple[Tensor, Tensor]
"""Mean and variance of each channel of each signal, both (n, 1, channels) float32."""

FRONT = 4
"""Number of layers computed block by block. Their outputs are long: 100 MB for 15 s after the first alone."""

BLOCK_SAMPLES = 16_000
"""Samples of audio per block, over all signals, so that the front's outputs stay in the CPU caches."""


class MaskedGroupNorm(keras.layers.Layer):
    """Group norm with one group per channel, over the valid steps of each signal alone."""

    def __init__(self, channels: int, dtype: str) -> None:
        super().__init__(dtype=dtype)
        self.gamma = self.add_weight(shape=(channels,), initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=(channels,), initializer="zeros", name="beta")
        self.built = True

    def normalise(self, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """x: (n, t, channels); mean and variance as in Moments, which `call` would round to the layer's dtype."""
        scale = ops.cast(self.gamma, "float32") * ops.rsqrt(variance + CONV_EPSILON)
        shift = ops.cast(self.beta, "float32") - mean * scale
        return ops.cast(ops.cast(x, "float32") * scale + shift, self.compute_dtype)


class FeatureEncoder(keras.layers.Layer):
    """Samples to frames, at once and with the backend's own convolution: for accelerators and for training."""

    def __init__(self, config: EncoderConfig, dtype: str) -> None:
        super().__init__(dtype=dtype)
        self.config = config
        self.activation = ACTIVATIONS[config.feat_extract_activation]
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

    def prepare(self) -> None:
        """Call after the weights change."""

    def call(self, signals: Tensor, lengths: Tensor) -> Tensor:
        """signals: (n, samples); lengths: (n,) int32, valid samples. Returns (n, frames, channels)."""
        x = ops.expand_dims(ops.cast(signals, self.compute_dtype), -1)
        counts = frame_counts(self.config, lengths, layers=1)
        return self._through(
            x, range(len(self.convolutions)), lambda first: _moments(first, valid_frames(counts, first.shape[1]))
        )

    def _through(self, x: Tensor, indices: Iterable[int], moments_of: Callable[[Tensor], Moments]) -> Tensor:
        """Apply some layers in order. moments_of: moments of the first layer's output, for group norm."""
        for index in indices:
            x = self._convolve(x, index)
            if self.config.feat_extract_norm == "layer":
                x = self.norms[index](x)
            elif index == 0:
                x = self.norms[0].normalise(x, *moments_of(x))
            x = self.activation(x)
        return x

    def _convolve(self, x: Tensor, index: int) -> Tensor:
        return self.convolutions[index](x)


class BlockedFeatureEncoder(FeatureEncoder):
    """The feature encoder for XLA on a CPU: the first layers block by block, every convolution as matrix products.

    XLA's own convolution reaches two thirds of the speed of its matrix product there, and long outputs cost as much in
    memory traffic and page faults.
    """

    def __init__(self, config: EncoderConfig, dtype: str) -> None:
        super().__init__(config, dtype)
        # In bfloat16 a difference of inputs would lose their common part.
        self._products = {
            index: FiveProducts(config.conv_dim[index - 1], width, dtype)
            for index, width in enumerate(config.conv_dim)
            if index and dtype == "float32" and (config.conv_kernel[index], config.conv_stride[index]) == (3, 2)
        }

    def prepare(self) -> None:
        """Copy the convolutions' kernels, which must not change afterwards."""
        for index, products in self._products.items():
            products.prepare(self.convolutions[index].kernel)

    def call(self, signals: Tensor, lengths: Tensor) -> Tensor:
        """As in FeatureEncoder."""
        x = ops.expand_dims(ops.cast(signals, self.compute_dtype), -1)
        front = range(min(FRONT, len(self.convolutions)))
        grouped = self.config.feat_extract_norm == "group"
        known = self._moments_by_block(x, lengths) if grouped else (0.0, 1.0)
        blocks = self._by_block(x, len(front), lambda block, _: self._through(block, front, lambda _: known))
        joined = ops.reshape(ops.transpose(blocks, (1, 0, 2, 3)), (x.shape[0], -1, blocks.shape[-1]))
        steps = _steps(self.config, x.shape[1], len(front))
        return self._through(joined[:, :steps], range(len(front), len(self.convolutions)), lambda _: known)

    def _moments_by_block(self, x: Tensor, lengths: Tensor) -> Moments:
        """Moments of the first layer's output, combined from the blocks' own: exact, whatever the signal's offset."""
        counts = frame_counts(self.config, lengths, layers=1)

        def of_block(block: Tensor, first: Tensor) -> tuple[Tensor, ...]:
            y = self._convolve(block, 0)
            valid = valid_frames(counts - first, y.shape[1])
            return *_moments(y, valid), ops.sum(valid, axis=1, keepdims=True)

        means, variances, counted = self._by_block(x, 1, of_block)
        share = counted / ops.maximum(ops.sum(counted, axis=0), 1.0)
        mean = ops.sum(means * share, axis=0)
        return mean, ops.sum((variances + ops.square(means - mean)) * share, axis=0)

    def _by_block(self, x: Tensor, layers: int, compute: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Results of `compute` for each block and its first output step, stacked.

        A block is the input that `layers` layers need for its output steps, zero-padded after the signals' end.
        """
        rows, samples = x.shape[0], x.shape[1]
        stride, field = prod(self.config.conv_stride[:layers]), _field(self.config, layers)
        blocks = ceil(rows * samples / BLOCK_SAMPLES)
        steps = ceil(_steps(self.config, samples, layers) / blocks)
        hop, width = steps * stride, (steps - 1) * stride + field
        padded = ops.pad(x, ((0, 0), (0, max((blocks - 1) * hop + width - samples, 0)), (0, 0)))
        cut = ops.stack([padded[:, start : start + width] for start in range(0, blocks * hop, hop)])
        return ops.map(lambda block: compute(*block), (cut, ops.arange(blocks, dtype="int32") * steps))

    def _convolve(self, x: Tensor, index: int) -> Tensor:
        layer = self.convolutions[index]
        if index in self._products:
            y = self._products[index](x)
        else:
            taps, channels, width = layer.kernel.shape
            steps = (x.shape[1] - taps) // layer.strides[0] + 1
            patches = _patches(x, taps, layer.strides[0], steps)
            y = ops.matmul(patches, ops.reshape(layer.kernel, (taps * channels, width)))
        return y + layer.bias if layer.use_bias else y


class FiveProducts(keras.layers.Layer):
    """A convolution of three taps at stride two with five sixths of the multiplications.

    Two adjacent outputs depend on five inputs, a to e: W0 a + W1 b + W2 c and W0 c + W1 d + W2 e. The first and the
    last tap are a filter of two taps over every other input, for which Winograd's F(2, 2) needs three products instead
    of four: W0 (a - c), (W0 + W2) c, W2 (e - c). The middle tap's two remain. Source: Winograd, Arithmetic Complexity
    of Computations, 1980; for networks Lavin and Gray 2015, arXiv:1509.09308.
    """

    def __init__(self, channels: int, width: int, dtype: str) -> None:
        super().__init__(dtype=dtype, trainable=False)
        self.early = self.add_weight(shape=(2 * channels, width), name="early")
        self.both = self.add_weight(shape=(channels, width), name="both")
        self.late = self.add_weight(shape=(2 * channels, width), name="late")
        self.built = True

    def prepare(self, kernel: Tensor) -> None:
        """Copy the convolution's kernel: (3, channels, width)."""
        first, middle, last = (kernel[tap] for tap in range(3))
        self.early.assign(ops.concatenate([first, middle]))
        self.both.assign(first + last)
        self.late.assign(ops.concatenate([last, middle]))

    def call(self, x: Tensor) -> Tensor:
        """x: (n, t, channels), t at least 3. Returns (n, (t - 1) // 2, width)."""
        steps = (x.shape[1] - 1) // 2
        pairs = ceil(steps / 2)
        x = ops.pad(x, ((0, 0), (0, max(4 * pairs + 1 - x.shape[1], 0)), (0, 0)))
        a, b, c, d, e = (x[:, first : first + 4 * pairs - 3 : 4] for first in range(5))
        both = ops.matmul(c, self.both)
        early = ops.matmul(ops.concatenate([a - c, b], axis=-1), self.early)
        late = ops.matmul(ops.concatenate([e - c, d], axis=-1), self.late)
        y = ops.stack([early + both, late + both], axis=2)
        return ops.reshape(y, (-1, 2 * pairs, y.shape[-1]))[:, :steps]


def _moments(x: Tensor, valid: Tensor) -> Moments:
    """Moments over the valid steps. x: (n, t, channels); valid: (n, t, 1) float32, 1.0 where valid, else 0.0."""
    wide = ops.cast(x, "float32")
    share = valid / ops.maximum(ops.sum(valid, axis=1, keepdims=True), 1.0)
    mean = ops.sum(wide * share, axis=1, keepdims=True)
    return mean, ops.sum(ops.square(wide - mean) * share, axis=1, keepdims=True)


def _patches(x: Tensor, taps: int, stride: int, steps: int) -> Tensor:
    """(n, steps, taps × channels): the inputs of each output step of a convolution. x: (n, t, channels)."""
    rows, channels = x.shape[0], x.shape[2]
    whole = taps // stride * stride
    parts = [
        ops.reshape(x[:, first : first + steps * stride], (rows, steps, stride * channels))
        for first in range(0, whole, stride)
    ]
    parts += [x[:, tap : tap + (steps - 1) * stride + 1 : stride] for tap in range(whole, taps)]
    return ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]


def _field(config: EncoderConfig, layers: int) -> int:
    """Samples that one output step of the first `layers` layers depends on."""
    samples = 1
    for kernel, stride in reversed(list(zip(config.conv_kernel, config.conv_stride, strict=True))[:layers]):
        samples = (samples - 1) * stride + kernel
    return samples


def _steps(config: EncoderConfig, samples: int, layers: int) -> int:
    """Output steps of the first `layers` layers for a signal that has at least one."""
    return (samples - _field(config, layers)) // prod(config.conv_stride[:layers]) + 1
