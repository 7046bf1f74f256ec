"""The Wav2Vec 2.0 encoder in Keras 3, exact at any padding.

A signal's frames are the same, to float noise, alone or in any batch at any padding: group norm computes its statistics
over the signal's own frames, padded frames are zero before the positional convolution and masked as attention keys.
Source: Baevski et al. 2020, arXiv:2006.11477; order of layers and names as in Hugging Face's `Wav2Vec2Model`.
"""

from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np
from keras import ops

from schemas.events import FloatArray
from workers.wav2vec2.config import EncoderConfig
from workers.wav2vec2.convolutions import BlockedFeatureEncoder, FeatureEncoder
from workers.wav2vec2.layers import (
    MASKED,
    EncoderLayer,
    PositionalConvolution,
    Tensor,
    dense,
    frame_counts,
    norm,
    valid_frames,
)


class Encoder(keras.layers.Layer):
    """Signals to frames, Hugging Face's `last_hidden_state`. Weights are random until `assign`.

    head: whether it has a CTC head; dtype: "float32", or "bfloat16" for weights and activations, with normalisation and
    softmax in float32; in_parts: whether long computations are split into parts, for XLA on a CPU, with the same
    results up to float noise.
    """

    def __init__(
        self,
        config: EncoderConfig,
        *,
        head: bool = False,
        dtype: str = "float32",
        in_parts: bool = False,
    ) -> None:
        super().__init__(dtype=dtype, name="wav2vec2")
        self.config = config
        self.feature_encoder = (BlockedFeatureEncoder if in_parts else FeatureEncoder)(config, dtype)
        self.projection_norm = norm(config.conv_dim[-1], config.layer_norm_eps, dtype)
        self.projection = dense(config.conv_dim[-1], config.hidden_size, dtype)
        self.positional = PositionalConvolution(config, dtype, by_group=in_parts)
        self.layer_norm = norm(config.hidden_size, config.layer_norm_eps, dtype)
        self.blocks = [EncoderLayer(config, dtype, by_head=in_parts) for _ in range(config.num_hidden_layers)]
        self.head = dense(config.hidden_size, config.vocab_size, dtype) if head else None
        self.built = True

    def call(self, signals: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute frames and which of them are valid.

        signals: (n, samples) float32, normalised, any finite value where padded; lengths: (n,) int32, valid samples,
        0 for a row that only fills the batch. Returns (n, frames, width), and (n, frames, 1) float32, 1.0 where valid;
        other frames are meaningless.
        """
        features = self.features(signals, lengths)
        valid = valid_frames(frame_counts(self.config, lengths), features.shape[1])
        return self.contextualise(features, valid), valid

    def features(self, signals: Tensor, lengths: Tensor) -> Tensor:
        """The transformer's input: (n, frames, width), projected from the convolutions' output."""
        return self.projection(self.projection_norm(self.feature_encoder(signals, lengths)))

    def contextualise(self, features: Tensor, valid: Tensor) -> Tensor:
        """The transformer alone. features: (n, frames, width); valid: (n, frames, 1) float32."""
        x = features * ops.cast(valid, features.dtype)
        x = x + self.positional(x)
        if not self.config.do_stable_layer_norm:
            x = self.layer_norm(x)
        bias = ops.reshape((1.0 - valid) * MASKED, (-1, 1, 1, features.shape[1]))
        for block in self.blocks:
            x = block(x, bias)
        return self.layer_norm(x) if self.config.do_stable_layer_norm else x

    def logits(self, frames: Tensor) -> Tensor:
        """The CTC head's logits: (n, frames, vocabulary). Raises ValueError when the encoder has no head."""
        if self.head is None:
            raise ValueError("this encoder was created without a CTC head")
        return self.head(frames)

    def assign(self, weights: Mapping[str, FloatArray]) -> None:
        """Set the weights by Hugging Face name: all in `config.shapes()`, and the head's if there is one."""
        for variable, names in self._variables():
            # PyTorch's axis order is Keras's reversed: for linear layers, for convolutions, trivially for vectors.
            parts = [weights[name].T for name in names]
            value = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
            variable.assign(_by_group(value, self.positional.groups) if variable is self.positional.kernel else value)
        self.feature_encoder.prepare()

    def weights_by_name(self) -> dict[str, FloatArray]:
        """The weights by Hugging Face name, float32: the input of `assign`."""
        found = {}
        for variable, names in self._variables():
            # A copy is a tensor; from a variable itself NumPy 2 makes an array only with a warning.
            value = ops.convert_to_numpy(ops.copy(ops.cast(variable.value, "float32")))
            if variable is self.positional.kernel:
                value = np.concatenate(value, axis=-1)
            for name, part in zip(names, np.split(value, len(names), axis=-1), strict=True):
                found[name] = np.ascontiguousarray(part.T)
        return found

    def _variables(self) -> Iterator[tuple[Tensor, Sequence[str]]]:
        extractor = self.feature_encoder
        for index, convolution in enumerate(extractor.convolutions):
            yield from _linear(convolution, f"feature_extractor.conv_layers.{index}.conv")
        for index, layer_norm in enumerate(extractor.norms):
            yield from _norm(layer_norm, f"feature_extractor.conv_layers.{index}.layer_norm")
        yield from _norm(self.projection_norm, "feature_projection.layer_norm")
        yield from _linear(self.projection, "feature_projection.projection")
        yield from _linear(self.positional, "encoder.pos_conv_embed.conv")
        yield from _norm(self.layer_norm, "encoder.layer_norm")
        for index, block in enumerate(self.blocks):
            yield from _block(block, f"encoder.layers.{index}")
        if self.head is not None:
            yield from _linear(self.head, "lm_head")


def _by_group(kernel: FloatArray, groups: int) -> FloatArray:
    """(groups, taps, inward, outward / groups) from a grouped convolution's (taps, inward, outward)."""
    return np.stack(np.split(kernel, groups, axis=-1))


def _block(block: EncoderLayer, name: str) -> Iterator[tuple[Tensor, Sequence[str]]]:
    yield from _linear(block.attention.inward, *(f"{name}.attention.{part}_proj" for part in ("q", "k", "v")))
    yield from _linear(block.attention.outward, f"{name}.attention.out_proj")
    yield from _norm(block.layer_norm, f"{name}.layer_norm")
    yield from _linear(block.intermediate, f"{name}.feed_forward.intermediate_dense")
    yield from _linear(block.output_dense, f"{name}.feed_forward.output_dense")
    yield from _norm(block.final_layer_norm, f"{name}.final_layer_norm")


def _linear(layer: keras.layers.Layer, *names: str) -> Iterator[tuple[Tensor, Sequence[str]]]:
    yield layer.kernel, [f"{name}.weight" for name in names]
    if getattr(layer, "bias", None) is not None:
        yield layer.bias, [f"{name}.bias" for name in names]


def _norm(layer: keras.layers.Layer, name: str) -> Iterator[tuple[Tensor, Sequence[str]]]:
    yield layer.gamma, [f"{name}.weight"]
    yield layer.beta, [f"{name}.bias"]
