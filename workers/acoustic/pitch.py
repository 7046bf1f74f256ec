"""Pitch and voicing, frame by frame, from the signal's autocorrelation. Pure.

The method and its costs are Boersma's, with the defaults of Praat's `To Pitch (ac)`: Boersma 1993, Proc. Inst. Phonetic
Sciences Amsterdam 17, 97-110. Three things differ: inaudible frames are skipped; a bump of the microphone does not make
speech silent; and the best path is found for short stretches in parallel, each with its neighbourhood.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft

from schemas.events import FloatArray
from workers.acoustic.speech_activity import Mask
from workers.audio.memo import SAMPLING_RATE

FLOOR_HZ, CEILING_HZ = 75.0, 600.0
"""Range of pitch; slower pulses are vocal fry, detected in `creak`."""

WINDOW = round(3 * SAMPLING_RATE / FLOOR_HZ)
"""Samples of a frame: three of the longest periods."""
RATE = SAMPLING_RATE // 2
"""Sampling rate of the autocorrelation in Hz: it needs nothing above 4 kHz, and half the lags suffice."""
SHORTEST, LONGEST = int(RATE / CEILING_HZ), int(np.ceil(RATE / FLOOR_HZ))
"""Lags, at RATE, among which periods are searched."""
SIZE = 2 * fft.next_fast_len(WINDOW // 2 + LONGEST + 2, real=True)

CANDIDATES = 4
"""Pitch candidates per frame, besides unvoiced."""
SILENCE = 0.03
"""Share of the memo's peak below which a frame is silent."""
FAINTEST = 2.0**-15
"""A frame whose peak is below one 16-bit step is silent, even in a memo with nothing louder."""
BUMP = 4.0
"""A peak more than this many times those of loud frames (P95) is a bump of the microphone, not speech."""
VOICING = 0.45
"""Minimum periodicity of voice."""
OCTAVE_COST, JUMP_COST, CHANGE_COST = 0.01, 0.35, 0.14
"""Per octave below the ceiling; per octave from frame to frame; for each start or end of voice."""

BLOCK = 256
"""Frames processed at once: few enough for the processor's caches, and memory does not grow with the memo."""
STRETCH, NEIGHBOURHOOD = 40, 20
"""Frames whose path is kept, and context frames on either side."""


