"""What became of one memo, in words: its score, the evidence behind it, and every marker. Pure."""

from dataclasses import dataclass

import numpy as np

from schemas.events import Band, Evidence, MemoFeatures, RiskScored
from schemas.markers import MARKERS
from streams.web import formats
from streams.web.languages import Language
from streams.web.markers import heard, measured, title_of
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
        shown = _measured(marker.name, value, language) if np.isfinite(value) else language.gettext(why)
        rows.append(MarkerRow(language.gettext(marker.title), shown, marker.name in acoustic.quality.fragile))
    return rows


def _evidence(evidence: Evidence, language: Language) -> EvidenceRow:
    signed = formats.signed(evidence.deviation_sd, language.locale)
    added = evidence.contribution
    return EvidenceRow(
        language.gettext(title_of(evidence.name)),
        language.gettext(heard(evidence.name, evidence.deviation_sd)),
        _measured(evidence.name, evidence.value, language),
        "" if evidence.usual is None else _measured(evidence.name, evidence.usual, language),
        f"{signed} SD",
        formats.NOTHING if added is None else formats.signed(added, language.locale, 2),
        evidence.fragile,
    )


def _measured(name: str, value: float, language: Language) -> str:
    return measured(name, value, language.locale, language.gettext)
