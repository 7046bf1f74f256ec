"""Extract all acoustic features of a signal."""

import hashlib
from dataclasses import dataclass

import numpy as np

from schemas.events import Extractor, FloatArray
from workers.acoustic.frame_track import voice_track
from workers.acoustic.markers import MARKERS_VERSION, markers
from workers.acoustic.opensmile_pass import HOP_S, acoustic_pass, configuration_hash
from workers.acoustic.window_statistics import window_statistics

NAME = "egemaps+markers"
VERSION = "1"


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

    signal: (samples,) float32, mono, at SAMPLING_RATE, within [-1, 1]. Raises what `acoustic_pass` raises.
    """
    found = acoustic_pass(signal)
    marked = markers(voice_track(signal, found.lld, HOP_S))
    return AcousticFeatures(
        functionals=found.functionals,
        markers=marked.values,
        undefined=marked.undefined,
        windows=window_statistics(found.frames, HOP_S, len(signal), window_s),
    )


def extractor() -> Extractor:
    """Provenance of the features: openSMILE's configuration and version, and the version of the markers."""
    digest = hashlib.sha256(f"{configuration_hash()} markers {MARKERS_VERSION}".encode()).hexdigest()
    return Extractor(NAME, VERSION, digest)
