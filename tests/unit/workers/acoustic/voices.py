"""Small signals whose acoustics are known by construction."""

import numpy as np

from schemas.events import FloatArray
from workers.audio.memo import SAMPLING_RATE


def buzz(f0_hz: float, seconds: float, level: float = 0.3) -> FloatArray:
    """A harmonic tone with a falling spectrum: the simplest thing that openSMILE takes for a voice."""
    t = np.arange(round(seconds * SAMPLING_RATE)) / SAMPLING_RATE
    harmonics = range(1, int(4000 / f0_hz))
    tone = np.sum([np.sin(2 * np.pi * k * f0_hz * t) / k for k in harmonics], axis=0)
    return np.asarray(level * tone / np.abs(tone).max(), np.float32)


def silence(seconds: float) -> FloatArray:
    """Digital silence."""
    return np.zeros(round(seconds * SAMPLING_RATE), np.float32)


def noise(seconds: float, level: float = 0.05) -> FloatArray:
    """White noise, the same every time."""
    samples = np.random.default_rng(7).standard_normal(round(seconds * SAMPLING_RATE))
    return np.asarray(np.clip(level * samples, -1, 1), np.float32)
