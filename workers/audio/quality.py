"""Whether a memo can be scored: how much speech, over what noise, how clipped, how wide, and why not."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy import signal as filters

from schemas.events import FloatArray, Quality
from schemas.settings import Settings
from workers.audio.decode import Decoded
from workers.audio.marker_reliability import fragile_markers
from workers.audio.memo import SAMPLING_RATE

HOP = SAMPLING_RATE // 100
"""Samples between frames: 10 ms."""
HIGH_PASS_HZ = 80.0
"""Below it lie rumble, mains hum's first harmonic and DC, and little speech."""
RANGE_DB = 10.0
"""Speech swings at least this far between its syllables and its floor; hum and hiss do not."""
ABOVE_FLOOR = 0.4
"""Where between floor and peaks, in dB, a frame becomes speech."""
FAINTEST_DB = -75.0
"""Mean power (dB re full scale) below which nothing counts as speech, whatever it stands above."""
BRIDGE_FRAMES = 15
"""Gaps up to 0.15 s are closures within words."""
SHORTEST_FRAMES = 5
VOICED_SHARE = 0.15
"""Less of the louder frames than this being periodic: bursts of noise, not speech."""
PERIODICITY = 0.5
PIECE = 4 * HOP
NOISE_DB = -50.0
"""Median power (dB re full scale) of a memo without speech from which noise may have buried it."""
PITCH_HZ = (60.0, 500.0)
NEAR_PEAK = 0.95
EDGE_DB = 60.0
"""Bandwidth ends where the long-term spectrum stays this far below its peak."""

