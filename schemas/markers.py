"""Markers of acoustic heaviness: the table of names, units, words and conditions that records and dashboards share.

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
    """One marker: its name, its unit and its words.

    title: what a clinician calls it, as inside a sentence; more, less: what is heard when it is above or below a
    person's own normal, as in "speaks with …"; decimals: digits after the point that people read. fragile: the
    conditions that move it by more than one speaker differs from another, as measured in
    `tests/benchmarks/results/acoustic.md`; gain of ±20 dB, mp3 and Opus move none.
    """

    name: str
    unit: str
    title: str
    more: str
    less: str
    decimals: int
    fragile: tuple[Condition, ...] = ()

    def words(self, deviation_sd: float) -> str:
        """What is heard at this deviation from a person's own normal, in SDs.

        >>> MARKER["pause_share"].words(2.5)
        'longer pauses than usual'
        """
        return self.less if deviation_sd < 0 else self.more

    def shown(self, value: float) -> str:
        """A value in this marker's unit, for people; a share has no unit.

        >>> MARKER["pause_share"].shown(0.4137), MARKER["pitch_median"].shown(187.2)
        ('0.41', '187 Hz')
        """
        number = f"{value:.{self.decimals}f}"
        return number if self.unit.startswith("share") else f"{number} {self.unit.replace('1/', 'per ')}"


MARKERS = (
    Marker("pitch_median", "Hz", "pitch of voice", "a higher voice than usual", "a lower voice than usual", 0),
    Marker(
        "pitch_range",
        "semitones",
        "range of pitch",
        "a wider range of pitch than usual",
        "a narrower range of pitch than usual",
        1,
        (Condition.TELEPHONE,),
    ),
    Marker(
        "pitch_sd",
        "semitones",
        "variation of pitch",
        "a livelier melody of speech than usual",
        "a flatter melody of speech than usual",
        1,
        (Condition.TELEPHONE,),
    ),
    Marker(
        "jitter", "share of period", "jitter of voice", "a rougher voice than usual", "a smoother voice than usual", 4
    ),
    Marker(
        "shimmer",
        "dB",
        "shimmer of voice",
        "a less steady voice than usual",
        "a steadier voice than usual",
        2,
    ),
    Marker(
        "hnr",
        "dB",
        "clearness of voice",
        "a clearer voice than usual",
        "a breathier or hoarser voice than usual",
        1,
        (Condition.NOISE,),
    ),
    Marker(
        "creak_share",
        "share of voiced time",
        "creaky voice",
        "a creakier voice than usual",
        "a less creaky voice than usual",
        2,
    ),
    Marker("pause_share", "share of time", "pause share", "longer pauses than usual", "shorter pauses than usual", 2),
    Marker(
        "pause_rate",
        "1/min",
        "rate of pauses",
        "more frequent pauses than usual",
        "less frequent pauses than usual",
        0,
        (Condition.NOISE,),
    ),
    Marker(
        "pause_mean",
        "s",
        "average pause",
        "longer single pauses than usual",
        "shorter single pauses than usual",
        2,
    ),
    Marker(
        "pause_longest",
        "s",
        "longest pause",
        "longer breaks in speech than usual",
        "shorter breaks in speech than usual",
        2,
    ),
    Marker("voiced_rate", "1/s", "rate of speech", "faster speech than usual", "slower speech than usual", 1),
    Marker(
        "loudness_sd",
        "share of mean",
        "variation of loudness",
        "more varied loudness than usual",
        "more even loudness than usual",
        2,
        (Condition.NOISE,),
    ),
)
"""Every marker, in the order in which acoustic features hold them."""

MARKER_NAMES = tuple(marker.name for marker in MARKERS)

MARKER = {marker.name: marker for marker in MARKERS}
"""Every marker by its name; records of other writers may name others."""
