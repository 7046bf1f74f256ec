"""Extract all acoustic features of a signal."""

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import signal as filters

from schemas.events import Extractor, FloatArray
from workers.acoustic.frame_track import voice_track
from workers.acoustic.markers import MARKERS_VERSION, markers
from workers.acoustic.opensmile_configuration import HOP_S, configuration_hash
from workers.acoustic.window_statistics import window_statistics
from workers.audio.memo import SAMPLING_RATE
from workers.audio.speech_span import SPAN_VERSION, SpokenPart, spoken_part

NAME = "egemaps+markers"
VERSION = "1"
MARGIN_S = 0.25
"""Seconds of silence kept at either end: enough for a faint consonant, too few to weigh in a mean over the memo."""
OFFSET_HZ = 2.0
"""Offsets wander more slowly than this. A higher corner turns the phase of low voices, which moves their pitch."""

BLOCK = 1 << 20
"""Samples filtered at once, with twice the precision and so twice the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class AcousticFeatures:
    """The acoustic features of one memo.

    functionals: (88,); markers: (13,), NaN where undefined; undefined: `marker:reason` for every NaN;
    windows: (n, 76) in the order of WINDOW_NAMES.
    """

    functionals: FloatArray
    markers: FloatArray
    undefined: tuple[str, ...]
    windows: FloatArray

    @property
    def summary(self) -> FloatArray:
        """(101,) in the order of FEATURE_NAMES."""
        return np.concatenate([self.functionals, self.markers])


def extract(signal: FloatArray, window_s: float = 15.0) -> AcousticFeatures:
    """Extract all acoustic features of one memo in this process; not thread-safe.

    signal: (samples,) float32, mono, at SAMPLING_RATE, within [-1, 1]; measured are its spoken part, at one level.
    Raises what `acoustic_pass` raises.
    """
    from workers.acoustic.opensmile_pass import acoustic_pass  # openSMILE: only the process that runs it loads it

    signal = steadied(spoken_part(signal, MARGIN_S))
    found = acoustic_pass(signal)
    marked = markers(voice_track(signal, found.lld, HOP_S))
    return AcousticFeatures(
        functionals=found.functionals,
        markers=marked.values,
        undefined=marked.undefined,
        windows=window_statistics(found.frames, HOP_S, len(signal), window_s),
    )


def steadied(part: SpokenPart) -> FloatArray:
    """The part at one level, without a wandering offset, which would look like harmonics; as it is without speech.

    openSMILE computes with 16-bit integers, and its loudness is not quite independent of the level.
    """
    if part.level_db is None:
        return part.signal
    sections, settled = _high_pass()
    levelled = part.at_level()
    state = settled * np.mean(levelled[: SAMPLING_RATE // 20])
    for at in range(0, len(levelled), BLOCK):
        levelled[at : at + BLOCK], state = filters.sosfilt(sections, levelled[at : at + BLOCK], zi=state)
    return levelled


@cache
def _high_pass() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The filter against offsets, and its state after an endless input of 1; designing it takes a millisecond."""
    sections = filters.butter(2, OFFSET_HZ, "highpass", fs=SAMPLING_RATE, output="sos")
    return sections, filters.sosfilt_zi(sections)


def extractor() -> Extractor:
    """Provenance of the features: openSMILE's configuration and version, versions of the markers and of the span."""
    versions = (
        f"{configuration_hash()} markers {MARKERS_VERSION} span {SPAN_VERSION} margin {MARGIN_S} offset {OFFSET_HZ}"
    )
    digest = hashlib.sha256(versions.encode()).hexdigest()
    return Extractor(NAME, VERSION, digest)
