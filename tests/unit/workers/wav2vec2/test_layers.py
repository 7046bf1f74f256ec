"""The layers of the encoder, held against plain NumPy."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops
from scipy import special

from schemas.events import FloatArray
from tests.unit.workers.wav2vec2.checkpoints import GROUP, LAYER
from workers.wav2vec2 import layers
from workers.wav2vec2.config import EncoderConfig
from workers.wav2vec2.layers import (
    ACTIVATIONS,
    MASKED,
    EncoderLayer,
    PositionalConvolution,
    SelfAttention,
    frame_counts,
    gelu,
    valid_frames,
)

WIDTH, HEADS = 8, 2
RNG = np.random.default_rng(4)


def numbers(*shape: int) -> FloatArray:
    return RNG.normal(size=shape).astype(np.float32)


def array(tensor: object) -> FloatArray:
    found: FloatArray = ops.convert_to_numpy(ops.copy(tensor))
    return found


def attention(*, by_head: bool = False) -> SelfAttention:
    keras.utils.set_random_seed(2)
    return SelfAttention(WIDTH, HEADS, "float32", by_head=by_head)


def attended(layer: SelfAttention, x: FloatArray, bias: FloatArray) -> FloatArray:
    """Attention, one row, head and frame after the other."""
    vectors = x @ array(layer.inward.kernel) + array(layer.inward.bias)
    queries, keys, values = np.split(vectors, 3, axis=-1)
    mixed, size = np.zeros_like(x), WIDTH // HEADS
    for row in range(len(x)):
        for head in range(HEADS):
            at = slice(head * size, (head + 1) * size)
            for frame in range(x.shape[1]):
                logits = keys[row, :, at] @ queries[row, frame, at] / np.sqrt(size) + bias[row, 0, 0]
                mixed[row, frame, at] = special.softmax(logits) @ values[row, :, at]
    return mixed @ array(layer.outward.kernel) + array(layer.outward.bias)


def test_gelu_is_exact_and_every_activation_is_what_its_name_says() -> None:
    x = np.linspace(-6, 6, 101, dtype=np.float32)
    np.testing.assert_allclose(array(gelu(x)), x * special.ndtr(x), atol=1e-6)
    np.testing.assert_allclose(array(ACTIVATIONS["relu"](x)), np.maximum(x, 0))
    for name in ("silu", "swish"):
        np.testing.assert_allclose(array(ACTIVATIONS[name](x)), x * special.expit(x), atol=1e-6)
    approximate = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    np.testing.assert_allclose(array(ACTIVATIONS["gelu_new"](x)), approximate, atol=1e-5)


@given(st.lists(st.integers(0, 50_000), min_size=1, max_size=8))
def test_frames_of_a_tensor_of_lengths_are_those_of_the_configuration(lengths: list[int]) -> None:
    counts = array(frame_counts(GROUP, ops.convert_to_tensor(lengths, "int32")))
    assert np.maximum(counts, 0).tolist() == [GROUP.frames(length) for length in lengths]


def test_counts_after_some_layers_are_those_of_these_layers() -> None:
    lengths = ops.convert_to_tensor([16_000, 400], "int32")
    assert array(frame_counts(GROUP, lengths, layers=1)).tolist() == [3199, 79]
    assert array(frame_counts(GROUP, lengths, layers=0)).tolist() == [16_000, 400]


def test_valid_frames_come_first_and_a_count_below_zero_has_none() -> None:
    valid = array(valid_frames(ops.convert_to_tensor([2, 0, -3, 9], "int32"), 4))
    assert valid.shape == (4, 4, 1)
    assert valid[..., 0].tolist() == [[1, 1, 0, 0], [0] * 4, [0] * 4, [1] * 4]


@pytest.mark.parametrize("frames", [3, 12])
@pytest.mark.parametrize("by_head", [False, True])
def test_attention_is_softmax_of_products(frames: int, by_head: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "BY_HEAD_FRAMES", 10)
    layer, x = attention(by_head=by_head), numbers(2, frames, WIDTH)
    bias = np.where(np.arange(frames) < np.array([[[[frames]]], [[[2]]]]), 0, MASKED).astype(np.float32)
    np.testing.assert_allclose(array(layer(x, bias)), attended(layer, x, bias), atol=1e-5)


def test_a_masked_frame_has_no_say_and_a_row_without_frames_stays_finite() -> None:
    layer, x = attention(), numbers(2, 5, WIDTH)
    bias = np.zeros((2, 1, 1, 5), np.float32)
    bias[0, ..., 3:] = MASKED
    bias[1] = MASKED
    other = x.copy()
    other[0, 3:] = 1e3
    first, again = array(layer(x, bias)), array(layer(other, bias))
    np.testing.assert_allclose(first[0, :3], again[0, :3], atol=1e-6)
    assert np.isfinite(first).all()


def test_large_logits_do_not_overflow() -> None:
    x = 1e3 * numbers(1, 4, WIDTH)
    assert np.isfinite(array(attention()(x, np.zeros((1, 1, 1, 4), np.float32)))).all()


@pytest.mark.parametrize("taps", [4, 5])
@pytest.mark.parametrize("by_group", [False, True])
def test_the_positional_convolution_is_a_grouped_one_centred_on_its_frame(taps: int, by_group: bool) -> None:
    config = replace(GROUP, hidden_size=WIDTH, num_conv_pos_embeddings=taps, num_conv_pos_embedding_groups=2)
    keras.utils.set_random_seed(3)
    layer, x = PositionalConvolution(config, "float32", by_group=by_group), numbers(2, 7, WIDTH)
    layer.bias.assign(numbers(WIDTH))
    kernel = array(layer.kernel)
    padded = np.pad(x, ((0, 0), (taps // 2, taps - 1 - taps // 2), (0, 0)))
    expected = np.zeros_like(x)
    for frame in range(7):
        for group in range(2):
            at = slice(group * 4, group * 4 + 4)
            expected[:, frame, at] = np.einsum("ntc,tcw->nw", padded[:, frame : frame + taps, at], kernel[group])
    expected += array(layer.bias)
    np.testing.assert_allclose(array(layer(x)), expected * special.ndtr(expected), atol=1e-5)


def normed(x: FloatArray) -> FloatArray:
    """Layer norm whose weights are as they began."""
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return np.asarray((x - mean) / np.sqrt(variance + GROUP.layer_norm_eps))


@pytest.mark.parametrize("config", [GROUP, LAYER], ids=["normalised after", "normalised before"])
def test_a_layer_normalises_on_the_side_that_its_configuration_says(config: EncoderConfig) -> None:
    keras.utils.set_random_seed(3)
    small = replace(config, hidden_size=WIDTH, num_attention_heads=HEADS, intermediate_size=12)
    layer, x, bias = EncoderLayer(small, "float32"), numbers(2, 5, WIDTH), np.zeros((2, 1, 1, 5), np.float32)

    def fed_forward(inputs: FloatArray) -> FloatArray:
        inner = inputs @ array(layer.intermediate.kernel)
        return np.asarray((inner * special.ndtr(inner)) @ array(layer.output_dense.kernel))

    if config.do_stable_layer_norm:
        middle = x + attended(layer.attention, normed(x), bias)
        expected = middle + fed_forward(normed(middle))
    else:
        middle = normed(x + attended(layer.attention, x, bias))
        expected = normed(middle + fed_forward(middle))
    np.testing.assert_allclose(array(layer(x, bias)), expected, atol=1e-4)