def pitch_track(signal: FloatArray, moments_s: NDArray[np.floating[Any]], audible: Mask) -> FloatArray:
    """Pitch at each moment, in Hz, 0 where there is no voice.

    signal: (samples,) at SAMPLING_RATE; moments_s: (frames,), 10 ms apart; audible: (frames,), False excludes voice.
    """
    hertz = np.zeros((len(moments_s), CANDIDATES + 1), np.float32)
    strength = np.full(hertz.shape, -np.inf, np.float32)
    strength[:, 0] = 2.0
    places = np.flatnonzero(audible)
    centres = np.round(moments_s[places] * SAMPLING_RATE).astype(int)
    frames = sliding_window_view(np.pad(signal, WINDOW), WINDOW)
    peaks = np.zeros(len(places), np.float32)
    for start in range(0, len(places), BLOCK):
        at = slice(start, start + BLOCK)
        pieces = frames[centres[at] + WINDOW - WINDOW // 2]
        pieces -= pieces.mean(axis=1, keepdims=True)
        peaks[at] = np.maximum(pieces.max(axis=1), -pieces.min(axis=1))
        hertz[places[at], 1:], strength[places[at], 1:] = _candidates(pieces)
    strength[places[peaks < FAINTEST], 1:] = -np.inf
    loudest = min(peaks.max(initial=0.0), BUMP * np.percentile(peaks, 95)) if len(peaks) else 0.0
    if loudest > 0.0:
        strength[places, 0] = VOICING + np.maximum(2.0 - peaks / loudest * (1 + VOICING) / SILENCE, 0.0)
    return hertz[np.arange(len(hertz)), _path(hertz, strength)]


@cache
def _window() -> tuple[FloatArray, FloatArray]:
    """Hann window, and its own autocorrelation at lags up to LONGEST + 1."""
    window = np.hanning(WINDOW + 2)[1:-1]
    own = fft.irfft(np.abs(fft.rfft(window, SIZE)) ** 2, SIZE)[: 2 * LONGEST + 3 : 2]
    return window.astype(np.float32), (own / own[0]).astype(np.float32)


def _candidates(pieces: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(frames, CANDIDATES) each: the strongest pitches and their strengths, −inf as padding. Overwrites `pieces`."""
    window, own = _window()
    pieces *= window
    spectrum = fft.rfft(pieces, SIZE)
    power = spectrum.real**2
    power += spectrum.imag**2
    total = power.sum(axis=1) - (power[:, 0] + power[:, -1]) / 2
    correlation = fft.irfft(power[:, : SIZE // 4 + 1], SIZE // 2)[:, SHORTEST - 1 : LONGEST + 2]
    match = correlation * (SIZE / 4 / np.maximum(total, 1e-12))[:, None] / own[SHORTEST - 1 :]
    left, middle, right = match[:, :-2], match[:, 1:-1], match[:, 2:]
    row, at = np.nonzero((middle > left) & (middle >= right) & (middle > 0.5 * VOICING))
    before, peak, after = left[row, at], middle[row, at], right[row, at]
    shift = 0.5 * (before - after) / np.minimum(before - 2 * peak + after, -1e-9)
    hertz = RATE / (at + SHORTEST + shift)
    strength = peak - 0.25 * (before - after) * shift - OCTAVE_COST * np.log2(CEILING_HZ / hertz)
    return _strongest(row, hertz, strength, len(pieces))


def _strongest(
    row: NDArray[np.intp], hertz: FloatArray, strength: FloatArray, rows: int
) -> tuple[FloatArray, FloatArray]:
    """The CANDIDATES strongest of each row, from a flat list: (rows, CANDIDATES) each."""
    order = np.lexsort((-strength, row))
    row = row[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    kept = rank < CANDIDATES
    table = np.zeros((2, rows, CANDIDATES), np.float32)
    table[1] = -np.inf
    table[:, row[kept], rank[kept]] = hertz[order][kept], strength[order][kept]
    return table[0], table[1]


def _path(hertz: FloatArray, strength: FloatArray) -> NDArray[np.intp]:
    """Candidate of each frame on the best path (Viterbi): (frames,). Candidate 0 is unvoiced."""
    count = len(hertz)
    stretches = -(-count // STRETCH)
    steps = STRETCH + 2 * NEIGHBOURHOOD
    places = np.arange(stretches)[:, None] * STRETCH - NEIGHBOURHOOD + np.arange(steps)
    outside = (places < 0) | (places >= count)
    places = places.clip(0, max(count - 1, 0))
    gain = np.where(outside[..., None], 0.0, strength[places]).astype(np.float32)
    pitch = np.log2(np.maximum(hertz, 1.0))[places]
    voiced = np.arange(hertz.shape[1]) > 0
    change = (CHANGE_COST * (voiced[:, None] != voiced)).astype(np.float32)
    both = voiced[:, None] & voiced
    cost = np.where(both, JUMP_COST * np.abs(pitch[:, :-1, :, None] - pitch[:, 1:, None, :]), change)
    cost[outside[:, 1:] | outside[:, :-1]] = 0.0
    came_from = np.zeros((steps, *gain[:, 0].shape), np.intp)
    score = gain[:, 0]
    for step in range(1, steps):
        paths = score[:, :, None] - cost[:, step - 1]
        came_from[step] = paths.argmax(axis=1)
        score = paths.max(axis=1) + gain[:, step]
    chosen = np.zeros((stretches, steps), np.intp)
    chosen[:, -1] = score.argmax(axis=1)
    rows = np.arange(stretches)
    for step in range(steps - 1, 0, -1):
        chosen[:, step - 1] = came_from[step, rows, chosen[:, step]]
    return chosen[:, NEIGHBOURHOOD : NEIGHBOURHOOD + STRETCH].reshape(-1)[:count]
