"""Markers of acoustic heaviness: how low, flat, rough, creaky, slow and halting a voice is. Pure.

Every marker is NaN where it is undefined, and the reason travels with it as `marker:reason`. All come from the
low-level descriptors of one openSMILE pass.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.events import FloatArray
from workers.acoustic.names import LLD_NAMES
from workers.acoustic.speech import Mask, pauses, runs, speech_frames

MARKERS_VERSION = "1"
"""Goes up whenever a marker's definition changes: scores of different versions do not mix."""

GEMAPS = "Eyben et al. 2016, doi:10.1109/TAFFC.2015.2457417"
MUNDT = "Mundt et al. 2012, doi:10.1016/j.biopsych.2012.03.015"

NO_VOICE = "no_voiced_frames"
NO_SPEECH = "no_speech"
NO_PAUSE = "no_pause"
NO_PERIODS = "no_periods"
"""Voiced frames are there, but too few periods in a row to compare."""

CREAK_HZ = 70.0
"""Vocal fry lies below this; modal voice above."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """What the markers look at, frame by frame, all at the same moments.

    pitch_st: (frames,) semitones above 27.5 Hz, 0 where unvoiced; jitter: share of the period; shimmer_db; hnr_db;
    loudness: eGeMAPS loudness; voiced, speech: bool; hop_s: seconds between frames.
    """

    pitch_st: FloatArray
    jitter: FloatArray
    shimmer_db: FloatArray
    hnr_db: FloatArray
    loudness: FloatArray
    voiced: Mask
    speech: Mask
    hop_s: float


@dataclass(frozen=True, slots=True, eq=False)
class MarkerValues:
    """values: (markers,) float32 in the order of MARKERS, NaN where undefined; undefined: `marker:reason` for each."""

    values: FloatArray
    undefined: tuple[str, ...]


Measured = float | str
"""A value, or the reason why there is none."""


@dataclass(frozen=True, slots=True)
class Marker:
    """One marker: what it is called, what it is measured in, and how."""

    name: str
    unit: str
    measure: Callable[[Track], Measured]
    source: str

    @property
    def definition(self) -> str:
        """First sentence of the measuring function's docstring."""
        return (self.measure.__doc__ or "").split("\n", 1)[0]


def markers(lld: FloatArray, hop_s: float) -> MarkerValues:
    """All markers of a memo. lld: (frames, 25) in the order of LLD_NAMES."""
    track = track_of(lld, hop_s)
    measured: Mapping[str, Measured] = {marker.name: marker.measure(track) for marker in MARKERS}
    return MarkerValues(
        values=np.array([np.nan if isinstance(value, str) else value for value in measured.values()], np.float32),
        undefined=tuple(f"{name}:{value}" for name, value in measured.items() if isinstance(value, str)),
    )


def track_of(lld: FloatArray, hop_s: float) -> Track:
    """The descriptors that markers need, moved to common moments.

    openSMILE centres the 60 ms frames of pitch and voice quality 20 ms after the 20 ms frames of loudness that carry
    the same number; here frame i of everything is centred at i × hop_s + 10 ms.
    """
    late = round(0.02 / hop_s)

    def moved(name: str) -> FloatArray:
        column = lld[:, LLD_NAMES.index(name)]
        return np.concatenate([np.zeros(late, np.float32), column])[: len(column)]

    pitch_st = moved("F0semitoneFrom27.5Hz_sma3nz")
    loudness = lld[:, LLD_NAMES.index("Loudness_sma3")]
    voiced = pitch_st > 0
    return Track(
        pitch_st=pitch_st,
        jitter=moved("jitterLocal_sma3nz"),
        shimmer_db=moved("shimmerLocaldB_sma3nz"),
        hnr_db=moved("HNRdBACF_sma3nz"),
        loudness=loudness,
        voiced=voiced,
        speech=speech_frames(loudness, voiced, hop_s),
        hop_s=hop_s,
    )


def pitch_median(track: Track) -> Measured:
    """Median pitch of the voiced frames, in Hz."""
    pitch = _voiced_pitch(track)
    return float(27.5 * 2 ** (np.median(pitch) / 12)) if pitch.size else NO_VOICE


def pitch_range(track: Track) -> Measured:
    """Distance from the 5th to the 95th percentile of pitch over the voiced frames, in semitones."""
    pitch = _voiced_pitch(track)
    return float(np.subtract(*np.percentile(pitch, [95, 5]))) if pitch.size else NO_VOICE


