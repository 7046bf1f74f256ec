"""A source–filter voice whose every trait is set: glottal pulses through moving formants, with phrases and pauses.

Simulated speech, for ground truth and demonstrations. It is heard as a voice by pitch trackers and voice activity
detectors; it says no words and nothing about depression.
Sources: glottal pulse, KLGLOTT88, Klatt & Klatt 1990; vowel formants, Peterson & Barney 1952 (rounded).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal as filters

from schemas.events import FloatArray
from workers.memo import SAMPLING_RATE
from workers.training.phrasing import TRACK_HZ, Plan, plan

RATE = 2 * SAMPLING_RATE
"""Hz. Pulses are drawn at twice the final rate: their closures are edges, which would alias."""
BLOCK = RATE // 80
"""Samples, 12.5 ms, over which formants stand still."""
BANDWIDTHS_HZ = np.array([70.0, 90.0, 130.0, 250.0, 350.0])
PEAK = 0.98

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Voice:
    """How someone speaks.

    f0_hz: median pitch; f0_range_st: P5 to P95 of pitch, semitones; jitter, shimmer: mean difference of neighbouring
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
    """What was really planted in one memo.

    pauses: start and end, in seconds; f0_hz: (frames,) pitch every 5 ms, NaN where unvoiced; creak: (frames,) bool;
    jitter, shimmer: of the pulses drawn outside creak, NaN with fewer than three; syllables: how many.
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
    """A memo of `seconds` in this voice, (samples,) float32 at 16 kHz within [-1, 1], and what is truly in it.

    The same generator state gives the same memo. Pauses that do not fit at 0.25 s each are left out.
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
    samples = round(seconds * RATE)
    source, jitter, shimmer = _voiced_source(voice, script, samples, rng)
    tract = _through_formants(source, script.formants_hz * voice.formant_scale)
    speech = tract / max(_rms(tract[source != 0.0]), 1e-9) + _frication(script, samples, rng)
    speech = filters.resample_poly(speech, 1, 2)
    speaking = np.repeat(script.speaking, SAMPLING_RATE // TRACK_HZ)
    speech = _fit(speech, len(speaking))
    speech *= 10 ** (voice.level_db / 20) / max(_rms(speech[speaking]), 1e-9)
    speech += _room_noise(len(speech), rng) * 10 ** ((voice.level_db - voice.snr_db) / 20)
    out = np.clip(_fit(speech, round(seconds * SAMPLING_RATE)), -PEAK, PEAK).astype(np.float32)
    return out, Truth(script.pauses, script.f0_hz, script.creak, jitter, shimmer, script.syllables)


def _fit(values: Array, length: int) -> Array:
    return values[:length] if len(values) >= length else np.pad(values, (0, length - len(values)))


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else 0.0


def _voiced_source(voice: Voice, script: Plan, samples: int, rng: np.random.Generator) -> tuple[Array, float, float]:
    """Differentiated glottal flow with breath noise, (samples,) at RATE, and the jitter and shimmer drawn."""
    f0 = _upsampled(np.nan_to_num(script.f0_hz), samples, smooth=False)
    voiced = f0 > 0
    # Pulses fall where the accumulated phase passes whole numbers; a pause holds the phase still.
    phase = np.cumsum(np.where(voiced, f0, 0.0)) / RATE
    instants = np.searchsorted(phase, np.arange(1, int(phase[-1]) + 1)) if samples else np.zeros(0, int)
    over = (phase[instants] - np.arange(1, len(instants) + 1)) * RATE / f0[instants]
    times = instants - over
    periods = RATE / f0[instants]
    creak = _upsampled(script.creak.astype(float), samples, smooth=False)[instants] > 0.5
    times += rng.standard_normal(len(times)) * periods * np.where(creak, 0.08, voice.jitter / 1.954)
    amplitudes = 1 + rng.standard_normal(len(times)) * np.where(creak, 0.25, voice.shimmer / 1.128)
    amplitudes = np.maximum(amplitudes, 0.05)
    pulses = _pulses(times, periods, amplitudes, np.where(creak, 0.35, voice.open_quotient), samples)
    level = _upsampled(script.voiced_level, samples, smooth=True) * voiced
    breath = filters.lfilter([1.0], [1.0, -0.9], rng.standard_normal(samples)) * voiced
    breath *= _rms(pulses[voiced]) / max(_rms(breath[voiced]), 1e-9) * 10 ** (-voice.hnr_db / 20)
    return (pulses + breath) * level, *_perturbation(times, periods, amplitudes, creak)


def _pulses(times: Array, periods: Array, amplitudes: Array, open_quotient: Array, samples: int) -> Array:
    """One differentiated KLGLOTT88 pulse per instant, its open phase ending (the closure) at the instant."""
    out = np.zeros(samples)
    if not len(times):
        return out
    width = int(np.ceil((periods * open_quotient).max())) + 2
    first = np.ceil(times - periods * open_quotient).astype(int)
    at = first[:, None] + np.arange(width)
    length = (periods * open_quotient)[:, None]
    u = (at - (times[:, None] - length)) / length
    # Flow u² − u³ over the open phase: its derivative ends at −1, the excitation.
    shape = np.where((u >= 0) & (u <= 1), 2 * u - 3 * u**2, 0.0) * amplitudes[:, None]
    inside = (at >= 0) & (at < samples) & (shape != 0)
    out += np.bincount(at[inside], shape[inside], minlength=samples)[:samples]
    # A return phase of about 0.1 ms: vocal folds do not shut in no time.
    return np.asarray(filters.lfilter([0.25], [1.0, -0.75], out))


def _perturbation(times: Array, periods: Array, amplitudes: Array, creak: NDArray[np.bool_]) -> tuple[float, float]:
    """Mean difference of neighbouring periods and amplitudes over their means, where three pulses follow closely."""
    gaps = np.diff(times)
    near = (gaps < 1.5 * periods[1:]) & ~creak[1:] & ~creak[:-1]
    pairs = near[1:] & near[:-1]
    if not pairs.any():
        return float("nan"), float("nan")
    jitter = np.mean(np.abs(np.diff(gaps))[pairs]) / np.mean(gaps[near])
    shimmer = np.mean(np.abs(np.diff(amplitudes))[near]) / np.mean(amplitudes[1:][near])
    return float(jitter), float(shimmer)


def _through_formants(source: Array, formants_hz: Array) -> Array:
    """The source through five resonances that move every 12.5 ms. formants_hz: (track frames, 5)."""
    out = np.zeros_like(source)
    state = np.zeros((formants_hz.shape[1], 2))
    per_block = TRACK_HZ * BLOCK / RATE
    for number, start in enumerate(range(0, len(source), BLOCK)):
        block = source[start : start + BLOCK]
        if not block.any() and np.abs(state).max() < 1e-6:
            continue
        row = formants_hz[min(int((number + 0.5) * per_block), len(formants_hz) - 1)]
        out[start : start + BLOCK], state = filters.sosfilt(_resonators(row), block, zi=state)
    return out


def _resonators(formants_hz: Array) -> Array:
    """Second-order sections, unit gain at 0 Hz, one a formant."""
    radius = np.exp(-np.pi * BANDWIDTHS_HZ / RATE)
    a1, a2 = -2 * radius * np.cos(2 * np.pi * formants_hz / RATE), radius**2
    zero, one = np.zeros(len(radius)), np.ones(len(radius))
    return np.stack([1 + a1 + a2, zero, zero, one, a1, a2], axis=1)


def _frication(script: Plan, samples: int, rng: np.random.Generator) -> Array:
    """Hiss of voiceless consonants, (samples,) at RATE, relative to vowels of RMS 1."""
    hiss = filters.sosfilt(_HISS, rng.standard_normal(samples))
    return np.asarray(hiss * _upsampled(script.hiss_level, samples, smooth=True))


_HISS = filters.butter(2, (2500.0, 7000.0), "bandpass", fs=RATE, output="sos")


def _upsampled(track: Array, samples: int, *, smooth: bool) -> Array:
    """A 200 Hz track at RATE: linear between frames, or each frame held."""
    position = np.arange(samples) * (TRACK_HZ / RATE)
    if smooth:
        return np.asarray(np.interp(position, np.arange(len(track)) + 0.5, track))
    return np.asarray(track[np.minimum(position.astype(int), len(track) - 1)])


def _room_noise(samples: int, rng: np.random.Generator) -> Array:
    """Noise of RMS 1 that falls by about 6 dB an octave above 300 Hz, as rooms do."""
    noise = filters.lfilter([1.0], [1.0, -0.89], rng.standard_normal(samples))
    return np.asarray(noise / max(_rms(noise), 1e-9))
