"""What became of one memo, in words: its score, the evidence behind it, and every marker. Pure."""

from dataclasses import dataclass

import numpy as np

from schemas.events import Band, Evidence, MemoFeatures, RiskScored
from schemas.markers import MARKER, MARKERS
from streams.web import formats
from streams.web.languages import Language
from streams.web.person.evidence import heard
from streams.web.person.words import reasons_words

_ = str  # marks messages; they are translated where they are shown

BANDS = {
    Band.LOW: _("Low"),
    Band.HIGH: _("High"),
    Band.INDETERMINATE: _("Not judged"),
}
UNDEFINED = {
    "no_voiced_frames": _("no voice"),
    "no_periods": _("too little voice"),
    "no_speech": _("no speech"),
    "no_pause": _("no pause"),
}


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One line of evidence. usual: the speaker's own normal, empty for a first memo."""

    title: str
    heard: str
    value: str
    usual: str
    deviation: str
    contribution: str
    fragile: bool


@dataclass(frozen=True, slots=True)
class MarkerRow:
    """One marker of the memo."""

    title: str
    value: str
    fragile: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """The score of one memo. reasons: why it was not judged."""

    band: str
    probability: float | None
    reasons: tuple[str, ...]
    bundle_id: str
    evidence: tuple[EvidenceRow, ...]


def outcome(score: RiskScored, language: Language) -> Outcome:
    """A score in the words of a language."""
    return Outcome(
        language.gettext(BANDS.get(score.band, score.band)),
        score.probability,
        tuple(map(language.gettext, reasons_words(score.reasons))),
        score.bundle_id,
        tuple(_evidence(each, language) for each in score.evidence),
    )


def marker_rows(acoustic: MemoFeatures, language: Language) -> list[MarkerRow]:
    """Every marker that the acoustic worker measured; one without a value says why."""
    values = dict(zip(acoustic.names, acoustic.summary.tolist(), strict=True))
    undefined = dict(entry.split(":", 1) for entry in acoustic.undefined if ":" in entry)
    rows = []
    for marker in MARKERS:
        value = values.get(marker.name, np.nan)
        why = UNDEFINED.get(undefined.get(marker.name, ""), _("could not be measured"))
        shown = _value(marker.name, value, language) if np.isfinite(value) else language.gettext(why)
        rows.append(MarkerRow(language.gettext(marker.title), shown, marker.name in acoustic.quality.fragile))
    return rows


def _evidence(evidence: Evidence, language: Language) -> EvidenceRow:
    marker = MARKER.get(evidence.name)
    title = evidence.name.replace("_", " ") if marker is None else language.gettext(marker.title)
    signed = formats.signed(evidence.deviation_sd, language.locale)
    added = evidence.contribution
    return EvidenceRow(
        title,
        language.gettext(heard(evidence.name, evidence.deviation_sd)),
        _value(evidence.name, evidence.value, language),
        "" if evidence.usual is None else _value(evidence.name, evidence.usual, language),
        f"{signed} SD",
        formats.NOTHING if added is None else formats.signed(added, language.locale, 2),
        evidence.fragile,
    )


def _value(name: str, value: float, language: Language) -> str:
    """A value in its marker's unit, with the digits that people read."""
    marker = MARKER.get(name)
    if marker is None:
        return formats.number(value, language.locale, 2)
    number = formats.number(value, language.locale, marker.decimals)
    unit = "" if marker.unit.startswith("share") else f" {marker.unit.replace('1/', 'per ')}"
    return number + unit