Frames = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a memo must have: seconds of speech, SNR (dB), at most this share clipped, bandwidth (Hz)."""

    min_speech_s: float
    min_snr_db: float
    max_clipped: float
    min_bandwidth_hz: float

    @classmethod
    def of(cls, settings: Settings) -> "Thresholds":
        """The thresholds among the settings."""
        return cls(settings.min_speech_s, settings.min_snr_db, settings.max_clipped, settings.min_bandwidth_hz)


def assess(decoded: Decoded, thresholds: Thresholds) -> Quality:
    """How much of the memo can be trusted.

    Reasons: `quality:no_speech`, `quality:too_little_speech`, `quality:noisy`, `quality:clipped`,
    `quality:narrow_band`. Where no speech was found the SNR is 0 dB, nothing stands above the floor, and the only other
    reason is noise loud enough to have buried it. Whatever the reasons, `fragile` names the acoustic markers that this
    noise or this band moves.
    """
    heard = high_passed(decoded.signal)
    powers = frame_powers(heard)
    speech = speech_frames(heard, powers)
    speech_s = float(np.count_nonzero(speech)) * HOP / SAMPLING_RATE
    clipped = max(decoded.clipped, clipped_share(decoded.signal))
    bandwidth_hz = bandwidth(decoded.signal, decoded.sampling_rate)
    if speech_s == 0.0:
        noisy = len(powers) > 0 and float(np.median(powers)) > NOISE_DB
        return Quality(0.0, 0.0, clipped, bandwidth_hz, ("quality:no_speech", *(["quality:noisy"] if noisy else [])))
    snr_db = snr(powers, speech)
    rules = {
        "quality:too_little_speech": speech_s < thresholds.min_speech_s,
        "quality:noisy": snr_db < thresholds.min_snr_db,
        "quality:clipped": clipped > thresholds.max_clipped,
        "quality:narrow_band": bandwidth_hz < thresholds.min_bandwidth_hz,
    }
    reasons = tuple(reason for reason, broken in rules.items() if broken)
    return Quality(speech_s, snr_db, clipped, bandwidth_hz, reasons, fragile_markers(snr_db, bandwidth_hz))


def high_passed(signal: FloatArray) -> FloatArray:
    """The signal above 80 Hz."""
    sections = filters.butter(2, HIGH_PASS_HZ, "highpass", fs=SAMPLING_RATE, output="sos").astype(np.float32)
    return np.asarray(filters.sosfilt(sections, signal), np.float32) if len(signal) else signal


def frame_powers(signal: FloatArray) -> NDArray[np.float64]:
    """Mean power of each 10 ms, smoothed over 30 ms, in dB re full scale: (frames,)."""
    frames = len(signal) // HOP
    blocks = signal[: frames * HOP].reshape(frames, HOP)
    power = np.einsum("ij,ij->i", blocks, blocks).astype(np.float64) / HOP
    smooth: NDArray[np.float64] = 10 * np.log10(ndimage.uniform_filter1d(power, 3, mode="nearest") + 1e-12)
    return smooth


def speech_frames(signal: FloatArray, powers: NDArray[np.float64]) -> Frames:
    """Where speech is: frames well above the memo's own floor, if enough of them are periodic: (frames,) bool."""
    if not len(powers):
        return np.zeros(0, bool)
    floor = max(float(np.percentile(_audible(powers), 5)), FAINTEST_DB - RANGE_DB)
    # One second of speech counts as peaks, also where it is little of a long memo.
    loudest = max(min(len(powers) // 20, SAMPLING_RATE // HOP), 1)
    peaks = float(np.partition(powers, -loudest)[-loudest])
    if peaks - floor < RANGE_DB or peaks < FAINTEST_DB:
        return np.zeros(len(powers), bool)
    loud = powers > max(floor + ABOVE_FLOOR * (peaks - floor), peaks - 30.0)
    bridged = ndimage.binary_closing(np.pad(loud, BRIDGE_FRAMES), np.ones(BRIDGE_FRAMES))[BRIDGE_FRAMES:-BRIDGE_FRAMES]
    speech: Frames = ndimage.binary_opening(bridged, np.ones(SHORTEST_FRAMES))
    return speech if voiced_share(signal, speech) >= VOICED_SHARE else np.zeros(len(powers), bool)


def _audible(powers: NDArray[np.float64]) -> NDArray[np.float64]:
    """The frames that hold more than digital silence, which says nothing of the room; all, if none does."""
    audible = powers[powers > FAINTEST_DB - RANGE_DB]
    return audible if len(audible) else powers


def voiced_share(signal: FloatArray, frames: Frames, most: int = 200) -> float:
    """Share of the given frames that are periodic between 60 and 500 Hz; looks at `most` of them, evenly spread."""
    starts = np.flatnonzero(frames) * HOP
    starts = starts[starts + PIECE <= len(signal)]
    if not len(starts):
        return 0.0
    starts = starts[np.linspace(0, len(starts) - 1, min(most, len(starts))).astype(int)]
    pieces = signal[starts[:, None] + np.arange(PIECE)]
    spectrum = np.abs(fft.rfft(pieces - pieces.mean(axis=1, keepdims=True), 2 * PIECE)) ** 2
    correlation = fft.irfft(spectrum)[:, :PIECE]
    shortest, longest = (int(SAMPLING_RATE / hz) for hz in reversed(PITCH_HZ))
    # Fewer products enter at longer lags: weighed back, so that a pure tone has 1 at its period.
    at_lag = correlation[:, shortest:longest] / (1 - np.arange(shortest, longest) / PIECE)
    # A peak, not the slope that any low-pitched noise has at short lags.
    inner = at_lag[:, 1:-1]
    peaks = np.where((inner >= at_lag[:, :-2]) & (inner >= at_lag[:, 2:]), inner, 0.0).max(axis=1)
    return float(np.mean(peaks > PERIODICITY * np.maximum(correlation[:, 0], 1e-12)))


def snr(powers: NDArray[np.float64], speech: Frames) -> float:
    """Mean speech power over the floor's, in dB, the floor taken out of the speech first.

    The floor is the memo's quietest tenth: clips cut close to the words have no longer pause to take it from.
    """
    linear, audible = 10 ** (powers / 10), _audible(powers)
    floor = float(np.mean(10 ** (audible[audible <= np.percentile(audible, 10)] / 10)))
    loud = float(np.mean(linear[speech]))
    return float(10 * np.log10(max(loud - floor, 1e-12) / max(floor, 1e-12)))


def clipped_share(signal: FloatArray) -> float:
    """Share of samples within 5 % of the peak, which is small for speech and large where tops were cut flat.

    Also finds clipping that happened before a change of level, a codec or resampling. Below 0.003 on clean speech.
    """
    peak = float(max(signal.max(initial=0.0), -signal.min(initial=0.0)))
    near = np.count_nonzero(signal >= NEAR_PEAK * peak) + np.count_nonzero(signal <= -NEAR_PEAK * peak)
    return float(near / len(signal)) if peak > 0.0 else 0.0


def bandwidth(signal: FloatArray, sampling_rate: int, most: int = 1000) -> float:
    """Highest frequency (Hz) that carries signal: where the long-term spectrum last stands within 60 dB of its peak.

    sampling_rate: of the original, half of which is an upper bound; most: stretches of 32 ms, evenly spread, that the
    spectrum is the mean of.
    """
    width = 512
    if len(signal) < width or not np.any(signal):
        return 0.0
    starts = np.linspace(0, len(signal) - width, min(most, len(signal) // width)).astype(int)
    pieces = signal[starts[:, None] + np.arange(width)]
    shaped = (pieces - pieces.mean(axis=1, keepdims=True)) * np.hanning(width).astype(np.float32)
    density = np.mean(np.abs(fft.rfft(shaped)) ** 2, axis=0)[1:]
    heard = np.flatnonzero(density > density.max() * 10 ** (-EDGE_DB / 10)) + 1
    return float(min(heard.max(initial=0) * SAMPLING_RATE / width, sampling_rate / 2))
