"""Markers of acoustic heaviness: how low, flat, rough, creaky, slow and halting a voice is. Pure.

A marker is NaN where it is undefined, and its reason is recorded as `marker:reason`. The first line of each function is
the marker's definition, MEASURES adds its source, and `schemas/markers.py` its unit and the conditions that move it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.events import FloatArray
from schemas.markers import MARKERS
from workers.acoustic.frame_track import Track
from workers.acoustic.glottal_periods import Periods
from workers.acoustic.speech_activity import Mask, pauses, runs

MARKERS_VERSION = "3"
"""Incremented whenever a marker's definition changes: scores of different versions do not mix."""

GEMAPS = "Eyben et al. 2016, doi:10.1109/TAFFC.2015.2457417"
BOERSMA = "Boersma 1993, Proc. Inst. Phonetic Sciences Amsterdam 17, 97-110"
PRAAT = "Boersma & Weenink, Praat: jitter (local), shimmer (local, dB), harmonicity (cc)"
ISHI = "Ishi et al. 2005, doi:10.21437/Interspeech.2005-321"
MUNDT = "Mundt et al. 2012, doi:10.1016/j.biopsych.2012.03.015"

NO_VOICE = "no_voiced_frames"
NO_SPEECH = "no_speech"
NO_PAUSE = "no_pause"
NO_PERIODS = "no_periods"
"""There are voiced frames, but too few consecutive periods to compare."""

SURE_MATCH = 0.5
"""Pulses whose waveforms correlate less with their neighbours' are not pulses, or not adjacent."""

LARGEST_PERIOD_FACTOR = 1.3
"""Adjacent periods that differ by more are a wrong pulse, not jitter (Praat's default)."""

LARGEST_STEP_DB = 20 * np.log10(1.6)
"""Adjacent amplitudes that differ by more are a change of sound, not shimmer (Praat's default)."""


@dataclass(frozen=True, slots=True, eq=False)
class MarkerValues:
    """values: (markers,) float32 in the order of MARKERS, NaN where undefined; undefined: `marker:reason` for each."""

    values: FloatArray
    undefined: tuple[str, ...]


Measured = float | str
"""A value, or the reason why there is none."""


@dataclass(frozen=True, slots=True)
class Measure:
    """How a marker is measured, and its source."""

    measure: Callable[[Track], Measured]
    source: str

    @property
    def definition(self) -> str:
        """First sentence of the measuring function's docstring."""
        return (self.measure.__doc__ or "").split("\n", 1)[0]


def markers(track: Track) -> MarkerValues:
    """All markers of a memo."""
    measured: Mapping[str, Measured] = {marker.name: MEASURES[marker.name].measure(track) for marker in MARKERS}
    return MarkerValues(
        values=np.array([np.nan if isinstance(value, str) else value for value in measured.values()], np.float32),
        undefined=tuple(f"{name}:{value}" for name, value in measured.items() if isinstance(value, str)),
    )


def pitch_median(track: Track) -> Measured:
    """Median pitch of modal voice, in Hz.

    Vocal fry is excluded. Undefined without voice. Source of pitch as a marker: GeMAPS.
    """
    pitch = track.pitch_hz[track.modal]
    return float(np.median(pitch)) if pitch.size else NO_VOICE


def pitch_range(track: Track) -> Measured:
    """Distance from the 5th to the 95th percentile of pitch in modal voice, in semitones.

    Narrow is monotone. Undefined without voice.
    Fragile: a telephone band moves it by more than a between-speaker SD.
    """
    pitch = _semitones(track)
    return float(np.subtract(*np.percentile(pitch, [95, 5]))) if pitch.size else NO_VOICE


def pitch_sd(track: Track) -> Measured:
    """Standard deviation of pitch in modal voice, in semitones.

    Narrow is monotone; more sensitive to single octave errors than the range. Undefined without voice.
    Fragile: a telephone band moves it by more than a between-speaker SD.
    """
    pitch = _semitones(track)
    return float(pitch.std()) if pitch.size else NO_VOICE


def jitter(track: Track, least_match: float = SURE_MATCH) -> Measured:
    """Mean difference of adjacent pitch periods as a share of their mean, in modal voice.

    Praat's jitter (local), at one pulse of each frame. Undefined without voice, or without three reliable consecutive
    pulses.
    """
    sure = _sure(track.pulses, least_match)
    if not sure.any():
        return _why_no_periods(track)
    before, after = track.pulses.before_s[sure], track.pulses.after_s[sure]
    return float(2 * np.abs(after - before).mean() / (after + before).mean())


def shimmer(track: Track, least_match: float = SURE_MATCH) -> Measured:
    """Mean difference in level of adjacent glottal pulses, in modal voice, in dB.

    Praat's shimmer (local, dB), with its window on the pulse and its limit on the step. Undefined where jitter is.
    """
    pulses, sure = track.pulses, _sure(track.pulses, least_match)
    steps = np.abs(np.concatenate([pulses.step_before_db[sure], pulses.step_after_db[sure]]))
    steps = steps[steps < LARGEST_STEP_DB]
    if not steps.size:
        return _why_no_periods(track)
    return float(steps.mean())


