"""Scores and alerts for tests of FHIR, and validation by HL7's definitions of R4 (4.0.1 and 4.3.0 agree on ours)."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from fhir.resources.R4B import get_fhir_model_class

from schemas.events import AlertEvidence, AlertState, Band, Evidence, Modality, RiskAlert, RiskScored
from tests.unit.streams.alerts import alert

MARKERS = (
    Evidence("pause_share", 0.41, 2.3, contribution=0.5, usual=0.22),
    Evidence("foreign_marker", 1.0, 1.0),
    Evidence("hnr", 9.0, -2.0, fragile=True, contribution=0.2),
)


def scored(band: Band = Band.HIGH, probability: float | None = 0.6184, **changes: Any) -> RiskScored:
    """A score of one memo."""
    at = datetime(2026, 5, 1, 8, 0, 1, 234_000, UTC)
    record = RiskScored(
        "s1", "memo-1", "clinic-a-7", at, at, at, probability, band, (), MARKERS, (Modality.ACOUSTIC,), "clinic-7"
    )
    return replace(record, **changes)


def step(state: AlertState = AlertState.RAISED, **changes: Any) -> RiskAlert:
    """A step of an episode, with reasons."""
    told = replace(
        alert(state),
        bundle_id="clinic-7",
        evidence=(AlertEvidence("pause_share", 0.41, 0.22, 2.3, contribution=0.5),),
        summary="speaks with longer pauses than usual for 6 days: pause share 0.41, usually 0.22",
    )
    return replace(told, **changes)


def validated(resource: Any) -> Any:
    """The resource as the library reads it. Raises pydantic's ValidationError for what R4 does not allow."""
    return get_fhir_model_class(resource["resourceType"]).model_validate(resource)
