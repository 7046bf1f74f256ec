"""Configuration of a Wav2Vec2 checkpoint: its dimensions, and the name and shape of every required tensor."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Literal, Self, get_args

from schemas.errors import ConfigurationError

Shape = tuple[int, ...]
Activation = Literal["gelu", "gelu_new", "relu", "silu", "swish"]

CONV_EPSILON = 1e-5
"""Epsilon of every normalisation in the feature encoder; PyTorch's default, which no configuration changes."""


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """The fields of Hugging Face's `Wav2Vec2Config` that determine the embeddings, with the same names.

    The defaults are those of `Wav2Vec2Config` (facebook/wav2vec2-base-960h); a test compares the two.
    """

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: Activation = "gelu"
    layer_norm_eps: float = 1e-5
    feat_extract_norm: Literal["group", "layer"] = "group"
    feat_extract_activation: Activation = "gelu"
    conv_dim: tuple[int, ...] = (512, 512, 512, 512, 512, 512, 512)
    conv_stride: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_kernel: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_bias: bool = False
    num_conv_pos_embeddings: int = 128
    num_conv_pos_embedding_groups: int = 16
    do_stable_layer_norm: bool = False
    vocab_size: int = 32

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> Self:
        """Parse the content of a `config.json`. Raises ConfigurationError that names the invalid field."""
        if values.get("model_type") != "wav2vec2":
            raise ConfigurationError(
                f"the checkpoint is a {values.get('model_type', 'model of no stated type')!r}, not a 'wav2vec2'; "
                "name a Wav2Vec2 checkpoint"
            )
        for key in ("quantization_config", "compression_config"):
            if values.get(key):
                raise ConfigurationError(
                    f"the checkpoint is quantised ({key} in its config.json: {_method(values[key])}), which would give "
                    "other numbers; name the checkpoint it was made from, or save it dequantised without that entry"
                )
        if values.get("add_adapter") or values.get("adapter_attn_dim"):
            raise ConfigurationError("the checkpoint has adapter layers, which this encoder does not support")
        known = {f.name: _field(f.name, values[f.name]) for f in fields(cls) if f.name in values}
        config = cls(**known)  # type: ignore[arg-type]
        config._check()
        return config

    def _check(self) -> None:
        if not len(self.conv_dim) == len(self.conv_stride) == len(self.conv_kernel) > 0:
            raise ConfigurationError("conv_dim, conv_stride and conv_kernel of the checkpoint differ in length")
        for part, whole in (
            ("num_attention_heads", "hidden_size"),
            ("num_conv_pos_embedding_groups", "hidden_size"),
        ):
            if getattr(self, part) < 1 or getattr(self, whole) % getattr(self, part):
                raise ConfigurationError(f"{whole} of the checkpoint is not a multiple of its {part}")

    @property
    def digest(self) -> str:
        """Twelve hex digits that change with any field."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        hop = 1
        for stride in self.conv_stride:
            hop *= stride
        return hop

    @property
    def receptive_field(self) -> int:
        """Samples that one frame depends on; a shorter signal has no frame."""
        samples = 1
        for kernel, stride in reversed(list(zip(self.conv_kernel, self.conv_stride, strict=True))):
            samples = (samples - 1) * stride + kernel
        return samples

    def frames(self, samples: int) -> int:
        """Number of frames of a signal.

        >>> EncoderConfig().frames(16000)
        49
        """
        for kernel, stride in zip(self.conv_kernel, self.conv_stride, strict=True):
            samples = (samples - kernel) // stride + 1
        return max(samples, 0)

    def shapes(self) -> dict[str, Shape]:
        """Name, without prefix, and shape of every tensor of the encoder, with the positional weight norm folded."""
        return dict(self._shapes())

    def head_shapes(self) -> dict[str, Shape]:
        """Name and shape of every tensor of the CTC head."""
        return {"lm_head.weight": (self.vocab_size, self.hidden_size), "lm_head.bias": (self.vocab_size,)}

    def _shapes(self) -> Iterator[tuple[str, Shape]]:
        width = self.hidden_size
        for layer, (inward, outward) in enumerate(pairwise((1, *self.conv_dim))):
            name = f"feature_extractor.conv_layers.{layer}"
            yield f"{name}.conv.weight", (outward, inward, self.conv_kernel[layer])
            if self.conv_bias:
                yield f"{name}.conv.bias", (outward,)
            if layer == 0 or self.feat_extract_norm == "layer":
                yield from _affine(f"{name}.layer_norm", (outward,))
        yield from _affine("feature_projection.layer_norm", (self.conv_dim[-1],))
        yield from _affine("feature_projection.projection", (width, self.conv_dim[-1]))
        kernel = (width, width // self.num_conv_pos_embedding_groups, self.num_conv_pos_embeddings)
        yield from _affine("encoder.pos_conv_embed.conv", kernel)
        yield from _affine("encoder.layer_norm", (width,))
        for layer in range(self.num_hidden_layers):
            yield from self._layer_shapes(f"encoder.layers.{layer}")

    def _layer_shapes(self, name: str) -> Iterator[tuple[str, Shape]]:
        width, inner = self.hidden_size, self.intermediate_size
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from _affine(f"{name}.attention.{projection}", (width, width))
        yield from _affine(f"{name}.layer_norm", (width,))
        yield from _affine(f"{name}.feed_forward.intermediate_dense", (inner, width))
        yield from _affine(f"{name}.feed_forward.output_dense", (width, inner))
        yield from _affine(f"{name}.final_layer_norm", (width,))


def _affine(name: str, weight: Shape) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", weight
    yield f"{name}.bias", weight[:1]


_CHOICES: dict[str, tuple[str, ...]] = {
    "feat_extract_norm": ("group", "layer"),
    "feat_extract_activation": get_args(Activation),
    "hidden_act": get_args(Activation),
}
_SIZES = ("conv_dim", "conv_stride", "conv_kernel")
_FLAGS = ("conv_bias", "do_stable_layer_norm")


def _field(name: str, value: object) -> object:
    if name in _CHOICES:
        valid, wanted = value in _CHOICES[name], " or ".join(_CHOICES[name])
    elif name in _FLAGS:
        valid, wanted = isinstance(value, bool), "true or false"
    elif name in _SIZES:
        valid = isinstance(value, list | tuple) and all(_size(v) for v in value)
        wanted, value = "a list of positive integers", tuple(value) if isinstance(value, list | tuple) else value
    elif name == "layer_norm_eps":
        valid, wanted = isinstance(value, float) and value > 0, "a positive number"
    else:
        valid, wanted = _size(value), "a positive integer"
    if not valid:
        raise ConfigurationError(f"{name} in the checkpoint's config.json must be {wanted}")
    return value


def _method(quantisation: object) -> str:
    """Name of the quantisation method, as far as it says one."""
    named = quantisation.get("quant_method") if isinstance(quantisation, Mapping) else None
    return named if isinstance(named, str) else "no quant_method"


def _size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
