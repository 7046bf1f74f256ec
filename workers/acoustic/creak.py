"""Detect vocal fry: single glottal pulses, slow enough to decay one by one. Pure.

Pitch trackers miss it, so it is detected in the signal itself: isolated peaks of short-term power that follow each
other at 20 to 72 Hz and have similar waveforms. After Ishi et al. 2005 (very short-term power peaks, similarity between
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
"""Samples between short-term power values: 2 ms."""
SLOWEST_STEPS, FASTEST_STEPS = 25, 7
"""Distance of adjacent pulses in steps: 50 to 14 ms, pitch from 20 to 72 Hz."""
MIN_DECAY_DB = 8.0
"""Power falls at least this far between two pulses."""
FAINTEST_DB = 30.0
"""Pulses this far below the memo's loud frames are noise."""
MIN_PERIODS = 2
"""Minimum slow periods in a row: a single one is a plosive before a vowel."""
MIN_CORRELATION = 0.5
"""Minimum correlation of two adjacent pulses' waveforms."""
PULSE = SAMPLING_RATE // 125
"""Samples of each pulse's waveform that are compared: 8 ms."""
BAND_HZ = (100.0, 2000.0)

_BAND = filters.butter(2, BAND_HZ, "bandpass", fs=SAMPLING_RATE, output="sos").astype(np.float32)


def creak_frames(signal: FloatArray, moments_s: NDArray[np.floating[Any]]) -> Mask:
    """Whether each moment is between two pulses of vocal fry. signal: (samples,); moments_s: (frames,), ascending."""
    if len(signal) < 8 * STEP:
        return np.zeros(len(moments_s), bool)
    filtered = filters.sosfilt(_BAND, signal).astype(np.float32)
    power = _power_db(filtered)
    pulses = _pulses(power)
    if len(pulses) < 2:
        return np.zeros(len(moments_s), bool)
    slow = _isolated(power, pulses)
    slow[slow] = _similar(filtered, pulses[:-1][slow], pulses[1:][slow])
    slow = runs(slow).at_least(MIN_PERIODS).mask(len(slow))
    first, last = np.searchsorted(moments_s, np.stack([pulses[:-1], pulses[1:]])[:, slow] * STEP / SAMPLING_RATE)
    return Runs(first, last).mask(len(moments_s))


def _power_db(filtered: FloatArray) -> FloatArray:
    """Power of each 4 ms, every 2 ms: (steps,); step i is centred at i × STEP."""
    halves = np.square(filtered[: len(filtered) // STEP * STEP]).reshape(-1, STEP).sum(axis=1)
    power: FloatArray = 10 * np.log10(np.maximum(halves + np.concatenate([[0.0], halves[:-1]]), 1e-12))
    return power


def _pulses(power: FloatArray) -> NDArray[np.intp]:
    """Steps at which power peaks: the largest within 4 ms, and loud enough."""
    around = sliding_window_view(np.pad(power, 2, constant_values=-200.0), 5).max(axis=1)
    return np.flatnonzero((power >= around) & (power > np.percentile(power, 95) - FAINTEST_DB))


def _isolated(power: FloatArray, pulses: NDArray[np.intp]) -> Mask:
    """Which adjacent peaks have the spacing of vocal fry and a drop in power between them."""
    gaps = np.diff(pulses)
    slow = (gaps >= FASTEST_STEPS) & (gaps <= SLOWEST_STEPS)
    if slow.any():
        start, end = pulses[:-1][slow], pulses[1:][slow]
        lowest = np.minimum.reduceat(power, np.stack([start + 2, end - 1], axis=1).ravel())[::2]
        slow[slow] = lowest < np.minimum(power[start], power[end]) - MIN_DECAY_DB
    return slow


def _similar(filtered: FloatArray, first: NDArray[np.intp], second: NDArray[np.intp]) -> Mask:
    """Whether the waveforms around two peaks match at the best shift within 3 ms."""
    pad = PULSE
    padded = np.pad(filtered, pad + STEP)
    shift = 3 * SAMPLING_RATE // 1000
    start = pad + STEP - PULSE // 2
    template = sliding_window_view(padded, PULSE)[first * STEP + start]
    wide = sliding_window_view(padded, PULSE + 2 * shift)[np.maximum(second * STEP + start - shift, 0)]
    shifted = sliding_window_view(wide, PULSE, axis=1)
    products = np.einsum("np,nsp->ns", template, shifted)
    norms = np.linalg.norm(template, axis=1)[:, None] * np.sqrt(np.einsum("nsp,nsp->ns", shifted, shifted))
    return np.asarray((products / np.maximum(norms, 1e-9)).max(axis=1) > MIN_CORRELATION)
