"""The same encoder on the other backends that are installed here, each in a process of its own."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

GOLDEN = """
import sys
import numpy as np
from workers.wav2vec2 import checkpoint
from workers.wav2vec2.embedder import Embedder
golden = np.load(sys.argv[1] + "/golden.npz")
embedder = Embedder(checkpoint.load(sys.argv[1]), row_lengths=(80_000,), batch_s=20.0)
for clip, embedding in zip("abcd", embedder.embed_frames([golden[c + ".signal"] for c in "abcd"]), strict=True):
    np.testing.assert_allclose(embedding.frames, golden[clip + ".last_hidden_state"], rtol=0, atol=1e-4)
"""


@pytest.mark.shared
@pytest.mark.parametrize("name", ["group-norm-ctc", "layer-norm"])
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_frames_match_the_reference(shared: Path, backend: str, name: str) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed; `pip install {backend}` brings this test")
    environment = {**os.environ, "KERAS_BACKEND": backend}

    done = subprocess.run(
        [sys.executable, "-c", GOLDEN, str(shared / "encoder-golden" / name)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
