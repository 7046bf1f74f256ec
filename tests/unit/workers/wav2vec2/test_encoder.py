"""The encoder: weights by name, exact at any padding, the same in parts as whole."""

import keras
import numpy as np
import pytest
from keras import ops

from schemas.events import FloatArray
from tests.unit.workers.wav2vec2.checkpoints import GROUP, LAYER, noise, random_weights
from workers.wav2vec2.config import EncoderConfig
from workers.wav2vec2.encoder import Encoder

CONFIGS = pytest.mark.parametrize("config", [GROUP, LAYER], ids=["group", "layer"])


def encoder(config: EncoderConfig, *, head: bool = False, in_parts: bool = False) -> Encoder:
    made = Encoder(config, head=head, in_parts=in_parts)
    made.assign(random_weights(config, head=head))
    return made


def encoded(made: Encoder, *signals: FloatArray, padded_to: int, padding: float = 0.0) -> tuple[FloatArray, FloatArray]:
    """Frames and which of them are valid, of signals in one batch."""
    rows = np.full((len(signals), padded_to), padding, np.float32)
    for row, signal in zip(rows, signals, strict=True):
        row[: len(signal)] = signal
    frames, valid = made(rows, np.array([len(signal) for signal in signals], np.int32))
    return ops.convert_to_numpy(ops.cast(frames, "float32")), ops.convert_to_numpy(valid)


@CONFIGS
@pytest.mark.parametrize("head", [False, True])
def test_weights_come_back_under_the_names_of_the_checkpoint(config: EncoderConfig, head: bool) -> None:
    weights = random_weights(config, head=head)
    found = encoder(config, head=head).weights_by_name()
    assert found.keys() == weights.keys() == (config.shapes() | (config.head_shapes() if head else {})).keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@CONFIGS
def test_a_fresh_encoder_has_weights_of_every_shape_and_they_are_random(config: EncoderConfig) -> None:
    keras.utils.set_random_seed(1)
    one = Encoder(config).weights_by_name()
    assert {name: value.shape for name, value in one.items()} == config.shapes()
    other = Encoder(config).weights_by_name()
    name = "encoder.layers.0.attention.q_proj.weight"
    assert not np.array_equal(one[name], other[name])


@CONFIGS
def test_frames_are_as_many_as_the_configuration_says_and_the_rest_is_not_valid(config: EncoderConfig) -> None:
    long, short = noise(0.5), noise(0.2, 1)
    frames, valid = encoded(encoder(config), long, short, np.zeros(0, np.float32), padded_to=8000)
    assert frames.shape == (3, config.frames(8000), config.hidden_size)
    assert valid[..., 0].sum(axis=1).tolist() == [config.frames(8000), config.frames(3200), 0]
    assert np.isfinite(frames).all()


@CONFIGS
def test_padding_and_what_stands_in_it_change_no_valid_frame(config: EncoderConfig) -> None:
    made, signal = encoder(config), noise(0.25)
    count = config.frames(len(signal))
    (alone, _), (padded, _) = encoded(made, signal, padded_to=4000), encoded(made, signal, padded_to=7000, padding=3.0)
    np.testing.assert_allclose(padded[:, :count], alone, atol=1e-4)
    assert np.abs(alone).mean() > 0.1


@CONFIGS
def test_an_encoder_in_parts_is_the_encoder(config: EncoderConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.wav2vec2.layers.BY_HEAD_FRAMES", 10)
    monkeypatch.setattr("workers.wav2vec2.convolutions.BLOCK_SAMPLES", 3000)
    whole, parts = (encoder(config, in_parts=in_parts) for in_parts in (False, True))
    signals = (noise(0.5), noise(0.3, 1))
    (one, valid), (other, _) = (encoded(made, *signals, padded_to=8000) for made in (whole, parts))
    np.testing.assert_allclose(one * valid, other * valid, atol=1e-4)


def test_the_head_gives_a_logit_per_token_and_without_one_there_are_none() -> None:
    frames = np.random.default_rng(0).normal(size=(1, 3, GROUP.hidden_size)).astype(np.float32)
    weights = random_weights(GROUP)
    logits = ops.convert_to_numpy(encoder(GROUP, head=True).logits(frames))
    np.testing.assert_allclose(logits, frames @ weights["lm_head.weight"].T + weights["lm_head.bias"], atol=1e-4)
    with pytest.raises(ValueError, match="CTC head"):
        encoder(GROUP).logits(frames)


@CONFIGS
def test_in_half_precision_it_is_nearly_the_same(config: EncoderConfig) -> None:
    half = Encoder(config, dtype="bfloat16")
    half.assign(random_weights(config, head=False))
    signal = noise(0.25)
    (exact, _), (rounded, _) = (encoded(made, signal, padded_to=4000) for made in (encoder(config), half))
    error = np.linalg.norm(rounded - exact) / np.linalg.norm(exact)
    assert 0 < error < 0.05
