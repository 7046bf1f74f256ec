from dataclasses import fields

import pytest

from schemas.errors import ConfigurationError
from workers.wav2vec2.config import EncoderConfig


def test_defaults_are_those_of_hugging_face() -> None:
    from transformers import Wav2Vec2Config

    theirs = Wav2Vec2Config()

    for field in fields(EncoderConfig):
        value = getattr(theirs, field.name)
        assert getattr(EncoderConfig(), field.name) == (tuple(value) if isinstance(value, list) else value), field.name


def test_frames_and_receptive_field_of_the_base_model() -> None:
    config = EncoderConfig()

    assert (config.receptive_field, config.hop) == (400, 320)
    assert [config.frames(samples) for samples in (0, 399, 400, 719, 720, 240_000)] == [0, 0, 1, 1, 2, 749]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"model_type": "hubert"}, "hubert"),
        ({}, "no stated type"),
        ({"model_type": "wav2vec2", "add_adapter": True}, "adapter"),
        ({"model_type": "wav2vec2", "hidden_size": "768"}, "hidden_size"),
        ({"model_type": "wav2vec2", "hidden_size": 770}, "num_attention_heads"),
        ({"model_type": "wav2vec2", "conv_dim": [512, 512]}, "conv_dim"),
        ({"model_type": "wav2vec2", "conv_stride": [5, 0, 2, 2, 2, 2, 2]}, "conv_stride"),
        ({"model_type": "wav2vec2", "hidden_act": "mish"}, "hidden_act"),
        ({"model_type": "wav2vec2", "feat_extract_norm": ["group"]}, "feat_extract_norm"),
        ({"model_type": "wav2vec2", "conv_bias": "no"}, "conv_bias"),
        ({"model_type": "wav2vec2", "layer_norm_eps": 0}, "layer_norm_eps"),
    ],
)
def test_a_configuration_that_cannot_be_computed_is_named(values: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        EncoderConfig.parse(values)


def test_the_digest_follows_every_field() -> None:
    digests = {EncoderConfig().digest, EncoderConfig(conv_bias=True).digest, EncoderConfig(num_hidden_layers=11).digest}

    assert len(digests) == 3


@pytest.mark.parametrize("key", ["quantization_config", "compression_config"])
@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes", "fp8", None])
def test_a_quantised_checkpoint_is_refused_with_its_method(key: str, method: str | None) -> None:
    values = {"model_type": "wav2vec2", key: {"bits": 8} | ({"quant_method": method} if method else {})}

    with pytest.raises(ConfigurationError, match=f"{key}.*{method or 'no quant_method'}"):
        EncoderConfig.parse(values)


def test_an_empty_quantization_config_is_none() -> None:
    assert EncoderConfig.parse({"model_type": "wav2vec2", "quantization_config": None}) == EncoderConfig()