def hnr(track: Track) -> Measured:
    """Median harmonics-to-noise ratio of modal voice, from the similarity of adjacent periods, in dB.

    10 log10(r / (1 − r)) of their correlation r; Boersma 1993, Proc. Inst. Phonetic Sciences Amsterdam 17, 97–110.
    Undefined without voice.
    Fragile: noise 20 dB below speech moves it by more than a between-speaker SD.
    """
    if not track.modal.any():
        return NO_VOICE
    similarity = ((track.pulses.match_before + track.pulses.match_after) / 2).clip(0.001, 0.99999)
    return float(np.median(10 * np.log10(similarity / (1 - similarity))))


def creak_share(track: Track) -> Measured:
    """Share of the voiced frames in vocal fry: single glottal pulses at less than 72 per second.

    At least two slow periods in a row; see `workers.acoustic.creak`. Undefined without voice.
    """
    voiced = np.count_nonzero(track.voiced)
    return np.count_nonzero(track.creak) / voiced if voiced else NO_VOICE


def pause_share(track: Track) -> Measured:
    """Share of the time from first to last speech that is spent in pauses of at least 0.25 s.

    Silence before the first and after the last word is due to the record button, not the speaker. 0 without pauses;
    undefined without speech.
    """
    span = _span_frames(track)
    return float(pauses(track.speech, track.hop_s).lengths.sum() / span) if span else NO_SPEECH


def pause_rate(track: Track) -> Measured:
    """Pauses of at least 0.25 s per minute from first to last speech.

    0 without pauses; undefined without speech.
    Fragile: noise 20 dB below speech moves it by more than a between-speaker SD.
    """
    span = _span_frames(track)
    return len(pauses(track.speech, track.hop_s).starts) / (span * track.hop_s / 60) if span else NO_SPEECH


def pause_mean(track: Track) -> Measured:
    """Mean length of the pauses of at least 0.25 s, in seconds.

    Undefined without a pause.
    """
    lengths = _pause_lengths_s(track)
    return float(lengths.mean()) if lengths.size else _why_no_pause(track)


def pause_longest(track: Track) -> Measured:
    """Length of the longest pause of at least 0.25 s, in seconds.

    Undefined without a pause.
    """
    lengths = _pause_lengths_s(track)
    return float(lengths.max()) if lengths.size else _why_no_pause(track)


def voiced_rate(track: Track) -> Measured:
    """Voiced segments per second from first to last speech, a proxy for speech rate.

    Falls with slower speech and with more pauses; a run of voiced sounds counts once, so it does not count syllables.
    Undefined without speech.
    """
    span = _span_frames(track)
    return len(runs(track.voiced).starts) / (span * track.hop_s) if span else NO_SPEECH


def loudness_sd(track: Track) -> Measured:
    """Standard deviation of loudness over the frames with speech, as a share of its mean there.

    Uses eGeMAPS loudness, which is close to perceived loudness; as a share, it is independent of gain. Undefined
    without speech.
    Fragile: noise 20 dB below speech moves it by more than a between-speaker SD.
    """
    loudness = track.loudness[track.speech]
    return float(loudness.std() / loudness.mean()) if loudness.size and loudness.any() else NO_SPEECH


MEASURES = {
    "pitch_median": Measure(pitch_median, BOERSMA),
    "pitch_range": Measure(pitch_range, GEMAPS),
    "pitch_sd": Measure(pitch_sd, GEMAPS),
    "jitter": Measure(jitter, PRAAT),
    "shimmer": Measure(shimmer, PRAAT),
    "hnr": Measure(hnr, PRAAT),
    "creak_share": Measure(creak_share, ISHI),
    "pause_share": Measure(pause_share, MUNDT),
    "pause_rate": Measure(pause_rate, MUNDT),
    "pause_mean": Measure(pause_mean, MUNDT),
    "pause_longest": Measure(pause_longest, MUNDT),
    "voiced_rate": Measure(voiced_rate, GEMAPS),
    "loudness_sd": Measure(loudness_sd, GEMAPS),
}
"""How each marker is measured, by its name."""


def _semitones(track: Track) -> FloatArray:
    """Pitch of modal voice in semitones above 1 Hz."""
    return np.asarray(12 * np.log2(track.pitch_hz[track.modal]), np.float32)


def _sure(pulses: Periods, least_match: float) -> Mask:
    """Where all three pulses match and their periods are close."""
    matched = (pulses.match_before > least_match) & (pulses.match_after > least_match)
    ratio = np.divide(pulses.after_s, pulses.before_s, where=matched, out=np.zeros_like(pulses.after_s))
    return matched & (ratio < LARGEST_PERIOD_FACTOR) & (ratio > 1 / LARGEST_PERIOD_FACTOR)


def _why_no_periods(track: Track) -> str:
    return NO_PERIODS if track.modal.any() else NO_VOICE


def _span_frames(track: Track) -> int:
    """Frames from the first to the last with speech."""
    speech = np.flatnonzero(track.speech)
    return int(speech[-1] - speech[0] + 1) if speech.size else 0


def _pause_lengths_s(track: Track) -> NDArray[np.float64]:
    return pauses(track.speech, track.hop_s).lengths.astype(np.float64) * track.hop_s


def _why_no_pause(track: Track) -> str:
    return NO_PAUSE if track.speech.any() else NO_SPEECH
