"""An episode as a FHIR R4 Flag, active while it is open. Pure.

One episode is one Flag: every step replaces it, by the same identifier. A Flag has no notes, so how to interpret it is
in its code, which is what systems show, and in its narrative.
"""

from schemas.events import AlertState, RiskAlert
from streams.fhir.elements import (
    EPISODE,
    KIND,
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
    resource_id,
)
from streams.reasons.phrases import caution, evidence_said, said

CATEGORY = coding(f"{TERMINOLOGY}/flag-category", "clinical", "Clinical")
KINDS = {
    "drift": "The voice has moved away from this person's own past",
    "level": "Most recent scores are in the high band",
    "silence": "No memo for longer than usual for this person",
}
COMPASS = "a compass, never a diagnosis"


def flag(step: RiskAlert, subject: Element) -> Element:
    """The episode after this step. subject: the reference to the patient."""
    over = step.state is AlertState.RESOLVED
    period: Element = {"start": instant(min(step.since, step.at))}
    if over:
        period["end"] = instant(step.at)
    demonstration = "Demonstration: " if is_demonstration(step.bundle_id) else ""
    markers = evidence_said(step.evidence)
    return {
        "resourceType": "Flag",
        "id": flag_id(step),
        **meta(step.bundle_id),
        "text": narrative(
            f"Episode {'over' if over else 'open'}, severity {step.severity}: {said(step)}.",
            f"Markers: {markers}." if markers else "",
            caution(step.bundle_id),
        ),
        "identifier": [identifier(EPISODE, step.dedup_key)],
        "status": "inactive" if over else "active",
        "category": [concept("Voice", CATEGORY)],
        "code": concept(f"{demonstration}{said(step)} ({COMPASS})", *_kind(step)),
        "subject": subject,
        "period": period,
        "author": device(step.bundle_id),
    }


def flag_id(step: RiskAlert) -> str:
    """Id of the episode's resource, the same for all its steps."""
    return resource_id("Flag", step.dedup_key)


def _kind(step: RiskAlert) -> list[Element]:
    known = KINDS.get(step.kind)
    return [] if known is None else [coding(KIND, str(step.kind), known)]
