"""Single pitch periods, from which jitter, shimmer and the harmonics-to-noise ratio are computed. Pure.

The pitch track gives voiced frames and their approximate pitch; here each frame is matched to its nearest glottal pulse
and that pulse's neighbours, by waveform matching (normalised cross-correlation, as Praat's point process does).
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from schemas.events import FloatArray
from workers.audio.memo import SAMPLING_RATE

SHORTEST, LONGEST = 14, 330
"""Expected periods in samples: pitch from about 1150 down to 48 Hz; others are clipped to this range."""

RATIO = 1.3
"""Moments whose expected periods differ by less than this factor are processed together, with windows of one width."""

SEARCH = (0.8, 1.25)
"""A neighbouring pulse is searched between these multiples of the expected period."""

PEAK_HALF = 0.2
"""Half width, in periods, of the window that measures a pulse's level."""

WIDEST = int(1.25 * LONGEST) + LONGEST // 2 + 1
"""Maximum number of samples read on either side of a pulse."""

PAD = WIDEST + 2 * LONGEST
"""Zero padding on either side, so that no window exceeds the signal."""

BLOCK = 2048
"""Moments processed at once, so that memory does not grow with the memo."""

Numbers: TypeAlias = NDArray[np.floating[Any]]
Indices: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Periods:
    """Three consecutive pulses around each requested moment. All (moments,) float32.

    before_s, after_s: the two periods; match_before, match_after: correlation of the middle pulse's waveform with its
    neighbours', at most 1; step_before_db, step_after_db: level of each pulse relative to the previous one.
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
    around = sliding_window_view(np.pad(signal, PAD), 2 * WIDEST + 1)
    for number in np.unique(group):
        members = np.flatnonzero(group == number)
        for start in range(0, len(members), BLOCK):
            chosen = members[start : start + BLOCK]
            table[:, chosen] = _matched(around, centres[chosen], np.round(expected[chosen]).astype(int))
    return Periods(*table)


def _matched(windows: FloatArray, centres: Indices, expected: Indices) -> FloatArray:
    """(6, moments) in the order of Periods.

    windows: (samples, 2 × WIDEST + 1), the neighbourhood of each sample of the padded signal; centres: samples of the
    signal; expected: periods in samples, of one group.
    """
    period = int(expected.max())
    half = period // 2
    lags = np.arange(int(SEARCH[0] * expected.min()) - 1, int(np.ceil(SEARCH[1] * period)) + 2)
    centres = centres + PAD - WIDEST
    nearby = np.abs(_about(windows, centres, half))
    pulses = np.clip(centres + np.argmax(nearby, axis=1) - half, 2 * LONGEST, len(windows) - 2 * LONGEST - 1)
    match_before, match_after = _correlation(_about(windows, pulses, half + int(lags[-1])), half, lags)
    before, match_before, at_before = _best(match_before, lags, expected)
    after, match_after, at_after = _best(match_after, lags, expected)
    steps = np.diff(_level_db(windows, np.stack([pulses - at_before, pulses, pulses + at_after]), period), axis=0)
    rows = (before / SAMPLING_RATE, after / SAMPLING_RATE, match_before, match_after, *steps)
    return np.array(rows, np.float32)


def _about(windows: FloatArray, centres: Indices, half: int) -> FloatArray:
    """A copy of the 2 × half + 1 samples around each centre: (…, 2 × half + 1)."""
    return windows[centres, WIDEST - half : WIDEST + half + 1]


def _correlation(pieces: FloatArray, half: int, lags: Indices) -> tuple[FloatArray, FloatArray]:
    """Normalised correlation of each piece's middle 2 × half + 1 samples with those `lags` before, and after.

    pieces: (moments, 2 × (half + lags[-1]) + 1). Returns (moments, lags) twice.
    """
    reach, width = half + int(lags[-1]), 2 * half + 1
    template = np.ascontiguousarray(pieces[:, reach - half : reach + half + 1])
    total = np.zeros((len(pieces), pieces.shape[1] + 1))
    np.cumsum(np.square(pieces), axis=1, out=total[:, 1:])
    template /= _norm(total, slice(reach - half, reach - half + 1), width)
    windows = sliding_window_view(pieces, width, axis=1)
    sides = slice(0, len(lags)), slice(-len(lags), None)
    before, after = (np.einsum("nlw,nw->nl", windows[:, side], template) / _norm(total, side, width) for side in sides)
    return before[:, ::-1], after


def _norm(total: NDArray[np.float64], starts: slice, width: int) -> FloatArray:
    """Root of the energy of the windows that begin at `starts`. total: cumulative sums of the preceding squares."""
    ends = total[:, width:][:, starts]
    return np.sqrt(np.maximum(ends - total[:, :-width][:, starts], 1e-12)).astype(np.float32)


def _best(match: FloatArray, lags: Indices, expected: Indices) -> tuple[FloatArray, FloatArray, Indices]:
    """Period in samples, by parabolic interpolation, its match, and the integer lag. match: (moments, lags)."""
    low, high = (np.multiply(edge, expected, dtype=np.float32)[:, None] for edge in SEARCH)
    places = lags.astype(np.float32)
    at = np.argmax(np.where((places >= low) & (places <= high), match, np.float32(-2)), axis=1)
    rows = np.arange(len(match))
    left, peak, right = match[rows, at - 1], match[rows, at], match[rows, at + 1]
    curve = left - 2 * peak + right
    shift = np.where(curve < 0, 0.5 * (left - right) / np.where(curve < 0, curve, 1), 0).clip(-0.5, 0.5)
    return lags[at] + shift, np.minimum(peak - 0.25 * (left - right) * shift, 1.0), lags[at]


def _level_db(windows: FloatArray, centres: Indices, period: int) -> FloatArray:
    """Level of each pulse in dB under a Hann window, as in Praat's amplitude tier: the shape of `centres`."""
    half = max(1, round(PEAK_HALF * period))
    weights = np.square(np.hanning(2 * half + 3)[1:-1]).astype(np.float32)
    power = np.square(_about(windows, centres, half)) @ weights
    level: FloatArray = 10 * np.log10(np.maximum(power, 1e-12))
    return level
