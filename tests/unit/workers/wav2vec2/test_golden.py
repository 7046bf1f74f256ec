"""The encoder against reference outputs of PyTorch and transformers, all clips in one batch of mixed lengths."""

from pathlib import Path

import numpy as np
import pytest

from workers.wav2vec2 import checkpoint
from workers.wav2vec2.embedder import Embedder

TOLERANCE = 1e-4
CLIPS = "abcd"

pytestmark = pytest.mark.shared


@pytest.mark.parametrize("name", ["group-norm-ctc", "layer-norm"])
def test_frames_match_the_reference_in_one_batch(shared: Path, name: str) -> None:
    folder = shared / "encoder-golden" / name
    golden = np.load(folder / "golden.npz")
    # One row length and room for all: the four clips, 0.5 to 4.7 s, ride in one batch of four rows.
    embedder = Embedder(checkpoint.load(str(folder)), row_lengths=(80_000,), batch_s=20.0)

    embeddings = embedder.embed_frames([golden[f"{clip}.signal"] for clip in CLIPS])

    assert embedder.work.batches == 1
    for clip, embedding in zip(CLIPS, embeddings, strict=True):
        assert embedding.frames is not None
        np.testing.assert_allclose(embedding.frames, golden[f"{clip}.last_hidden_state"], rtol=0, atol=TOLERANCE)


def test_logits_match_the_reference(shared: Path) -> None:
    folder = shared / "encoder-golden" / "group-norm-ctc"
    golden = np.load(folder / "golden.npz")
    embedder = Embedder(checkpoint.load(str(folder)), row_lengths=(80_000,), batch_s=20.0)

    for clip, embedding in zip(CLIPS, embedder.embed_logits([golden[f"{clip}.signal"] for clip in CLIPS]), strict=True):
        assert embedding.frames is not None
        np.testing.assert_allclose(embedding.frames, golden[f"{clip}.logits"], rtol=0, atol=TOLERANCE)
