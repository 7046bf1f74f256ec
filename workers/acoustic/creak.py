"""Vocal fry: single glottal pulses, slow enough to ring out one by one. Pure.

Pitch trackers lose it, so it is looked for in the signal itself: peaks of short-term power that stand alone, follow
each other at 20 to 72 Hz, and sound alike. After Ishi et al. 2005 (very short-term power peaks, similarity between
pulses), doi:10.21437/Interspeech.2005-321.
"""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import signal as filters

from schemas.events import FloatArray
from workers.acoustic.speech_activity import Mask, Runs, runs
from workers.audio.memo import SAMPLING_RATE

STEP = SAMPLING_RATE // 500
"""Samples between values of short-term power: 2 ms."""
SLOWEST_STEPS, FASTEST_STEPS = 25, 7
"""Distance of neighbouring pulses in steps: 50 to 14 ms, pitch from 20 to 72 Hz."""
STANDS_ALONE_DB = 8.0
"""A pulse has died away this far, before the next one comes."""
FAINTEST_DB = 30.0
"""Pulses this far below the memo's loud frames are noise."""
FEWEST = 2
"""Slow periods in a row: one alone is a plosive before a vowel."""
ALIKE = 0.5
"""Least correlation of two neighbouring pulses' waveforms."""
PULSE = SAMPLING_RATE // 125
"""Samples of a pulse's waveform that are compared: 8 ms."""
BAND_HZ = (100.0, 2000.0)

_BAND = filters.butter(2, BAND_HZ, "bandpass", fs=SAMPLING_RATE, output="sos").astype(np.float32)


def creak_frames(signal: FloatArray, moments_s: NDArray[np.floating[Any]]) -> Mask:
    """Whether each moment lies between two pulses of vocal fry. signal: (samples,); moments_s: (frames,), rising."""
    if len(signal) < 8 * STEP:
        return np.zeros(len(moments_s), bool)
    heard = filters.sosfilt(_BAND, signal).astype(np.float32)
    power = _power_db(heard)
    pulses = _pulses(power)
    if len(pulses) < 2:
        return np.zeros(len(moments_s), bool)
    slow = _alone(power, pulses)
    slow[slow] = _alike(heard, pulses[:-1][slow], pulses[1:][slow])
    slow = runs(slow).at_least(FEWEST).mask(len(slow))
    first, last = np.searchsorted(moments_s, np.stack([pulses[:-1], pulses[1:]])[:, slow] * STEP / SAMPLING_RATE)
    return Runs(first, last).mask(len(moments_s))


def _power_db(heard: FloatArray) -> FloatArray:
    """Power of each 4 ms, every 2 ms: (steps,); step i is centred at i × STEP."""
    halves = np.square(heard[: len(heard) // STEP * STEP]).reshape(-1, STEP).sum(axis=1)
    power: FloatArray = 10 * np.log10(np.maximum(halves + np.concatenate([[0.0], halves[:-1]]), 1e-12))
    return power


def _pulses(power: FloatArray) -> NDArray[np.intp]:
    """Steps at which power peaks: the largest within 4 ms, and loud enough."""
    around = sliding_window_view(np.pad(power, 2, constant_values=-200.0), 5).max(axis=1)
    return np.flatnonzero((power >= around) & (power > np.percentile(power, 95) - FAINTEST_DB))


def _alone(power: FloatArray, pulses: NDArray[np.intp]) -> Mask:
    """Between which neighbouring peaks power falls for the time of vocal fry."""
    gaps = np.diff(pulses)
    slow = (gaps >= FASTEST_STEPS) & (gaps <= SLOWEST_STEPS)
    if slow.any():
        start, end = pulses[:-1][slow], pulses[1:][slow]
        lowest = np.minimum.reduceat(power, np.stack([start + 2, end - 1], axis=1).ravel())[::2]
        slow[slow] = lowest < np.minimum(power[start], power[end]) - STANDS_ALONE_DB
    return slow


def _alike(heard: FloatArray, first: NDArray[np.intp], second: NDArray[np.intp]) -> Mask:
    """Whether the waveforms about two peaks match, at the best of the shifts within 3 ms."""
    pad = PULSE
    padded = np.pad(heard, pad + STEP)
    shift = 3 * SAMPLING_RATE // 1000
    start = pad + STEP - PULSE // 2
    template = sliding_window_view(padded, PULSE)[first * STEP + start]
    wide = sliding_window_view(padded, PULSE + 2 * shift)[np.maximum(second * STEP + start - shift, 0)]
    moved = sliding_window_view(wide, PULSE, axis=1)
    products = np.einsum("np,nsp->ns", template, moved)
    norms = np.linalg.norm(template, axis=1)[:, None] * np.sqrt(np.einsum("nsp,nsp->ns", moved, moved))
    return np.asarray((products / np.maximum(norms, 1e-9)).max(axis=1) > ALIKE)
