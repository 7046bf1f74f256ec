import numpy as np
import pytest

from schemas.events import FloatArray
from tests.unit.workers.acoustic.voices import buzz, silence
from workers.acoustic.glottal_periods import Periods, periods
from workers.audio.memo import SAMPLING_RATE


def pulses_at(times_s: FloatArray, amplitudes: FloatArray) -> FloatArray:
    """Band-limited pulses at given times, one second of them."""
    t = np.arange(SAMPLING_RATE) / SAMPLING_RATE
    shapes = [
        a * np.sinc(4000 * (t - s)) * np.exp(-(((t - s) / 0.001) ** 2))
        for s, a in zip(times_s, amplitudes, strict=True)
    ]
    return np.asarray(np.sum(shapes, axis=0), np.float32)


def measured(signal: FloatArray, pitch_hz: float) -> Periods:
    moments = np.arange(0.1, 0.9, 0.01)
    return periods(signal, moments, np.full(len(moments), pitch_hz))


@pytest.mark.parametrize("pitch_hz", [70.0, 123.4, 210.0, 410.0])
def test_a_steady_voice_has_its_period_and_perfect_matches(pitch_hz: float) -> None:
    found = measured(buzz(pitch_hz, 1.0), pitch_hz)
    np.testing.assert_allclose(found.before_s, 1 / pitch_hz, rtol=2e-3)
    np.testing.assert_allclose(found.after_s, 1 / pitch_hz, rtol=2e-3)
    assert found.match_before.min() > 0.98
    assert np.abs(found.step_after_db).max() < 0.2


def test_a_slightly_wrong_expectation_is_put_right() -> None:
    found = measured(buzz(120.0, 1.0), 132.0)
    np.testing.assert_allclose(found.after_s, 1 / 120, rtol=2e-3)


def test_alternating_periods_and_amplitudes_are_seen_as_they_are() -> None:
    gaps = np.tile([0.0080, 0.0084], 60)
    times = np.cumsum(gaps)
    signal = pulses_at(times[times < 1.0], np.tile([1.0, 0.8], 60)[: int((times < 1.0).sum())])
    found = measured(signal, 1 / 0.0082)
    np.testing.assert_allclose(np.abs(found.after_s - found.before_s), 0.0004, atol=3e-5)
    np.testing.assert_allclose(np.abs(found.step_after_db), 20 * np.log10(1 / 0.8), atol=0.2)


def test_silence_matches_nothing_and_breaks_nothing() -> None:
    found = measured(silence(1.0), 120.0)
    assert found.match_before.max() == 0.0
    assert np.isfinite(found.after_s).all()


def test_moments_at_the_very_ends_stay_inside() -> None:
    found = periods(buzz(50.0, 0.1), np.array([0.0, 0.0999]), np.array([50.0, 2000.0]))
    assert np.isfinite(np.array([found.before_s, found.match_after, found.step_before_db])).all()
