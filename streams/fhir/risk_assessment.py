"""A score as a FHIR R4 RiskAssessment. Pure.

One memo is one RiskAssessment: a revision of its score replaces it, by the same identifier. There is a prediction only
with a band: a score that abstains has a status instead, and the reasons in its notes. Probabilities are in percent, as
R4 says of `probabilityDecimal`.
"""

from schemas.events import Band, Evidence, RiskScored
from schemas.markers import MARKER
from schemas.reasons import MISSING
from streams.fhir.elements import (
    MEMO,
    TERMINOLOGY,
    Element,
    coding,
    concept,
    device,
    identifier,
    instant,
    is_demonstration,
    meta,
    narrative,
    notes,
    printable,
    resource_id,
)
from streams.reasons.phrases import caution

CODE = "Risk screening of a voice memo, compared with the person's own normal"
OUTCOME = "Screening questionnaire above its cut-off, by the labels that the model has learned from"
METHOD = "Acoustic markers and a speech embedding of the memo, scored by model {bundle}"
RISKS = {Band.LOW: ("low", "Low likelihood"), Band.HIGH: ("high", "High likelihood")}
SHOWN_MARKERS = 3


def risk_assessment(score: RiskScored, subject: Element) -> Element:
    """The score as a resource. subject: the reference to the patient, of `elements.patient` or `elements.pseudonym`."""
    prediction = _prediction(score)
    why = "" if prediction else f"Not judged: {', '.join(map(printable, score.reasons)) or 'the score is undecided'}."
    predicted: Element = {"prediction": [prediction]} if prediction else {}
    return {
        "resourceType": "RiskAssessment",
        "id": risk_assessment_id(score),
        **meta(score.bundle_id),
        "text": narrative(*_sentences(score), why, caution(score.bundle_id)),
        "identifier": [identifier(MEMO, risk_assessment_id(score))],
        "status": status_of(score),
        "method": concept(METHOD.format(bundle=printable(score.bundle_id))),
        "code": concept(f"{'Demonstration: ' if is_demonstration(score.bundle_id) else ''}{CODE}"),
        "subject": subject,
        "occurrenceDateTime": instant(score.recorded_at),
        "performer": device(score.bundle_id),
        **predicted,
        "note": notes(score.bundle_id, why),
    }


def risk_assessment_id(score: RiskScored) -> str:
    """Id and identifier of the memo's resource, which names neither memo nor user."""
    return resource_id("RiskAssessment", score.user_id, score.memo_id)


def status_of(score: RiskScored) -> str:
    """`final` with a band; `preliminary` while a part of the memo may still come; else `cancelled`."""
    if score.band is not Band.INDETERMINATE:
        return "final"
    return "preliminary" if any(reason.startswith(MISSING) for reason in score.reasons) else "cancelled"


def _prediction(score: RiskScored) -> Element | None:
    """The probability, in percent, its band, and the markers behind it; None for a score that abstains."""
    if score.band is Band.INDETERMINATE or score.probability is None:
        return None
    code, display = RISKS[score.band]
    found: Element = {
        "outcome": concept(OUTCOME),
        "probabilityDecimal": round(100 * score.probability, 1),
        "qualitativeRisk": concept(display, coding(f"{TERMINOLOGY}/risk-probability", code, display)),
    }
    rationale = "; ".join(map(_marker, _known(score)))
    return found | ({"rationale": rationale} if rationale else {})


def _sentences(score: RiskScored) -> tuple[str, ...]:
    recorded = f"Voice memo recorded {instant(score.recorded_at)}."
    if score.band is Band.INDETERMINATE or score.probability is None:
        return (recorded,)
    markers = "; ".join(map(_marker, _known(score)))
    judged = f"Estimated probability {100 * score.probability:.1f} %, {score.band} band."
    return (recorded, judged, f"Markers: {markers}." if markers else "")


def _known(score: RiskScored) -> list[Evidence]:
    return [each for each in score.evidence if each.name in MARKER][:SHOWN_MARKERS]


def _marker(each: Evidence) -> str:
    """One marker in words: what is heard, its value, and the person's own normal."""
    marker = MARKER[each.name]
    usual = "" if each.usual is None else f", usually {marker.shown(each.usual)}"
    words = marker.words(each.deviation_sd)
    return f"{words} ({marker.title} {marker.shown(each.value)}{usual}; {each.deviation_sd:+.1f} SD)"
