"""One contract for every engine that is installed here: what it embeds, and what it refuses."""

import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from keras import ops
from numpy.typing import NDArray

from schemas.errors import ConfigurationError
from schemas.events import FloatArray
from tests.unit.workers.wav2vec2.checkpoints import GROUP, LAYER, noise, random_weights, tiny
from workers.wav2vec2 import checkpoint
from workers.wav2vec2.config import EncoderConfig
from workers.wav2vec2.embedder import Embedder
from workers.wav2vec2.encoder import Encoder
from workers.wav2vec2.engines.choice import this_machine
from workers.wav2vec2.engines.engine import EngineName, Program, Readout, load_engine, out_of_memory
from workers.wav2vec2.engines.graph_program import PIECE

TOLERANCE = 1e-4
CLIPS = "abcd"
ODD = EncoderConfig(
    **asdict(GROUP)
    | {
        "conv_bias": True,
        "hidden_act": "gelu_new",
        "feat_extract_activation": "silu",
        "num_conv_pos_embeddings": 31,
        "do_stable_layer_norm": True,
    }
)
"""What no checkpoint on the hub combines: a bias before group norm, other activations, an odd number of taps."""
CONFIGS = {"group": GROUP, "layer": LAYER, "odd": ODD}

engines = pytest.mark.parametrize("name", get_args(EngineName))
configs = pytest.mark.parametrize("kind", CONFIGS)

ROWS, SAMPLES = 3, 9000
"""The shape of every batch here: XLA compiles once for each configuration."""


def require(name: EngineName) -> None:
    if name not in this_machine().installed:
        pytest.skip(f"{name} is not installed; the extra {name} brings this test")


@cache
def program(name: EngineName, kind: str, readout: Readout) -> Program:
    """Of a small random checkpoint, compiled once; skips where the runtime is not installed."""
    require(name)
    return load_engine(name, tiny(CONFIGS[kind]), "float32", 1).program(readout)


def batch(*signals: FloatArray, padding: float = 0.0) -> tuple[FloatArray, NDArray[np.int32]]:
    """The signals, and rows without a sample after them."""
    rows, lengths = np.full((ROWS, SAMPLES), padding, np.float32), np.zeros(ROWS, np.int32)
    for row, signal in enumerate(signals):
        rows[row, : len(signal)], lengths[row] = signal, len(signal)
    return rows, lengths


@pytest.mark.shared
@pytest.mark.parametrize("name", ["openvino", "onnx"])  # XLA: test_golden
@pytest.mark.parametrize("folder", ["group-norm-ctc", "layer-norm"])
def test_frames_match_the_reference(shared: Path, name: EngineName, folder: str) -> None:
    require(name)
    place = shared / "encoder-golden" / folder
    golden = np.load(place / "golden.npz")
    embedder = Embedder(checkpoint.load(str(place)), row_lengths=(80_000,), batch_s=20.0, engine=name, threads=1)

    embeddings = embedder.embed_frames([golden[f"{clip}.signal"] for clip in CLIPS])

    for clip, embedding in zip(CLIPS, embeddings, strict=True):
        assert embedding.frames is not None
        np.testing.assert_allclose(embedding.frames, golden[f"{clip}.last_hidden_state"], rtol=0, atol=TOLERANCE)


@engines
@configs
def test_every_engine_is_the_keras_encoder(name: EngineName, kind: str) -> None:
    signals = noise(0.5), noise(0.3, 1)
    reference = Encoder(CONFIGS[kind], head=True)
    reference.assign(random_weights(CONFIGS[kind]))
    hidden, _ = reference(*batch(*signals))
    wanted = {Readout.FRAMES: hidden, Readout.LOGITS: reference.logits(hidden)}

    for readout in [Readout.FRAMES] if name == "xla" else Readout:
        means, *rest = program(name, kind, readout)(*batch(*signals))
        assert len(rest) == (0 if readout is Readout.MEANS else 1)
        for row, signal in enumerate(signals):
            frames = CONFIGS[kind].frames(len(signal))
            expected = ops.convert_to_numpy(hidden)[row, :frames]
            np.testing.assert_allclose(means[row], expected.mean(axis=0), rtol=0, atol=TOLERANCE)
            for found in rest:
                expected = ops.convert_to_numpy(wanted[readout])[row, :frames]
                np.testing.assert_allclose(found[row, :frames], expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["openvino", "onnx"])  # XLA takes a signal whole
