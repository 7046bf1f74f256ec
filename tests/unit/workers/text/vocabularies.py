"""A vocabulary like that of facebook/wav2vec2-base-960h, 32 outputs, and a small encoder with a head for it."""

import json
from pathlib import Path

import numpy as np

from schemas.events import FloatArray
from workers.wav2vec2 import checkpoint
from workers.wav2vec2.config import EncoderConfig

LETTERS = "ETAONIHSRDLUMWCFGYPBVK'XJQZ"
TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "|", *LETTERS)
SMALL = EncoderConfig(
    hidden_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=32,
    conv_dim=(16,) * 7,
    num_conv_pos_embeddings=8,
    num_conv_pos_embedding_groups=2,
)


def write_vocabulary(folder: Path, tokens: tuple[str, ...] = TOKENS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: position for position, token in enumerate(tokens)}))
    return folder


def checkpoint_folder(folder: Path, *, head: bool = True) -> Path:
    """A checkpoint with weights drawn at random, of which the head writes many words."""
    random = np.random.default_rng(5)
    shapes = SMALL.shapes() | (SMALL.head_shapes() if head else {})
    checkpoint.save(folder, SMALL, {name: _drawn(random, name, shape) for name, shape in shapes.items()})
    return write_vocabulary(folder)


def _drawn(random: np.random.Generator, name: str, shape: tuple[int, ...]) -> FloatArray:
    if name == "lm_head.bias":  # blanks and delimiters are frequent
        return np.float32(2.0) * np.isin(np.arange(len(TOKENS)), (0, 4)).astype(np.float32)
    if name.endswith("bias"):
        return np.zeros(shape, np.float32)
    if len(shape) == 1:  # the gain of a normalisation
        return np.ones(shape, np.float32)
    return random.normal(0, 2 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
