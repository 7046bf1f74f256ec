"""Markers of acoustic heaviness: the table of names, units and conditions that records and dashboards agree on.

`workers/acoustic/markers.py` measures them, in this order; evidence, baselines and model cards name them.
"""

from dataclasses import dataclass
from enum import StrEnum


class Condition(StrEnum):
    """A recording that may move markers."""

    NOISE = "noise"
    """Noise 20 dB below speech."""
    TELEPHONE = "telephone"
    """300 to 3400 Hz at 8 kHz."""


@dataclass(frozen=True, slots=True)
class Marker:
    """One marker: its name and its unit.

    fragile: the conditions that move it by more than one speaker differs from another, as measured in
    `tests/benchmarks/results/acoustic.md`; gain of ±20 dB, mp3 and Opus move none.
    """

    name: str
    unit: str
    fragile: tuple[Condition, ...] = ()


MARKERS = (
    Marker("pitch_median", "Hz"),
    Marker("pitch_range", "semitones", (Condition.TELEPHONE,)),
    Marker("pitch_sd", "semitones", (Condition.TELEPHONE,)),
    Marker("jitter", "share of period"),
    Marker("shimmer", "dB"),
    Marker("hnr", "dB", (Condition.NOISE,)),
    Marker("creak_share", "share of voiced time"),
    Marker("pause_share", "share of time"),
    Marker("pause_rate", "1/min", (Condition.NOISE,)),
    Marker("pause_mean", "s"),
    Marker("pause_longest", "s"),
    Marker("voiced_rate", "1/s"),
    Marker("loudness_sd", "share of mean", (Condition.NOISE,)),
)
"""Every marker, in the order in which acoustic features hold them."""

MARKER_NAMES = tuple(marker.name for marker in MARKERS)
