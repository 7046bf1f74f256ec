"""The inverse transform of a spectrum beside its definition; test_opensmile_pass compares what follows from it."""

import numpy as np
import pytest

from workers.acoustic.opensmile.resampling import PERIOD, POINTS, SAMPLES, resampled


def test_it_is_the_inverse_transform_at_the_other_rate() -> None:
    frame = np.hanning(POINTS) * np.random.default_rng(0).standard_normal(POINTS)
    bins = np.fft.rfft(frame)[: SAMPLES // 2]
    spectrum = np.zeros(POINTS, np.float32)
    spectrum[:SAMPLES:2], spectrum[1:SAMPLES:2] = bins.real, -bins.imag  # openSMILE's sign of the imaginary part
    spectrum[1] = 7.0  # the highest bin, which is above the new rate
    moments = np.arange(SAMPLES)[:, None] * np.arange(1, SAMPLES // 2)
    expected = (bins[0].real + (bins[1:] * np.exp(2j * np.pi * moments / PERIOD)).real.sum(axis=1)) * 2 / POINTS
    samples = np.zeros(SAMPLES, np.float32)
    resampled(spectrum, samples)
    assert samples == pytest.approx(expected, abs=1e-5)


def test_it_adds_term_after_term_in_single_precision() -> None:
    spectrum = np.random.default_rng(1).standard_normal(POINTS).astype(np.float32)
    one = np.float32
    angles = (2 * np.pi * (np.arange(1, SAMPLES // 2) * 3.0)) / PERIOD
    total = spectrum[0]
    for place, angle in enumerate(angles, 1):
        total = one(total + one(spectrum[2 * place] * one(np.cos(angle))))
        total = one(total + one(spectrum[2 * place + 1] * one(np.sin(angle))))
    samples = np.zeros(SAMPLES, np.float32)
    resampled(spectrum, samples)
    assert samples[3] == total * one(2 / POINTS)
