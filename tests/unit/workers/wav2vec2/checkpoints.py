"""Small random checkpoints, as objects and as folders in Hugging Face's layout."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from schemas.events import FloatArray
from workers.wav2vec2.checkpoint import Checkpoint
from workers.wav2vec2.config import EncoderConfig

GROUP = EncoderConfig(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=48,
    conv_dim=(16,) * 7,
    num_conv_pos_embeddings=32,
    num_conv_pos_embedding_groups=4,
    vocab_size=12,
)
LAYER = EncoderConfig(**asdict(GROUP) | {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True})
POSITIONAL = "encoder.pos_conv_embed.conv"


def random_weights(config: EncoderConfig, *, head: bool = True) -> dict[str, FloatArray]:
    """Weights of a size that keeps activations near 1, so that a difference between outputs means something."""
    rng = np.random.default_rng(3)
    shapes = config.shapes() | (config.head_shapes() if head else {})
    weights = {}
    for name, shape in shapes.items():
        if len(shape) > 1:
            values = rng.normal(0, 1.4 / np.sqrt(np.prod(shape[1:])), shape)
        else:
            values = rng.normal(1.0 if name.endswith("norm.weight") else 0.0, 0.2, shape)
        weights[name] = values.astype(np.float32)
    return weights


def tiny(config: EncoderConfig) -> Checkpoint:
    return Checkpoint(config, random_weights(config), normalise=True, weights_hash="0" * 64)


def write(folder: Path, config: EncoderConfig, tensors: dict[str, FloatArray], **extra: object) -> Path:
    """A checkpoint folder with these very tensors in one file."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "wav2vec2"} | asdict(config) | extra))
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True, "sampling_rate": 16000}))
    return folder


def noise(seconds: float, seed: int = 0) -> FloatArray:
    """A signal with some colour and an offset, so that its normalisation matters."""
    rng = np.random.default_rng(seed)
    white = rng.normal(size=round(seconds * 16000))
    return (0.02 + 0.1 * np.convolve(white, [1.0, 0.8, 0.5], mode="same")).astype(np.float32)
