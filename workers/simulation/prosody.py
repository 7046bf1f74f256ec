"""The timeline of simulated speech: pauses, syllables, pitch and creak on a 200 Hz track."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TRACK_HZ = 200
"""Frames per second."""
SHORTEST_PAUSE_S = 0.25
SHORTEST_PHRASE_S = 0.4
CREAK_HZ = (35.0, 60.0)
SLOW_FRAMES = 60
FARTHEST = 50.0
"""Most spans that a pitch is from its median; contours of speech stay within a few."""
VOWELS_HZ = np.array(
    [
        [700, 1150, 2500, 3500, 4500],  # a
        [530, 1850, 2500, 3500, 4500],  # e
        [280, 2250, 2950, 3600, 4500],  # i
        [500, 900, 2450, 3400, 4500],  # o
        [320, 900, 2250, 3300, 4500],  # u
        [500, 1500, 2500, 3500, 4500],  # schwa
    ],
    dtype=float,
)
NASAL_HZ = np.array([260.0, 1200.0, 2300.0, 3300.0, 4500.0])

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A memo before synthesis; every array has one row per 5 ms.

    pauses: start and end in seconds; speaking: False in pauses; f0_hz: NaN where unvoiced; creak: vocal fry;
    voiced_level, hiss_level: amplitudes; formants_hz: (frames, 5), unscaled; syllables: count.
    """

    pauses: tuple[tuple[float, float], ...]
    speaking: Mask
    f0_hz: Array
    creak: Mask
    voiced_level: Array
    hiss_level: Array
    formants_hz: Array
    syllables: int


def plan(
    seconds: float,
    rng: np.random.Generator,
    *,
    syllables_per_s: float,
    pause_share: float,
    pauses_per_min: float,
    creak_share: float,
    f0_hz: float,
    f0_range_st: float,
    level_sd_db: float,
) -> Plan:
    """Draw a memo. Over voiced frames outside creak, pitch has exactly the requested median and P5–P95 range."""
    frames = max(round(seconds * TRACK_HZ), 1)
    pauses = _pauses(frames, pause_share, pauses_per_min, rng)
    speaking = np.ones(frames, bool)
    for start, end in pauses:
        speaking[start:end] = False
    syllables = [s for start, end in _phrases(frames, pauses) for s in _syllables(start, end, syllables_per_s, rng)]
    voiced, level, hiss, formants = _sounds(frames, syllables, {0, *(end for _, end in pauses)}, level_sd_db, rng)
    creak = _creak(voiced, syllables, creak_share, rng)
    pitch = _pitch(voiced & ~creak, _phrases(frames, pauses), rng) * f0_range_st
    f0 = np.where(creak, _slow(frames, *CREAK_HZ, rng), f0_hz * 2 ** (pitch / 12))
    return Plan(
        tuple((start / TRACK_HZ, end / TRACK_HZ) for start, end in pauses),
        speaking,
        np.where(voiced, f0, np.nan),
        creak,
        level,
        hiss,
        formants,
        len(syllables),
    )


