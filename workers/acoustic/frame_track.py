"""The input of the markers: one memo, frame by frame, all descriptors at the same moments. Pure."""

from dataclasses import dataclass

import numpy as np

from schemas.events import FloatArray
from workers.acoustic.creak import creak_frames
from workers.acoustic.feature_names import LLD_NAMES
from workers.acoustic.glottal_periods import Periods, periods
from workers.acoustic.pitch import pitch_track
from workers.acoustic.speech_activity import Mask, audible_frames, voiced_speech_frames

HALF_FRAME_S = 0.01
"""Frame i is centred at i × hop + this."""

LOWEST, HIGHEST = 0.6, 1.9
"""Pitch below this share of the memo's lower quartile, or above this multiple of the upper, is an octave error."""

MANY_FRAMES = 1500
"""With more modal frames than this, only every second one is measured, to save time."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Frame-wise descriptors of one memo.

    loudness: (frames,) eGeMAPS loudness; pitch_hz: (frames,), 0 without voice, valid where `modal`; modal:
    (frames,) voiced, audible, and not vocal fry; creak: (frames,) vocal fry; speech: (frames,) voiced or loud;
    pulses: periods and amplitudes at the modal frames, or every second one past MANY_FRAMES; hop_s: seconds between
    frames.
    """

    loudness: FloatArray
    pitch_hz: FloatArray
    modal: Mask
    creak: Mask
    speech: Mask
    pulses: Periods
    hop_s: float

    @property
    def voiced(self) -> Mask:
        """(frames,) modal voice or vocal fry."""
        return self.modal | self.creak


def voice_track(signal: FloatArray, lld: FloatArray, hop_s: float) -> Track:
    """Combine openSMILE's descriptors with measurements of the signal.

    signal: (samples,) float32 at SAMPLING_RATE; lld: (frames, 25) by LLD_NAMES.
    """
    loudness = lld[:, LLD_NAMES.index("Loudness_sma3")]
    moments_s = np.arange(len(lld)) * hop_s + HALF_FRAME_S
    audible = audible_frames(loudness)
    creak = creak_frames(signal, moments_s) & audible
    pitch_hz = pitch_track(signal, moments_s, audible)
    modal = _in_range(pitch_hz, (pitch_hz > 0) & ~creak)
    measured = np.flatnonzero(modal)
    if len(measured) > MANY_FRAMES:
        measured = measured[::2]
    return Track(
        loudness=loudness,
        pitch_hz=pitch_hz,
        modal=modal,
        creak=creak,
        speech=voiced_speech_frames(loudness, modal | creak, hop_s),
        pulses=periods(signal, moments_s[measured], pitch_hz[measured]),
        hop_s=hop_s,
    )


def _in_range(pitch_hz: FloatArray, voiced: Mask) -> Mask:
    """The voiced frames whose pitch is plausible for this voice."""
    if not voiced.any():
        return voiced
    lower, upper = np.percentile(pitch_hz[voiced], [25, 75])
    return np.asarray(voiced & (pitch_hz > LOWEST * lower) & (pitch_hz < HIGHEST * upper))
