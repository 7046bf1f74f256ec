"""Pitch periods, one by one: what jitter, shimmer and the harmonics-to-noise ratio are measured on. Pure.

openSMILE says where voice is and about how high; here each of its voiced frames finds the glottal pulse nearest to it
and that pulse's neighbours, by waveform matching (normalised cross-correlation, as Praat's point process does).
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft

from schemas.events import FloatArray
from workers.memo import SAMPLING_RATE

SHORTEST, LONGEST = 14, 330
"""Expected periods in samples: pitch from about 1150 down to 48 Hz; others are moved to the nearer end."""

RATIO = 1.3
"""Moments whose expected periods differ by less than this factor are worked on together, with windows of one width."""

SEARCH = (0.8, 1.25)
"""A neighbouring pulse is looked for between these multiples of the expected period."""

PEAK_HALF = 0.2
"""Half width, in periods, of the window on a pulse whose level is taken."""

PAD = 3 * LONGEST
"""Zeros on either side, so that no window leaves the signal."""

BLOCK = 2048
"""Moments worked on at once: what they need of memory does not grow with the memo."""

Numbers: TypeAlias = NDArray[np.floating[Any]]
Indices: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Periods:
    """Three pulses in a row about each asked moment. All (moments,) float32.

    before_s, after_s: the two periods; match_before, match_after: correlation of the middle pulse's waveform with its
    neighbours', at most 1; step_before_db, step_after_db: how much louder each pulse is than the one before it.
    """

    before_s: FloatArray
    after_s: FloatArray
    match_before: FloatArray
    match_after: FloatArray
    step_before_db: FloatArray
    step_after_db: FloatArray


def periods(signal: FloatArray, moments_s: Numbers, pitch_hz: Numbers) -> Periods:
    """Find the pulse nearest to each moment, and its two neighbours.

    signal: (samples,) at SAMPLING_RATE; moments_s: (moments,) within the signal; pitch_hz: (moments,), as expected.
    """
    table = np.zeros((6, len(moments_s)), np.float32)
    expected = np.clip(SAMPLING_RATE / np.maximum(pitch_hz, 1.0), SHORTEST, LONGEST)
    centres = np.clip(np.round(moments_s * SAMPLING_RATE).astype(int), 0, max(len(signal) - 1, 0))
    group = np.floor(np.log(expected / SHORTEST) / np.log(RATIO)).astype(int)
    padded = np.pad(signal, PAD)
    for number in np.unique(group):
        members = np.flatnonzero(group == number)
        for start in range(0, len(members), BLOCK):
            chosen = members[start : start + BLOCK]
            table[:, chosen] = _matched(padded, centres[chosen] + PAD, np.round(expected[chosen]).astype(int))
    return Periods(*table)


def _matched(padded: FloatArray, centres: Indices, expected: Indices) -> FloatArray:
    """(6, moments) in the order of Periods; expected: periods in samples, of one group."""
    period = int(expected.max())
    half = period // 2
    reach = int(SEARCH[1] * period) + half + 2
    nearby = np.abs(_around(padded, centres, half))
    pulses = np.clip(centres + np.argmax(nearby, axis=1) - half, PAD, len(padded) - PAD - 1)
    match = _correlation(_around(padded, pulses, reach), reach, half)
    before, match_before, at_before = _best(match[:, reach::-1], expected)
    after, match_after, at_after = _best(match[:, reach:], expected)
    steps = np.diff(_level_db(padded, np.stack([pulses - at_before, pulses, pulses + at_after]), period), axis=0)
    rows = (before / SAMPLING_RATE, after / SAMPLING_RATE, match_before, match_after, *steps)
    return np.array(rows, np.float32)


def _around(padded: FloatArray, centres: Indices, half: int) -> FloatArray:
    """The 2 × half + 1 samples about each centre: (…, 2 × half + 1)."""
    return np.asarray(sliding_window_view(padded, 2 * half + 1)[centres - half])


def _correlation(pieces: FloatArray, reach: int, half: int) -> FloatArray:
    """Normalised correlation of each piece's middle 2 × half + 1 samples with itself moved by −reach … reach.

    Right only for moves that keep the middle inside the piece: the transform is circular and no longer than that.
    """
    size = fft.next_fast_len(2 * reach + 1, real=True)
    template = np.zeros_like(pieces)
    template[:, reach - half : reach + half + 1] = pieces[:, reach - half : reach + half + 1]
    products = fft.irfft(fft.rfft(pieces, size) * np.conj(fft.rfft(template, size)), size)
    correlation = np.concatenate([products[:, -reach:], products[:, : reach + 1]], axis=1)
    total = np.cumsum(np.square(pieces, dtype=np.float64), axis=1)
    energy = np.zeros_like(pieces)
    energy[:, half + 1 : -half] = total[:, 2 * half + 1 :] - total[:, : -2 * half - 1]
    return np.asarray(correlation / np.sqrt(np.maximum(energy * energy[:, reach, None], 1e-12)))


def _best(match: FloatArray, expected: Indices) -> tuple[FloatArray, FloatArray, Indices]:
    """Period in samples, refined by a parabola, its match, and the whole lag. match: (moments, lags from 0)."""
    low, high = int(SEARCH[0] * expected.min()), int(np.ceil(SEARCH[1] * expected.max()))
    lags = np.arange(low, high + 1)
    allowed = (lags >= SEARCH[0] * expected[:, None]) & (lags <= SEARCH[1] * expected[:, None])
    at = low + np.argmax(np.where(allowed, match[:, low : high + 1], -2), axis=1)
    rows = np.arange(len(match))
    left, peak, right = match[rows, at - 1], match[rows, at], match[rows, np.minimum(at + 1, match.shape[1] - 1)]
    curve = left - 2 * peak + right
    shift = np.where(curve < 0, 0.5 * (left - right) / np.where(curve < 0, curve, 1), 0).clip(-0.5, 0.5)
    return at + shift, np.minimum(peak - 0.25 * (left - right) * shift, 1.0), at


def _level_db(padded: FloatArray, centres: Indices, period: int) -> FloatArray:
    """Level about pulses, in dB, under a Hann window, as Praat's amplitude tier takes it: the shape of `centres`."""
    half = max(1, round(PEAK_HALF * period))
    weights = np.square(np.hanning(2 * half + 3)[1:-1]).astype(np.float32)
    power = np.square(_around(padded, centres, half)) @ weights
    level: FloatArray = 10 * np.log10(np.maximum(power, 1e-12))
    return level
