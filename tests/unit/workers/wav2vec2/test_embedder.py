from collections.abc import Sequence
from dataclasses import replace

import keras
import numpy as np
import pytest

from schemas.events import FloatArray
from tests.unit.workers.wav2vec2.checkpoints import GROUP, LAYER, noise, tiny
from workers.wav2vec2 import compilation
from workers.wav2vec2.checkpoint import Checkpoint
from workers.wav2vec2.embedder import Embedder
from workers.wav2vec2.engines.engine import Program


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    """Windows of one second, so that a few seconds make a long memo."""
    return Embedder(tiny(LAYER), window_s=1.0, batch_s=6.0, row_lengths=(22_400,))


def test_a_long_signal_is_normalised_whole_and_cut(embedder: Embedder) -> None:
    signal = np.concatenate([noise(1.0), 0.05 * noise(1.0, 1), noise(1.3, 2)])

    (embedding,) = embedder.embed_frames([signal])

    assert embedding.windows.shape == (3, LAYER.hidden_size)
    assert embedding.frame_counts.tolist() == [49, 49, LAYER.frames(20_800)]
    # The second window as the encoder sees it: scaled by the whole signal's deviation, not its own.
    scaled = (signal - signal.mean()) / np.sqrt(signal.var() + 1e-7)
    as_it_is = Embedder(tiny_raw(), window_s=1.0, row_lengths=(22_400,))
    (window,) = as_it_is.embed([scaled[16_000:32_000]])
    np.testing.assert_allclose(embedding.windows[1], window.windows[0], rtol=0, atol=1e-4)


def test_windows_and_summary_are_means_over_frames(embedder: Embedder) -> None:
    (embedding,) = embedder.embed_frames([noise(2.3)])

    assert embedding.frames is not None
    first, second = np.split(embedding.frames, [49])
    np.testing.assert_allclose(embedding.windows, [first.mean(axis=0), second.mean(axis=0)], rtol=0, atol=1e-5)
    np.testing.assert_allclose(embedding.summary, embedding.frames.mean(axis=0), rtol=0, atol=1e-5)


def test_embeddings_without_frames_are_the_same(embedder: Embedder) -> None:
    signals = [noise(0.5), noise(3.2, 1), noise(0.1, 2)]

    for lean, full in zip(embedder.embed(signals), embedder.embed_frames(signals), strict=True):
        assert lean.frames is None
        np.testing.assert_allclose(lean.windows, full.windows, rtol=0, atol=1e-5)


def test_silence_is_finite_and_too_short_is_refused(embedder: Embedder) -> None:
    (embedding,) = embedder.embed([np.zeros(16_000, np.float32)])

    assert embedding.finite
    with pytest.raises(ValueError, match="400 samples"):
        embedder.embed([np.zeros(399, np.float32)])
    assert embedder.embed([]) == []


def test_logits_need_a_head(embedder: Embedder) -> None:
    (embedding,) = embedder.embed_logits([noise(0.5)])

    assert embedding.frames is not None
    assert embedding.frames.shape == (LAYER.frames(8_000), LAYER.vocab_size)


def test_out_of_memory_halves_the_batch_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = compilation.compiled, []

    def scarce(forward: compilation.Forward, variables: Sequence[keras.Variable]) -> Program:
        """The real program on a device that has room for one row."""
        program = real(forward, variables)

        def run(rows: FloatArray, lengths: FloatArray) -> list[FloatArray]:
            seen.append(len(rows))
            if len(rows) > 1:
                raise MemoryError
            return program(rows, lengths)

        return run

    signals = [noise(0.5, seed) for seed in range(5)]
    expected = Embedder(tiny(GROUP), row_lengths=(22_400,), batch_s=0.1).embed(signals)
    monkeypatch.setattr(compilation, "compiled", scarce)
    short = Embedder(tiny(GROUP), row_lengths=(22_400,), batch_s=6.0)

    embeddings = short.embed(signals)

    assert seen.count(4) == 2, "four rows fail beside another batch, and fail alone"
    assert seen[-5:] == [1] * 5
    assert short.work.halvings == 1
    for one, other in zip(embeddings, expected, strict=True):
        np.testing.assert_allclose(one.windows, other.windows, rtol=0, atol=1e-5)


def test_bfloat16_stays_near_float32() -> None:
    signals = [noise(1.0), noise(0.4, 1)]
    exact = Embedder(tiny(LAYER), row_lengths=(22_400,), batch_s=0.1).embed(signals)

    rounded = Embedder(tiny(LAYER), row_lengths=(22_400,), batch_s=0.1, precision="bfloat16").embed(signals)

    for one, other in zip(rounded, exact, strict=True):
        error = np.linalg.norm(one.summary - other.summary) / np.linalg.norm(other.summary)
        assert 0 < error < 0.03


def tiny_raw() -> Checkpoint:
    return replace(tiny(LAYER), normalise=False)
