"""The sentences about an alert, shared by all channels.

A summary and the names of markers are texts of a record. What is shown of them is plain words: no server finds a link,
a mention or markup in them, and no line ends.
"""

import re
from collections.abc import Sequence

from schemas.events import AlertEvidence, AlertKind, AlertState, RiskAlert
from schemas.markers import MARKER
from streams.reasons.summary import values

_FINDINGS = {
    AlertKind.DRIFT: "scores have moved away from this person's own past",
    AlertKind.LEVEL: "most recent scores of this person are in the high band",
    AlertKind.SILENCE: "no memo for longer than is usual for this person",
    AlertKind.UNKNOWN: "a rule of a newer Undertone has fired",
}
_PAST_FINDINGS = {
    AlertKind.DRIFT: "scores had moved away from this person's own past",
    AlertKind.LEVEL: "most recent scores of this person were in the high band",
    AlertKind.SILENCE: "there had been no memo for longer than is usual for this person",
    AlertKind.UNKNOWN: "a rule of a newer Undertone had fired",
}

LONGEST_SUMMARY = 400
"""Characters; a longer summary is none of ours."""
SHOWN_MARKERS = 3
"""Markers in a message; the record has up to five."""
_PLAIN = re.compile(r"(?:[^\W_]|[ ,;:'%+()/-](?!//)|\.(?=[\d\s])|\.$)*")
"""Words and numbers: a point within a word would make it an address."""


def said(alert: RiskAlert) -> str:
    """The alert in one sentence, without a full stop: its summary if that is plain words, else the finding."""
    if alert.summary and len(alert.summary) <= LONGEST_SUMMARY and _PLAIN.fullmatch(alert.summary):
        return alert.summary.rstrip(".")
    return (past_finding if alert.state is AlertState.RESOLVED else finding)(alert.kind)


def evidence_said(evidence: Sequence[AlertEvidence], most: int = SHOWN_MARKERS) -> str:
    """The strongest markers with their values, distance from usual in SDs and what they add to the score's logit.

    Markers that the table does not have are left out. Empty without any.

    >>> evidence_said([AlertEvidence("pause_share", 0.41, 0.22, 2.3, contribution=0.4)])
    'pause share 0.41, usually 0.22 (+2.3 SD, logit +0.40)'
    """
    return "; ".join([_marker(each) for each in evidence if each.name in MARKER][:most])


def _marker(each: AlertEvidence) -> str:
    added = "" if each.contribution is None else f", logit {each.contribution:+.2f}"
    doubt = ", perhaps by the recording" if each.fragile else ""
    return f"{values(each)} ({each.deviation_sd:+.1f} SD{added}{doubt})"


def finding(kind: AlertKind) -> str:
    """The finding of an open episode."""
    return _FINDINGS[kind]


def past_finding(kind: AlertKind) -> str:
    """The finding of a resolved episode."""
    return _PAST_FINDINGS[kind]


def caution(bundle_id: str) -> str:
    """How to interpret an alert of this bundle, in whole sentences."""
    compass = "A compass, never a diagnosis: look at the person, not at the number."
    if not bundle_id.startswith("demo-"):
        return compass
    return f"{compass} The demonstration model scored this: it says nothing about any person."
