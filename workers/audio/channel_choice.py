"""Choose the channel, or the mean of channels, that holds the speech of a file. Pure.

Recorders write a second channel that holds the same signal, its negative, noise, hum, music, nothing, or another
speaker; no rule on the format says which. So the choice is made per file, by what every channel holds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.events import FloatArray
from workers.audio.channels import Choice, Why
from workers.audio.memo import SAMPLING_RATE
from workers.audio.speech_frames import (
    HOP,
    LONGEST_LAG,
    PERIODICITY,
    PIECE,
    SHORTEST_LAG,
    Frames,
    autocorrelation,
    evenly_spaced,
    find_speech,
    loudest_second,
    peaks,
    snr,
)

CORRELATED = 0.9
"""Channels correlated by at least this, of either sign, hold one signal."""
AS_GOOD_DB = 3.0
"""A channel with an SNR this much lower than the best is left out of the mean."""
CLEAN_DB = 30.0
"""An SNR above this does not make speech any better."""
ACCEPTABLE = 0.5
"""A channel is a candidate if its worth is at least this share of the best."""
CLIPPED_MAX, CLIPPED_WORTH = 0.005, 0.4
"""A channel with a larger share of clipped samples is worth this share."""
OWN_DB, OWN_SHARE = 6.0, 0.1
"""Frames this much louder than in the other channels are a channel's own; with such a share of them, a speaker's."""
TOGETHER_SHARE = 0.2
"""Speakers take turns: with a larger share of frames that are as loud in two channels, one of them holds no speaker."""
STEADY_ST = 0.1
"""Pitch that moves less in 10 ms, in semitones, is steady: a note's, seldom a voice's."""
STEADY_SPEECH, STEADY_MUSIC = 0.5, 0.85
"""Share of steady steps: below the first in all speech tried, above the second in most music."""
LEAST_LIKENESS = 0.05
NEAR_ST = 2.0
"""Larger steps of pitch are another note, or an octave error."""
PAIRS_MAX = 1500
"""Pairs of frames, evenly spaced, whose pitch is compared."""
PIECES_MAX = 2000
"""Pieces of 40 ms, evenly spaced over the speech, that are correlated."""


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What one channel holds.

    powers: (frames,) dB; speech: (frames,); steady: share of its steps of pitch that are steady, 1 without any; worth:
    of its speech, 0 (none) to 1.
    """

    powers: NDArray[np.float64]
    speech: Frames
    snr_db: float
    steady: float
    worth: float


def choose(channel: Callable[[int], FloatArray], clipped: Sequence[float]) -> Choice:
    """The weights of the channels of one file.

    channel: gives the signal of a number from 0, (samples,) at SAMPLING_RATE, and is called for one at a time, because
    long signals are large; clipped: share of clipped samples of each channel.
    """
    each = [heard(channel(number), share) for number, share in enumerate(clipped)]
    best = max(hearing.worth for hearing in each)
    if best == 0.0:
        return Choice(np.full(len(each), 1 / len(each), np.float32), Why.NO_SPEECH)
    candidates = [number for number, hearing in enumerate(each) if hearing.worth >= ACCEPTABLE * best]
    main, why = _main(each, candidates)
    if why is Why.ONE_SIGNAL:
        return _mean(channel, each, candidates, main)
    return Choice(_weights(len(each), {main: 1.0}), why)


def heard(signal: FloatArray, clipped: float) -> Heard:
    """Describe one channel. clipped: share of its samples at full scale."""
    speech = find_speech(signal)
    if not speech.frames.any():
        return Heard(speech.powers, speech.frames, 0.0, 1.0, 0.0)
    snr_db = snr(speech)
    steady = steady_share(speech.filtered, speech.frames)
    likeness = (STEADY_MUSIC - steady) / (STEADY_MUSIC - STEADY_SPEECH)
    worth = float(np.clip(likeness, LEAST_LIKENESS, 1.0) * np.clip(snr_db, 1.0, CLEAN_DB)) / CLEAN_DB
    return Heard(
        speech.powers, speech.frames, snr_db, steady, worth * (CLIPPED_WORTH if clipped > CLIPPED_MAX else 1.0)
    )


def steady_share(signal: FloatArray, speech: Frames) -> float:
    """Share of the steps of pitch, from 10 ms to 10 ms, that are steady: notes have a constant pitch, voices do not."""
    first = np.flatnonzero(speech[:-1] & speech[1:])
    first = first[(first + 1) * HOP + PIECE <= len(signal)]
    if not len(first):
        return 1.0
    first = evenly_spaced(first, PAIRS_MAX)
    pitch, match = _pitch(signal, first * HOP)
    later, later_match = _pitch(signal, first * HOP + HOP)
    steps = np.abs(12 * np.log2(later / pitch))[(match > PERIODICITY) & (later_match > PERIODICITY)]
    steps = steps[steps < NEAR_ST]
    return float(np.mean(steps < STEADY_ST)) if len(steps) else 1.0


