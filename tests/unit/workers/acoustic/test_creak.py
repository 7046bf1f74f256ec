"""Vocal fry: slow pulses that ring out one by one and sound alike, and nothing else."""

from collections.abc import Callable

import numpy as np
import pytest

from schemas.events import FloatArray
from tests.unit.workers.acoustic.voices import buzz, noise, silence
from workers.acoustic.creak import STEP, creak_frames
from workers.acoustic.speech_activity import Mask
from workers.audio.memo import SAMPLING_RATE

Shape = Callable[[int], FloatArray]


def ring(number: int = 0, hertz: float = 500.0) -> FloatArray:
    """One glottal pulse, rung out within 10 ms."""
    t = np.arange(SAMPLING_RATE // 100) / SAMPLING_RATE
    return np.asarray(np.sin(2 * np.pi * hertz * t) * np.exp(-t / 0.0015), np.float32)


def pulses(*at_s: float, seconds: float = 1.0, shape: Shape = ring) -> FloatArray:
    """A pulse at each of these times."""
    signal = np.zeros(round(seconds * SAMPLING_RATE), np.float32)
    for number, start in enumerate(round(second * SAMPLING_RATE) for second in at_s):
        piece = shape(number)[: len(signal) - start]
        signal[start : start + len(piece)] += 0.3 * piece
    return signal


def every(period_s: float, start_s: float = 0.2, end_s: float = 0.8) -> list[float]:
    return list(np.arange(start_s, end_s, period_s))


def moments(signal: FloatArray) -> FloatArray:
    return np.asarray(np.arange(len(signal) // 160) * 0.01 + 0.01, np.float32)


def found(signal: FloatArray) -> Mask:
    return creak_frames(signal, moments(signal))


@pytest.mark.parametrize("hertz", [25.0, 35.0, 50.0, 65.0])
def test_slow_pulses_are_creak_from_the_first_to_the_last(hertz: float) -> None:
    signal = pulses(*every(1 / hertz))
    at, creak = moments(signal), found(signal)
    assert creak[(at > 0.22) & (at < 0.76)].all()
    assert not creak[(at < 0.19) | (at > 0.81)].any()


@pytest.mark.parametrize("hertz", [10.0, 100.0, 180.0])
def test_pulses_that_are_too_slow_or_too_fast_are_none(hertz: float) -> None:
    assert not found(pulses(*every(1 / hertz))).any()


@pytest.mark.parametrize("signal", [buzz(120, 1.0), buzz(90, 1.0), noise(1.0), silence(1.0)])
def test_modal_voice_noise_and_silence_are_none(signal: FloatArray) -> None:
    assert found(signal).mean() < 0.03


def test_two_slow_periods_in_a_row_are_creak_and_one_is_a_plosive() -> None:
    assert not found(pulses(0.30, 0.33)).any()
    assert found(pulses(0.30, 0.33, 0.36)).any()


def test_pulses_that_differ_from_one_another_are_none() -> None:
    rng = np.random.default_rng(1)

    def shape(number: int) -> FloatArray:
        return np.float32(rng.choice([-1.0, 1.0])) * ring(hertz=float(rng.choice([200.0, 330.0, 900.0, 1500.0])))

    alike, unlike = found(pulses(*every(1 / 40))), found(pulses(*every(1 / 40), shape=shape))
    assert unlike.sum() < 0.3 * alike.sum()


def test_pulses_that_do_not_die_away_are_none() -> None:
    def lasting(number: int) -> FloatArray:
        t = np.arange(SAMPLING_RATE // 20) / SAMPLING_RATE
        return np.asarray(np.sin(2 * np.pi * 500 * t) * np.exp(-t / 0.08), np.float32)

    assert not found(pulses(*every(1 / 40), shape=lasting)).any()


def test_faint_pulses_beside_loud_speech_are_noise() -> None:
    faint = pulses(*every(1 / 40))
    loud = np.concatenate([buzz(150, 1.0, level=0.9), silence(0.2)])
    beside = np.concatenate([loud, 0.02 * faint])
    assert not found(beside)[len(loud) // 160 :].any()
    assert found(faint).any()


def test_gain_changes_nothing() -> None:
    signal = pulses(*every(1 / 40))
    np.testing.assert_array_equal(found(0.01 * signal), found(signal))


@pytest.mark.parametrize("samples", [0, 1, 8 * STEP - 1, 8 * STEP])
def test_a_signal_too_short_for_pulses_has_none(samples: int) -> None:
    at = np.array([0.0, 0.01])
    assert creak_frames(noise(1.0)[:samples], at).tolist() == [False, False]
    assert len(creak_frames(noise(1.0)[:samples], at[:0])) == 0