@configs
def test_a_signal_of_several_pieces_is_the_keras_encoder_too(name: EngineName, kind: str) -> None:
    rows, lengths = np.stack([noise(5.3), noise(5.3, 1)]), np.array([84_800, 40_000], np.int32)
    reference = Encoder(CONFIGS[kind], head=True)
    reference.assign(random_weights(CONFIGS[kind]))
    hidden = ops.convert_to_numpy(reference(rows, lengths)[0])
    _, found = program(name, kind, Readout.FRAMES)(rows, lengths)
    for row, length in enumerate(lengths):
        frames = CONFIGS[kind].frames(int(length))
        assert frames > PIECE
        np.testing.assert_allclose(found[row, :frames], hidden[row, :frames], rtol=0, atol=TOLERANCE)


@engines
@configs
def test_frames_are_the_same_alone_and_in_any_batch_at_any_padding(name: EngineName, kind: str) -> None:
    run, signals = program(name, kind, Readout.FRAMES), [noise(0.5, 1), noise(0.2, 2), noise(0.41, 3)]
    means, together = run(*batch(*signals, padding=3.0))
    for row, signal in enumerate(signals):
        frames = CONFIGS[kind].frames(len(signal))
        # By XLA every shape takes seconds to compile, and `test_exactness` covers it.
        alone = batch(signal) if name == "xla" else (signal[None], np.array([len(signal)], np.int32))
        mean, single = run(*alone)
        assert np.abs(single[0, :frames]).mean() > 0.1
        np.testing.assert_allclose(together[row, :frames], single[0, :frames], rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(means[row], mean[0], rtol=0, atol=TOLERANCE)


@engines
@configs
def test_a_row_without_frames_is_finite_and_silence_too(name: EngineName, kind: str) -> None:
    means, frames = program(name, kind, Readout.FRAMES)(*batch(np.zeros(8000, np.float32)))
    assert np.isfinite(means).all()
    assert np.isfinite(frames).all()


@engines
@configs
def test_a_signal_that_is_not_finite_spoils_its_own_row_alone(name: EngineName, kind: str) -> None:
    broken, sound = noise(0.3), noise(0.3, 1)
    broken[2000] = np.nan
    run = program(name, kind, Readout.FRAMES)
    means, _ = run(*batch(broken, sound))
    assert not np.isfinite(means[0]).any()
    np.testing.assert_allclose(means[1], run(*batch(sound))[0][0], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["openvino", "onnx"])  # XLA: test_embedder
def test_precisions_are_near_float32_or_refused_by_name(name: EngineName) -> None:
    require(name)
    if name == "onnx":
        for precision in ("bfloat16", "int8"):
            with pytest.raises(ConfigurationError, match=f"UNDERTONE_PRECISION={precision}"):
                load_engine(name, tiny(LAYER), precision, 1)
        return
    rounded = load_engine(name, tiny(LAYER), "bfloat16", 1).program(Readout.MEANS)
    signals = batch(noise(0.5), noise(0.4, 1), noise(0.3, 2))
    exact = program(name, "layer", Readout.FRAMES)(*signals)[0]
    error = np.linalg.norm(rounded(*signals)[0] - exact) / np.linalg.norm(exact)
    assert 0 < error < 0.03


@engines
def test_a_precision_that_nobody_has_is_refused(name: EngineName) -> None:
    require(name)
    with pytest.raises(ConfigurationError, match="UNDERTONE_PRECISION=float8"):
        load_engine(name, tiny(GROUP), "float8", 1)


def test_an_engine_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "workers.wav2vec2.engines.openvino.engine", None)
    with pytest.raises(ConfigurationError, match="install the extra openvino"):
        load_engine("openvino", tiny(GROUP), "float32", 1)


class ResourceExhaustedError(Exception):
    """As TensorFlow's is called."""


class OutOfMemoryError(Exception):
    """As PyTorch's is called."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (ResourceExhaustedError(), True),
        (OutOfMemoryError(), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes"), True),
        (RuntimeError("INVALID_ARGUMENT"), False),
        (ValueError("memory"), False),
    ],
)
def test_memory_that_is_spent_is_told_from_a_defect(error: Exception, expected: bool) -> None:
    assert out_of_memory(error) is expected
