"""A source–filter voice with every trait a parameter: glottal pulses through moving formants, phrases and pauses.

Simulated speech, for ground truth and demonstrations. Pitch trackers and voice activity detectors accept it as a voice;
it has no words and says nothing about depression.
Sources: glottal pulse, KLGLOTT88, Klatt & Klatt 1990; vowel formants, Peterson & Barney 1952 (rounded).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal as filters

from schemas.events import FloatArray
from workers.audio.memo import SAMPLING_RATE
from workers.simulation.prosody import CREAK_HZ, TRACK_HZ, Plan, plan

PER_FRAME = SAMPLING_RATE // TRACK_HZ
"""Samples per frame of the track."""
FRAMES_A_BLOCK = 2
RING = SAMPLING_RATE // 40
"""Samples after which the narrowest resonance has decayed by 48 dB."""
CREAK_JITTER, CREAK_SHIMMER, CREAK_OPEN_QUOTIENT = 0.2, 0.3, 0.3
"""Vocal fry: irregular pulses, each short and well apart."""
RETURN_PHASE = 0.25 * 0.75 ** np.arange(24)
"""At 32 kHz, about 0.1 ms: vocal folds do not close instantly."""
PERIOD_DRAW = float(np.sqrt(12 / np.pi))
"""Mean |difference of adjacent periods| when each instant is shifted by a normal draw of SD 1: √6 · √(2/π)."""
AMPLITUDE_DRAW = float(np.sqrt(4 / np.pi))
"""Mean |difference of adjacent amplitudes| when each is a normal draw of SD 1: √2 · √(2/π)."""
BANDWIDTHS_HZ = np.array([70.0, 90.0, 130.0, 250.0, 350.0])
PEAK = 0.98

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Voice:
    """Parameters of a voice.

    f0_hz: median pitch; f0_range_st: P5 to P95 of pitch, semitones; jitter, shimmer: mean difference of adjacent
    periods, amplitudes, as a share of their mean; hnr_db: harmonics over breath noise in voiced sound; creak_share:
    share of voiced time in vocal fry; open_quotient: share of a period with the glottis open; formant_scale: 1 for a
    17.5 cm vocal tract, larger for a shorter one; syllables_per_s: within phrases; pause_share: share of the memo in
    pauses; pauses_per_min: of memo time, no pause under 0.25 s; level_db: RMS of speech re full scale; level_sd_db: of
    syllables; snr_db: speech over room noise.
    """

    f0_hz: float = 120.0
    f0_range_st: float = 7.0
    jitter: float = 0.008
    shimmer: float = 0.05
    hnr_db: float = 20.0
    creak_share: float = 0.03
    open_quotient: float = 0.6
    formant_scale: float = 1.0
    syllables_per_s: float = 4.5
    pause_share: float = 0.15
    pauses_per_min: float = 15.0
    level_db: float = -26.0
    level_sd_db: float = 2.0
    snr_db: float = 35.0


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Ground truth of one memo.

    pauses: start and end, in seconds; f0_hz: (frames,) pitch every 5 ms, NaN where unvoiced; creak: (frames,) bool;
    jitter, shimmer: of the pulses drawn outside creak, NaN with fewer than three; syllables: count.
    """

    pauses: tuple[tuple[float, float], ...]
    f0_hz: Array
    creak: NDArray[np.bool_]
    jitter: float
    shimmer: float
    syllables: int

    @property
    def creak_share(self) -> float:
        """Share of voiced frames in creak."""
        return int(self.creak.sum()) / max(int(np.isfinite(self.f0_hz).sum()), 1)


def speak(voice: Voice, seconds: float, rng: np.random.Generator) -> tuple[FloatArray, Truth]:
    """A memo of `seconds` in this voice, (samples,) float32 at 16 kHz within [-1, 1], and its ground truth.

    The same generator state gives the same memo. Pauses that do not fit at 0.25 s each are omitted.
    """
    script = plan(
        seconds,
        rng,
        syllables_per_s=voice.syllables_per_s,
        pause_share=voice.pause_share,
        pauses_per_min=voice.pauses_per_min,
        creak_share=voice.creak_share,
        f0_hz=voice.f0_hz,
        f0_range_st=voice.f0_range_st,
        level_sd_db=voice.level_sd_db,
    )
    samples = len(script.speaking) * PER_FRAME
    source, jitter, shimmer = _voiced_source(voice, script, rng)
    tract = _through_formants(source, script.formants_hz * voice.formant_scale)
    speech = tract / max(_rms(tract[source != 0.0]), 1e-9) + _frication(script, rng)
    speech *= 10 ** (voice.level_db / 20) / max(_rms(speech[np.repeat(script.speaking, PER_FRAME)]), 1e-9)
    speech += _room_noise(samples, rng) * 10 ** ((voice.level_db - voice.snr_db) / 20)
    out = np.clip(_fit(speech, round(seconds * SAMPLING_RATE)), -PEAK, PEAK).astype(np.float32)
    return out, Truth(script.pauses, script.f0_hz, script.creak, jitter, shimmer, script.syllables)


def _fit(values: Array, length: int) -> Array:
    return values[:length] if len(values) >= length else np.pad(values, (0, length - len(values)))


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else 0.0