def _pauses(frames: int, share: float, per_min: float, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Start and end frames of pauses, none first or last, together `share` of the memo."""
    total = round(share * frames)
    shortest, phrase = round(SHORTEST_PAUSE_S * TRACK_HZ), round(SHORTEST_PHRASE_S * TRACK_HZ)
    count = max(round(per_min * frames / TRACK_HZ / 60), 1 if share > 0 else 0)
    count = min(count, total // shortest, (frames - total) // phrase - 1)
    if count < 1:
        return []
    lengths = shortest + _split(total - count * shortest, count, rng)
    phrases = phrase + _split(frames - total - (count + 1) * phrase, count + 1, rng)
    starts = np.cumsum(phrases[:-1]) + np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return [(int(start), int(start + length)) for start, length in zip(starts, lengths, strict=True)]


def _split(total: int, parts: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Split `total` into `parts` random integers, moderately unequal."""
    cuts = np.round(np.cumsum(rng.dirichlet(np.full(parts, 3.0)))[:-1] * total).astype(np.int64)
    return np.diff(np.concatenate([[0], cuts, [total]]))


def _phrases(frames: int, pauses: list[tuple[int, int]]) -> list[tuple[int, int]]:
    starts = [0, *(end for _, end in pauses)]
    ends = [*(start for start, _ in pauses), frames]
    return list(zip(starts, ends, strict=True))


def _syllables(start: int, end: int, per_s: float, rng: np.random.Generator) -> list[tuple[int, int]]:
    count = max(round((end - start) / TRACK_HZ * per_s), 1)
    shortest = min(16, (end - start) // count)
    lengths = shortest + _split(end - start - count * shortest, count, rng)
    starts = start + np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return [(int(s), int(s + length)) for s, length in zip(starts, lengths, strict=True)]


def _sounds(
    frames: int, syllables: list[tuple[int, int]], onsets: set[int], level_sd_db: float, rng: np.random.Generator
) -> tuple[Mask, Array, Array, Array]:
    """Voicing, its level, hiss and formants of consonant–vowel syllables.

    onsets: starts of phrases, always voiced, so that a planted pause ends at the start of voice.
    """
    voiced = np.zeros(frames, bool)
    level, hiss = np.zeros(frames), np.zeros(frames)
    formants = np.tile(VOWELS_HZ[-1], (frames, 1))
    for start, end in syllables:
        consonant = min(start + int(rng.uniform(0.2, 0.4) * (end - start)), start + 20)
        loudness = 10 ** (rng.normal(0.0, level_sd_db) / 20)
        target = VOWELS_HZ[rng.integers(len(VOWELS_HZ))]
        kind = rng.random()
        if kind < 0.35 and start not in onsets:  # voiceless
            hiss[start:consonant] = 0.25 * loudness * np.sin(np.pi * np.linspace(0.1, 0.9, consonant - start))
            formants[start:consonant] = target
        else:  # nasal or glide
            voiced[start:consonant] = True
            level[start:consonant] = (0.35 if kind < 0.65 else 0.6) * loudness
            formants[start:consonant] = NASAL_HZ if kind < 0.65 else (target + VOWELS_HZ[-1]) / 2
        voiced[consonant:end] = True
        level[consonant:end] = loudness
        formants[consonant:end] = target
    # Voice fades in and out over 50 ms within voiced sound, as a jaw opens; it stops where the next sound starts.
    smooth = [_smoothed(column, 11) for column in formants.T]
    return voiced, _smoothed(level, 11) * voiced, hiss, np.stack(smooth, axis=1)


def _creak(voiced: Mask, syllables: list[tuple[int, int]], share: float, rng: np.random.Generator) -> Mask:
    """Vocal fry at the ends of random syllables, up to `share` of the voiced frames."""
    creak = np.zeros_like(voiced)
    wanted = round(share * np.count_nonzero(voiced))
    for index in rng.permutation(len(syllables)):
        if wanted <= 0:
            break
        start, end = syllables[index]
        frames = np.flatnonzero(voiced[start:end])[-wanted:] + start
        creak[frames] = True
        wanted -= len(frames)
    return creak


def _pitch(modal: Mask, phrases: list[tuple[int, int]], rng: np.random.Generator) -> Array:
    """A contour that falls over each phrase, with accents; over `modal` its median is 0 and P5–P95 spans 1."""
    contour = _slow(len(modal), -0.5, 0.5, rng)
    for start, end in phrases:
        contour[start:end] += np.linspace(0.5, -0.5, end - start) + rng.normal(0.0, 0.15)
    if not modal.any():
        return contour
    low, middle, high = np.percentile(contour[modal], (5, 50, 95))
    # Over a single frame the span is 0, and the others would be infinitely far from it.
    return np.asarray(np.clip((contour - middle) / max(high - low, 1e-9), -FARTHEST, FARTHEST))


def _smoothed(track: Array, frames: int) -> Array:
    kernel = np.hanning(frames + 2)[1:-1]
    padded = np.pad(track, frames // 2, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), "valid")


def _slow(frames: int, low: float, high: float, rng: np.random.Generator) -> Array:
    """A smooth random curve between low and high, with a turn about every 0.3 s."""
    knots = rng.uniform(low, high, frames // SLOW_FRAMES + 3)
    return _smoothed(np.repeat(knots, SLOW_FRAMES), SLOW_FRAMES + 1)[SLOW_FRAMES // 2 :][:frames]
