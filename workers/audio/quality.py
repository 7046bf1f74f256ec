"""Assess whether a memo can be scored: speech duration, SNR, clipping and bandwidth, with reasons if not."""

from dataclasses import dataclass

import numpy as np
from scipy import fft

from schemas.events import FloatArray, Quality
from schemas.settings import Settings
from workers.audio.decode import Decoded
from workers.audio.marker_reliability import fragile_markers
from workers.audio.memo import SAMPLING_RATE
from workers.audio.speech_frames import HOP, Speech, find_speech, snr
from workers.audio.speech_span import speech_spans

NOISE_DB = -50.0
"""Median power (dB re full scale) above which noise may mask speech in a memo where none was found."""
STEPS_MIN = 4.0
"""Speech of fewer quantisation steps is distorted by them more than one speaker differs from another."""
MARGIN_S = 1.0
"""Seconds around the speech that clipping and bandwidth are measured in."""
NEAR_PEAK = 0.95
EDGE_DB = 60.0
"""Bandwidth ends where the long-term spectrum stays this far below its peak."""


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
    `quality:narrow_band`, `quality:too_quiet`. Where no speech was found the SNR is 0 dB, and the only other reason is
    noise loud enough to mask speech. Whatever the reasons, `fragile` names the acoustic markers that this noise or
    bandwidth makes unreliable. Clipping and bandwidth are those of the part with speech.
    """
    speech = find_speech(decoded.signal)
    speech_s = float(np.count_nonzero(speech.frames)) * HOP / SAMPLING_RATE
    spans = speech_spans(speech.frames, len(decoded.signal), MARGIN_S)
    part = np.concatenate([decoded.signal[start:end] for start, end in spans])
    # The other samples at full scale are counted over the whole file.
    clipped = max(min(decoded.clipped * len(decoded.signal) / max(len(part), 1), 1.0), clipped_share(part))
    bandwidth_hz = bandwidth(part, decoded.sampling_rate)
    if speech_s == 0.0:
        noisy = len(speech.powers) > 0 and float(np.median(speech.powers)) > NOISE_DB
        reasons = ("quality:no_speech", *(["quality:noisy"] if noisy else []))
        return Quality(0.0, 0.0, clipped, bandwidth_hz, reasons, channel=decoded.channel)
    snr_db = snr(speech)
    rules = {
        "quality:too_little_speech": speech_s < thresholds.min_speech_s,
        "quality:noisy": snr_db < thresholds.min_snr_db,
        "quality:clipped": clipped > thresholds.max_clipped,
        "quality:narrow_band": bandwidth_hz < thresholds.min_bandwidth_hz,
        "quality:too_quiet": steps_of_speech(speech, decoded.step) < STEPS_MIN,
    }
    reasons = tuple(reason for reason, broken in rules.items() if broken)
    fragile = fragile_markers(snr_db, bandwidth_hz)
    return Quality(speech_s, snr_db, clipped, bandwidth_hz, reasons, fragile, decoded.channel)


def steps_of_speech(speech: Speech, step: float) -> float:
    """Root mean square of the speech in quantisation steps; infinite where the file has no steps.

    step: of the original samples, re full scale, 0 for none.
    """
    return float(np.sqrt(speech.power)) / step if step > 0.0 else float("inf")


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