def _voiced_source(voice: Voice, script: Plan, rng: np.random.Generator) -> tuple[Array, float, float]:
    """Differentiated glottal flow with breath noise, (samples,) at 16 kHz, and the jitter and shimmer drawn."""
    f0 = np.nan_to_num(script.f0_hz)
    # Pulses occur where the accumulated phase passes integers; in a pause the phase stops.
    phase = np.concatenate([[0.0], np.cumsum(f0 / TRACK_HZ)])
    times = np.interp(np.arange(1, int(phase[-1])), phase, np.arange(len(phase)) / TRACK_HZ)
    frames = (times * TRACK_HZ).astype(int)
    at_f0, creak = np.maximum(f0[frames], CREAK_HZ[0]), script.creak[frames]
    times += rng.standard_normal(len(times)) / at_f0 * np.where(creak, CREAK_JITTER, voice.jitter) / PERIOD_DRAW
    amplitudes = 1 + rng.standard_normal(len(times)) * np.where(creak, CREAK_SHIMMER, voice.shimmer) / AMPLITUDE_DRAW
    amplitudes = np.maximum(amplitudes, 0.05)
    open_s = np.where(creak, CREAK_OPEN_QUOTIENT, voice.open_quotient) / at_f0
    pulses = _pulses(times, open_s, amplitudes, len(f0) * PER_FRAME)
    voiced = np.repeat(f0 > 0, PER_FRAME)
    breath = filters.lfilter([1.0], [1.0, -0.8], rng.standard_normal(len(pulses)))
    breath *= _rms(pulses[voiced]) / max(_rms(breath[voiced]), 1e-9) * 10 ** (-voice.hnr_db / 20)
    source = (pulses + breath) * voiced * _upsampled(script.voiced_level)
    return source, *_perturbation(times, 1 / at_f0, amplitudes, creak)


def _pulses(times: Array, open_s: Array, amplitudes: Array, samples: int) -> Array:
    """Differentiated KLGLOTT88 pulses, (samples,) at 16 kHz; each open phase (seconds) closes at its time.

    Generated at twice the rate: the closures are edges, which would alias.
    """
    if not len(times):
        return np.zeros(samples)
    rate = 2 * SAMPLING_RATE
    start, length = (times - open_s)[:, None] * rate, open_s[:, None] * rate
    at = np.ceil(start).astype(int) + np.arange(int(length.max()) + 2)
    u = (at - start) / length
    # Flow u² − u³ over the open phase: its derivative ends at −1, the excitation.
    shape = (2 * u - 3 * u**2) * amplitudes[:, None]
    inside = (at >= 0) & (at < 2 * samples) & (u <= 1)
    drawn = np.bincount(at[inside], shape[inside], minlength=2 * samples)
    rounded = np.convolve(drawn, RETURN_PHASE)[: 2 * samples]
    return np.asarray(filters.resample_poly(rounded, 1, 2))


def _perturbation(times: Array, periods: Array, amplitudes: Array, creak: NDArray[np.bool_]) -> tuple[float, float]:
    """Mean difference of adjacent periods and amplitudes over their means, for three closely spaced pulses."""
    gaps = np.diff(times)
    near = (gaps < 1.5 * periods[1:]) & ~creak[1:] & ~creak[:-1]
    pairs = near[1:] & near[:-1]
    if not pairs.any():
        return float("nan"), float("nan")
    jitter = np.mean(np.abs(np.diff(gaps))[pairs]) / np.mean(gaps[near])
    shimmer = np.mean(np.abs(np.diff(amplitudes))[near]) / np.mean(amplitudes[1:][near])
    return float(jitter), float(shimmer)


def _through_formants(source: Array, formants_hz: Array) -> Array:
    """Filter the source through five resonances that move every 10 ms. formants_hz: (track frames, 5).

    Each block decays in its own filter, so that moving the resonances causes no clicks.
    """
    out = np.zeros(len(source) + RING)
    denominators = _denominators(formants_hz[::FRAMES_A_BLOCK])
    block = FRAMES_A_BLOCK * PER_FRAME
    for number, denominator in enumerate(denominators):
        piece = source[number * block : (number + 1) * block]
        if piece.any():
            padded = np.concatenate([piece, np.zeros(RING)])
            start = number * block
            out[start : start + len(padded)] += filters.lfilter([denominator.sum()], denominator, padded)
    return out[: len(source)]


def _denominators(formants_hz: Array) -> Array:
    """All-pole filters with unit gain at 0 Hz if their sum is the numerator: (rows, 11) from (rows, 5) resonances."""
    radius = np.exp(-np.pi * BANDWIDTHS_HZ / SAMPLING_RATE)
    a1 = -2 * radius * np.cos(2 * np.pi * formants_hz / SAMPLING_RATE)
    out = np.zeros((len(formants_hz), 2 * len(radius) + 1))
    out[:, 0] = 1.0
    for number in range(len(radius)):
        before = out.copy()
        out[:, 1:] += a1[:, number, None] * before[:, :-1]
        out[:, 2:] += radius[number] ** 2 * before[:, :-2]
    return out


def _frication(script: Plan, rng: np.random.Generator) -> Array:
    """Hiss of voiceless consonants, (samples,) at 16 kHz, relative to vowels of RMS 1."""
    hiss = filters.sosfilt(_HISS, rng.standard_normal(len(script.hiss_level) * PER_FRAME))
    return np.asarray(hiss * _upsampled(script.hiss_level))


_HISS = filters.butter(2, (2500.0, 7000.0), "bandpass", fs=SAMPLING_RATE, output="sos")


def _upsampled(track: Array) -> Array:
    """A 200 Hz track at 16 kHz, linearly interpolated."""
    position = np.arange(len(track) * PER_FRAME) / PER_FRAME
    return np.asarray(np.interp(position, np.arange(len(track)) + 0.5, track))


def _room_noise(samples: int, rng: np.random.Generator) -> Array:
    """Noise of RMS 1 that falls by about 6 dB per octave above 300 Hz, like room noise."""
    noise = filters.lfilter([1.0], [1.0, -0.89], rng.standard_normal(samples))
    return np.asarray(noise / max(_rms(noise), 1e-9))