def _pitch(signal: FloatArray, starts: NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
    """Pitch (Hz) of the 40 ms at each start, and its periodicity, by autocorrelation."""
    lags = np.arange(SHORTEST_LAG - 1, LONGEST_LAG + 2)
    match = autocorrelation(signal, starts, lags)
    found = peaks(match)
    # The shortest of nearly equal periods: twice a period is a period, too.
    at = np.argmax(found >= 0.9 * found.max(axis=1, keepdims=True), axis=1)
    rows = np.arange(len(at))
    before, peak, after = match[rows, at], match[rows, at + 1], match[rows, at + 2]
    shift = 0.5 * (before - after) / np.minimum(before - 2 * peak + after, -1e-9)
    return SAMPLING_RATE / (lags[at + 1] + np.clip(shift, -0.5, 0.5)), found.max(axis=1)


def _main(each: Sequence[Heard], candidates: Sequence[int]) -> tuple[int, Why]:
    """The channel to use, and why; ONE_SIGNAL where candidates hold the same talk."""
    if len(candidates) == 1:
        alone = sum(hearing.worth > 0.0 for hearing in each) == 1
        return candidates[0], Why.ONLY_SPEECH if alone else Why.BEST_SPEECH
    own, together = _own_frames([each[number] for number in candidates])
    if sorted(own)[-2] >= OWN_SHARE and together > TOGETHER_SHARE:
        return min(candidates, key=lambda number: each[number].steady), Why.BEST_SPEECH
    if sorted(own)[-2] >= OWN_SHARE:
        return candidates[int(np.argmax(own))], Why.MOST_SPEECH
    return max(candidates, key=lambda number: each[number].snr_db), Why.ONE_SIGNAL


def _own_frames(each: Sequence[Heard]) -> tuple[list[float], float]:
    """Of all frames with speech: for each channel, the share in which it is louder, re its peaks, than all others.

    And the share in which two channels hold speech and none is louder.
    """
    frames = min(len(hearing.powers) for hearing in each)
    levels = np.array([hearing.powers[:frames] - loudest_second(hearing.powers) for hearing in each])
    speech = np.array([hearing.speech[:frames] for hearing in each])
    anywhere = max(int(np.count_nonzero(speech.any(axis=0))), 1)
    others = [np.delete(levels, number, axis=0).max(axis=0) for number in range(len(each))]
    own = speech & (levels - np.array(others) > OWN_DB)
    together = (speech.sum(axis=0) > 1) & ~own.any(axis=0)
    return (own.sum(axis=1) / anywhere).tolist(), float(together.sum() / anywhere)


def _mean(channel: Callable[[int], FloatArray], each: Sequence[Heard], candidates: Sequence[int], main: int) -> Choice:
    """The mean of the channels that hold the main one's signal as well as it does, with their signs."""
    starts = evenly_spaced(np.flatnonzero(each[main].speech) * HOP, PIECES_MAX)
    reference = _pieces(channel(main), starts)
    signs = {main: 1.0}
    for number in candidates:
        if number == main or each[number].snr_db < each[main].snr_db - AS_GOOD_DB:
            continue
        correlation = float(np.sum(_pieces(channel(number), starts) * reference))
        if abs(correlation) >= CORRELATED:
            signs[number] = np.sign(correlation)
    first = signs[min(signs)]  # the first channel keeps its sign
    weights = _weights(len(each), {number: sign * first / len(signs) for number, sign in signs.items()})
    return Choice(weights, Why.ONE_SIGNAL if len(signs) > 1 else Why.BEST_SPEECH)


def _pieces(signal: FloatArray, starts: NDArray[np.intp]) -> NDArray[np.float64]:
    """The 40 ms at each start without their means, of norm 1 together; zeros past the end."""
    inside = starts[starts + PIECE <= len(signal)]
    pieces = np.zeros((len(starts), PIECE))
    pieces[: len(inside)] = signal[inside[:, None] + np.arange(PIECE)]
    pieces -= pieces.mean(axis=1, keepdims=True)
    return np.asarray(pieces / max(float(np.linalg.norm(pieces)), 1e-12))


def _weights(channels: int, chosen: dict[int, float]) -> FloatArray:
    weights = np.zeros(channels, np.float32)
    for number, weight in chosen.items():
        weights[number] = weight
    return weights
