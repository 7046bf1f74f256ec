"""What the markers look at: one memo, frame by frame, every descriptor at the same moments. Pure."""

from dataclasses import dataclass

import numpy as np

from schemas.events import FloatArray
from workers.acoustic.creak import creak_frames
from workers.acoustic.names import LLD_NAMES, PITCH_NAMES
from workers.acoustic.periods import Periods, periods
from workers.acoustic.speech import Mask, audible_frames, speech_frames

HALF_FRAME_S = 0.01
"""Frame i is centred at i × hop + this."""

PITCH_LATE_S = 0.02
"""openSMILE centres the 60 ms frames of pitch this much later than the 20 ms frames of loudness of the same number."""


LOWEST, HIGHEST = 0.6, 1.9
"""Pitch below this share of the memo's lower quartile, or above this multiple of its upper, is an octave error."""

MANY_FRAMES = 400
"""With more modal frames than this every second one is measured: their pulses overlap, and the time is saved."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A memo as the markers see it.

    loudness: (frames,) eGeMAPS loudness; pitch_st: (frames,) semitones above 27.5 Hz, meant where `modal`; modal:
    (frames,) voiced, heard, and not in vocal fry; creak: (frames,) vocal fry; speech: (frames,) voiced or loud;
    pulses: periods and amplitudes about the modal frames, or every second one past MANY_FRAMES; hop_s: seconds between
    frames.
    """

    loudness: FloatArray
    pitch_st: FloatArray
    modal: Mask
    creak: Mask
    speech: Mask
    pulses: Periods
    hop_s: float

    @property
    def voiced(self) -> Mask:
        """(frames,) modal voice or vocal fry."""
        return self.modal | self.creak


def voice_track(signal: FloatArray, lld: FloatArray, pitch: FloatArray, hop_s: float) -> Track:
    """Bring together what openSMILE found and what the signal shows.

    signal: (samples,) float32 at SAMPLING_RATE; lld: (frames, 25) by LLD_NAMES; pitch: (frames, 3) by PITCH_NAMES.
    """
    loudness = lld[:, LLD_NAMES.index("Loudness_sma3")]
    pitch_st = _later(pitch[:, PITCH_NAMES.index("F0finalLog_sma3nz")], round(PITCH_LATE_S / hop_s))
    moments_s = np.arange(len(lld)) * hop_s + HALF_FRAME_S
    audible = audible_frames(loudness)
    creak = creak_frames(signal, moments_s) & audible
    modal = _in_range(pitch_st, (pitch_st > 0) & audible & ~creak)
    measured = np.flatnonzero(modal)
    if len(measured) > MANY_FRAMES:
        measured = measured[::2]
    return Track(
        loudness=loudness,
        pitch_st=pitch_st,
        modal=modal,
        creak=creak,
        speech=speech_frames(loudness, modal | creak, hop_s),
        pulses=periods(signal, moments_s[measured], 27.5 * 2 ** (pitch_st[measured] / 12)),
        hop_s=hop_s,
    )


def _in_range(pitch_st: FloatArray, voiced: Mask) -> Mask:
    """The voiced frames whose pitch this voice can have."""
    if not voiced.any():
        return voiced
    lower, upper = np.percentile(pitch_st[voiced], [25, 75])
    low, high = lower + 12 * np.log2(LOWEST), upper + 12 * np.log2(HIGHEST)
    return np.asarray(voiced & (pitch_st > low) & (pitch_st < high))


def _later(column: FloatArray, frames: int) -> FloatArray:
    """The column moved so that what was at i is at i + frames."""
    return np.concatenate([np.zeros(frames, np.float32), column])[: len(column)]
