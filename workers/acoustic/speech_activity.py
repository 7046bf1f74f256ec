"""Detect speech and pauses in a memo from loudness and voicing. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.events import FloatArray

Mask = NDArray[np.bool_]

LOUD_SHARE = 0.2
"""A frame is loud this far from the floor (P5 of loudness) towards the peak (P95)."""

AUDIBLE_SHARE = 0.015
"""A frame less far above the floor is background, even if periodic, such as mains hum."""

HIGHEST_FLOOR = 0.5
"""The floor is at most this share of the peak: in a memo without pauses the quietest frames are speech."""

SHORTEST_SPEECH_S = 0.05
"""Unvoiced loud runs shorter than this are clicks."""

SHORTEST_PAUSE_S = 0.25
"""Shorter silences are articulation (stop closures). Source: Goldman-Eisler 1968, Psycholinguistics."""


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Runs of frames. starts, ends: (runs,) frame numbers, ends exclusive."""

    starts: NDArray[np.intp]
    ends: NDArray[np.intp]

    @property
    def lengths(self) -> NDArray[np.intp]:
        """(runs,) frames of each run."""
        return self.ends - self.starts

    def at_least(self, frames: int) -> "Runs":
        """The runs of `frames` or more."""
        long = self.lengths >= frames
        return Runs(self.starts[long], self.ends[long])

    def mask(self, frames: int) -> Mask:
        """(frames,) True inside the runs."""
        edges = np.zeros(frames + 1, np.int64)
        np.add.at(edges, self.starts, 1)
        np.add.at(edges, self.ends, -1)
        return np.cumsum(edges[:-1]) > 0


def runs(mask: Mask) -> Runs:
    """The maximal runs where `mask` is True, in order.

    >>> runs(np.array([True, False, True, True])).lengths.tolist()
    [1, 2]
    """
    edges = np.diff(np.concatenate(([False], mask, [False])).astype(np.int8))
    return Runs(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1))


def audible_frames(loudness: FloatArray) -> Mask:
    """Frames louder than the background. loudness: (frames,) eGeMAPS loudness."""
    return loudness > _threshold(loudness, AUDIBLE_SHARE)


def voiced_speech_frames(loudness: FloatArray, voiced: Mask, hop_s: float) -> Mask:
    """Frames that contain speech: voiced frames, and loud frames except clicks.

    loudness: (frames,) eGeMAPS loudness; voiced: (frames,) at the same moments. The threshold is relative to the memo's
    own floor and peak, hence independent of gain. Loudness alone cannot tell speech from noise: without voiced frames
    nothing is speech.
    """
    if not voiced.any():
        return np.zeros(len(loudness), bool)
    active = (loudness > _threshold(loudness, LOUD_SHARE)) | voiced
    return runs(active).at_least(round(SHORTEST_SPEECH_S / hop_s)).mask(len(loudness)) | voiced


def _threshold(loudness: FloatArray, share: float) -> float:
    floor, peak = np.percentile(loudness, [5, 95])
    floor = min(floor, HIGHEST_FLOOR * peak)
    return float(floor + share * (peak - floor))


def pauses(speech: Mask, hop_s: float) -> Runs:
    """Silences of SHORTEST_PAUSE_S or more between two runs of speech; excludes those at the memo's ends.

    >>> pauses(np.array([0, 0, 0, 1, 0, 0, 0, 1], bool), hop_s=0.1).lengths.tolist()
    [3]
    """
    gaps = runs(~speech)
    inside = (gaps.starts > 0) & (gaps.ends < len(speech))
    between = Runs(gaps.starts[inside], gaps.ends[inside])
    return between.at_least(round(SHORTEST_PAUSE_S / hop_s))