def pitch_sd(track: Track) -> Measured:
    """Standard deviation of pitch over the voiced frames, in semitones."""
    pitch = _voiced_pitch(track)
    return float(pitch.std()) if pitch.size else NO_VOICE


def jitter(track: Track) -> Measured:
    """Mean difference of neighbouring periods as a share of the period, over the frames where periods were found."""
    return _mean_where_found(track, track.jitter)


def shimmer(track: Track) -> Measured:
    """Mean difference of neighbouring periods' peak amplitudes in dB, over the frames where periods were found."""
    return _mean_where_found(track, track.shimmer_db)


def hnr(track: Track) -> Measured:
    """Mean harmonics-to-noise ratio of the voiced frames, in dB."""
    return float(track.hnr_db[track.voiced].mean()) if track.voiced.any() else NO_VOICE


def creak_share(track: Track) -> Measured:
    """Share of the voiced frames in vocal fry, pitch below CREAK_HZ."""
    pitch = _voiced_pitch(track)
    return float((pitch < 12 * np.log2(CREAK_HZ / 27.5)).mean()) if pitch.size else NO_VOICE


def pause_share(track: Track) -> Measured:
    """Share of the time from first to last speech that is spent in pauses of at least 0.25 s."""
    span = _span_frames(track)
    return float(pauses(track.speech, track.hop_s).lengths.sum() / span) if span else NO_SPEECH


def pause_rate(track: Track) -> Measured:
    """Pauses of at least 0.25 s per minute from first to last speech."""
    span = _span_frames(track)
    return len(pauses(track.speech, track.hop_s).starts) / (span * track.hop_s / 60) if span else NO_SPEECH


def pause_mean(track: Track) -> Measured:
    """Mean length of the pauses of at least 0.25 s, in seconds."""
    lengths = _pause_lengths_s(track)
    return float(lengths.mean()) if lengths.size else _why_no_pause(track)


def pause_longest(track: Track) -> Measured:
    """Length of the longest pause of at least 0.25 s, in seconds."""
    lengths = _pause_lengths_s(track)
    return float(lengths.max()) if lengths.size else _why_no_pause(track)


def voiced_rate(track: Track) -> Measured:
    """Voiced segments per second from first to last speech, a proxy of speech rate."""
    span = _span_frames(track)
    return len(runs(track.voiced).starts) / (span * track.hop_s) if span else NO_SPEECH


def loudness_sd(track: Track) -> Measured:
    """Standard deviation of loudness over the frames with speech, as a share of its mean there."""
    loudness = track.loudness[track.speech]
    return float(loudness.std() / loudness.mean()) if loudness.size and loudness.any() else NO_SPEECH


MARKERS = (
    Marker("pitch_median", "Hz", pitch_median, GEMAPS),
    Marker("pitch_range", "semitones", pitch_range, GEMAPS),
    Marker("pitch_sd", "semitones", pitch_sd, GEMAPS),
    Marker("jitter", "share of period", jitter, GEMAPS),
    Marker("shimmer", "dB", shimmer, GEMAPS),
    Marker("hnr", "dB", hnr, GEMAPS),
    Marker("creak_share", "share of voiced time", creak_share, "pitch below the modal register"),
    Marker("pause_share", "share of time", pause_share, MUNDT),
    Marker("pause_rate", "1/min", pause_rate, MUNDT),
    Marker("pause_mean", "s", pause_mean, MUNDT),
    Marker("pause_longest", "s", pause_longest, MUNDT),
    Marker("voiced_rate", "1/s", voiced_rate, GEMAPS),
    Marker("loudness_sd", "share of mean", loudness_sd, GEMAPS),
)
"""Every marker, in the order of `MarkerValues.values`."""


def _voiced_pitch(track: Track) -> FloatArray:
    return track.pitch_st[track.voiced]


def _mean_where_found(track: Track, column: FloatArray) -> Measured:
    if not track.voiced.any():
        return NO_VOICE
    found = column[track.voiced & (column > 0)]
    return float(found.mean()) if found.size else NO_PERIODS


def _span_frames(track: Track) -> int:
    """Frames from the first to the last with speech."""
    speech = np.flatnonzero(track.speech)
    return int(speech[-1] - speech[0] + 1) if speech.size else 0


def _pause_lengths_s(track: Track) -> NDArray[np.float64]:
    return pauses(track.speech, track.hop_s).lengths.astype(np.float64) * track.hop_s


def _why_no_pause(track: Track) -> str:
    return NO_PAUSE if track.speech.any() else NO_SPEECH
