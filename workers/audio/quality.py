"""Assess whether a memo can be scored: speech duration, SNR, clipping and bandwidth, with reasons if not."""

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
"""Removes rumble, mains hum's first harmonic and DC, and little speech."""
RANGE_DB = 10.0
"""Minimum range of speech between its syllables and its floor; hum and hiss vary less."""
ABOVE_FLOOR = 0.4
"""Speech threshold in dB, as a share of the range from floor to peaks."""
FAINTEST_DB = -75.0
"""Mean power (dB re full scale) below which nothing counts as speech, whatever the floor."""
BRIDGE_FRAMES = 15
"""Gaps up to 0.15 s are closures within words."""
SHORTEST_FRAMES = 5
VOICED_SHARE = 0.15
"""If fewer of the louder frames are periodic, they are bursts of noise, not speech."""
PERIODICITY = 0.5
PIECE = 4 * HOP
NOISE_DB = -50.0
"""Median power (dB re full scale) above which noise may mask speech in a memo where none was found."""
PITCH_HZ = (60.0, 500.0)
NEAR_PEAK = 0.95
EDGE_DB = 60.0
"""Bandwidth ends where the long-term spectrum stays this far below its peak."""

Frames = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Requirements on a memo: minimum speech (s), minimum SNR (dB), maximum clipped share, minimum bandwidth (Hz)."""

    min_speech_s: float
    min_snr_db: float
    max_clipped: float
    min_bandwidth_hz: float

    @classmethod
    def of(cls, settings: Settings) -> "Thresholds":
        """The thresholds in the settings."""
        return cls(settings.min_speech_s, settings.min_snr_db, settings.max_clipped, settings.min_bandwidth_hz)


def assess(decoded: Decoded, thresholds: Thresholds) -> Quality:
    """Assess the quality of a memo.

    Reasons: `quality:no_speech`, `quality:too_little_speech`, `quality:noisy`, `quality:clipped`,
    `quality:narrow_band`. Where no speech was found the SNR is 0 dB, and the only other reason is noise loud enough to
    mask speech. Whatever the reasons, `fragile` names the acoustic markers that this noise or bandwidth makes
    unreliable.
    """
    filtered = high_passed(decoded.signal)
    powers = frame_powers(filtered)
    speech = energy_speech_frames(filtered, powers)
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


def energy_speech_frames(signal: FloatArray, powers: NDArray[np.float64]) -> Frames:
    """Frames well above the memo's own floor, if enough of them are periodic: (frames,) bool."""
    if not len(powers):
        return np.zeros(0, bool)
    floor = max(float(np.percentile(_audible(powers), 5)), FAINTEST_DB - RANGE_DB)
    # At least one second defines the peaks, so that a long memo with little speech has them too.
    loudest = max(min(len(powers) // 20, SAMPLING_RATE // HOP), 1)
    peaks = float(np.partition(powers, -loudest)[-loudest])
    if peaks - floor < RANGE_DB or peaks < FAINTEST_DB:
        return np.zeros(len(powers), bool)
    loud = powers > max(floor + ABOVE_FLOOR * (peaks - floor), peaks - 30.0)
    bridged = ndimage.binary_closing(np.pad(loud, BRIDGE_FRAMES), np.ones(BRIDGE_FRAMES))[BRIDGE_FRAMES:-BRIDGE_FRAMES]
    speech: Frames = ndimage.binary_opening(bridged, np.ones(SHORTEST_FRAMES))
    return speech if voiced_share(signal, speech) >= VOICED_SHARE else np.zeros(len(powers), bool)


def _audible(powers: NDArray[np.float64]) -> NDArray[np.float64]:
    """The frames above digital silence, which does not reflect room noise; all frames if none is."""
    audible = powers[powers > FAINTEST_DB - RANGE_DB]
    return audible if len(audible) else powers


def voiced_share(signal: FloatArray, frames: Frames, most: int = 200) -> float:
    """Share of the given frames that are periodic between 60 and 500 Hz, from at most `most`, evenly spaced."""
    starts = np.flatnonzero(frames) * HOP
    starts = starts[starts + PIECE <= len(signal)]
    if not len(starts):
        return 0.0
    starts = starts[np.linspace(0, len(starts) - 1, min(most, len(starts))).astype(int)]
    pieces = signal[starts[:, None] + np.arange(PIECE)]
    spectrum = np.abs(fft.rfft(pieces - pieces.mean(axis=1, keepdims=True), 2 * PIECE)) ** 2
    correlation = fft.irfft(spectrum)[:, :PIECE]
    shortest, longest = (int(SAMPLING_RATE / hz) for hz in reversed(PITCH_HZ))
    # Longer lags sum fewer products: normalised, so that a pure tone has 1 at its period.
    at_lag = correlation[:, shortest:longest] / (1 - np.arange(shortest, longest) / PIECE)
    # Peaks only: low-pitched noise has a slope at short lags.
    inner = at_lag[:, 1:-1]
    peaks = np.where((inner >= at_lag[:, :-2]) & (inner >= at_lag[:, 2:]), inner, 0.0).max(axis=1)
    return float(np.mean(peaks > PERIODICITY * np.maximum(correlation[:, 0], 1e-12)))


def snr(powers: NDArray[np.float64], speech: Frames) -> float:
    """Ratio of mean speech power to floor power in dB, after subtracting the floor from the speech.

    The floor is the memo's quietest tenth, because tightly trimmed clips have no longer pause.
    """
    linear, audible = 10 ** (powers / 10), _audible(powers)
    floor = float(np.mean(10 ** (audible[audible <= np.percentile(audible, 10)] / 10)))
    loud = float(np.mean(linear[speech]))
    return float(10 * np.log10(max(loud - floor, 1e-12) / max(floor, 1e-12)))


def clipped_share(signal: FloatArray) -> float:
    """Share of samples within 5 % of the peak, which is small for speech and large for clipped audio.

    Also detects clipping before a change of level, a codec or resampling. Below 0.003 on clean speech.
    """
    peak = float(max(signal.max(initial=0.0), -signal.min(initial=0.0)))
    near = np.count_nonzero(signal >= NEAR_PEAK * peak) + np.count_nonzero(signal <= -NEAR_PEAK * peak)
    return float(near / len(signal)) if peak > 0.0 else 0.0


def bandwidth(signal: FloatArray, sampling_rate: int, most: int = 1000) -> float:
    """Highest frequency (Hz) at which the long-term spectrum is within 60 dB of its peak.

    sampling_rate: of the original, half of which is an upper bound; most: maximum number of evenly spaced 32 ms
    segments in the mean spectrum.
    """
    width = 512
    if len(signal) < width or not np.any(signal):
        return 0.0
    starts = np.linspace(0, len(signal) - width, min(most, len(signal) // width)).astype(int)
    pieces = signal[starts[:, None] + np.arange(width)]
    shaped = (pieces - pieces.mean(axis=1, keepdims=True)) * np.hanning(width).astype(np.float32)
    density = np.mean(np.abs(fft.rfft(shaped)) ** 2, axis=0)[1:]
    present = np.flatnonzero(density > density.max() * 10 ** (-EDGE_DB / 10)) + 1
    return float(min(present.max(initial=0) * SAMPLING_RATE / width, sampling_rate / 2))
