"""Int8 on OpenVINO: near float32, the same at any padding, and honest about signals that are not finite."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas.events import FloatArray
from tests.unit.workers.wav2vec2.checkpoints import GROUP, LAYER, noise, tiny
from workers.wav2vec2.config import EncoderConfig
from workers.wav2vec2.engines.engine import Program, Readout, load_engine

pytest.importorskip("openvino")

from workers.wav2vec2.engines.openvino.int8 import HEADROOM, STEPS, Range, step_and_zero

CONFIGS = {"group": GROUP, "layer": LAYER}
configs = pytest.mark.parametrize("kind", CONFIGS)


@cache
def program(kind: str, precision: str) -> Program:
    return load_engine("openvino", tiny(CONFIGS[kind]), precision, 1).program(Readout.FRAMES)


def rows(*signals: FloatArray, padding: float = 0.0, samples: int = 9000) -> tuple[FloatArray, NDArray[np.int32]]:
    made = np.full((len(signals), samples), padding, np.float32)
    for row, signal in zip(made, signals, strict=True):
        row[: len(signal)] = signal
    return made, np.array([len(signal) for signal in signals], np.int32)


@given(st.floats(-1e4, 1e4, width=32), st.floats(-1e4, 1e4, width=32))
def test_zero_is_exact_and_the_widened_range_is_within_one_step(least: float, largest: float) -> None:
    step, zero = step_and_zero(Range(min(least, largest), max(least, largest)))
    assert step > 0
    assert 0 <= zero <= STEPS
    assert -zero * step <= HEADROOM * min(least, largest, 0.0) + step
    assert (STEPS - zero) * step >= HEADROOM * max(least, largest, 0.0) - step


@configs
def test_frames_are_near_those_of_float32_and_of_other_bits(kind: str) -> None:
    given = rows(noise(0.5), noise(0.4, 1))
    found, exact = program(kind, "int8")(*given), program(kind, "float32")(*given)
    frames = _frames(CONFIGS[kind], noise(0.5))
    error = np.linalg.norm(found[1][0, :frames] - exact[1][0, :frames]) / np.linalg.norm(exact[1][0, :frames])
    assert 1e-4 < error < 0.08


@configs
def test_frames_are_the_same_alone_and_in_any_batch_at_any_padding(kind: str) -> None:
    run, signals = program(kind, "int8"), [noise(0.5, 1), noise(0.2, 2), noise(0.41, 3)]
    means, together = run(*rows(*signals, padding=3.0))
    for row, signal in enumerate(signals):
        mean, alone = run(*rows(signal, samples=len(signal)))
        frames = _frames(CONFIGS[kind], signal)
        # A float that differs in its last bit may be rounded to the next of 256 steps.
        assert np.abs(together[row, :frames] - alone[0]).max() < 0.05
        np.testing.assert_allclose(means[row], mean[0], rtol=0, atol=2e-3)


@configs
def test_a_signal_that_is_not_finite_spoils_its_own_row_alone(kind: str) -> None:
    broken, sound = noise(0.3), noise(0.3, 1)
    broken[2000] = np.nan
    means, frames = program(kind, "int8")(*rows(broken, sound))
    assert not np.isfinite(means[0]).any()
    assert not np.isfinite(frames[0]).any()
    np.testing.assert_allclose(means[1], program(kind, "int8")(*rows(sound))[0][0], rtol=0, atol=2e-3)


@configs
def test_every_start_gives_the_same(kind: str) -> None:
    given = rows(noise(0.5))
    other = load_engine("openvino", tiny(CONFIGS[kind]), "int8", 1).program(Readout.FRAMES)
    np.testing.assert_array_equal(program(kind, "int8")(*given)[1], other(*given)[1])


def _frames(config: EncoderConfig, signal: FloatArray) -> int:
    return config.frames(len(signal))
