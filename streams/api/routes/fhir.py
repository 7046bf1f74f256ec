"""The scores of one person as FHIR R4, for hospitals' systems: a search, and what this server can do."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, TypeAlias
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from schemas.event_enums import AuditAction
from schemas.events import RiskScored
from streams.access.audit import record_look
from streams.access.permissions import require
from streams.access.roles import Permission
from streams.access.viewer import Viewer
from streams.api.problems import Problem
from streams.api.routes.viewing import seen_person
from streams.api.services import OurServices
from streams.fhir.answers import FHIR_JSON, capability_statement, searchset
from streams.fhir.elements import Element, pseudonym
from streams.fhir.risk_assessment import risk_assessment
from streams.fhir.search import period_of, pseudonym_of
from streams.history.person import ScoreRow, latest_scores

BASE = "/fhir"
LARGEST_PAGE = 200
RELEASED = datetime(2026, 11, 30, tzinfo=UTC)
"""When the capabilities last changed."""
FORMATS = frozenset({"json", "application/json", FHIR_JSON})
LONGEST = 512

ERRORS = (400, 401, 403, 404, 406, 422, 429, 500, 503)


def answers(kind: str) -> dict[str, Any]:
    """Content of answers in the OpenAPI document: resources of one type, whose definition is FHIR's."""
    named = {"type": "object", "properties": {"resourceType": {"const": kind}}, "required": ["resourceType"]}
    return {"content": {FHIR_JSON: {"schema": named}}}


router = APIRouter(
    prefix=BASE,
    tags=["fhir"],
    responses={each: {"description": HTTPStatus(each).phrase, **answers("OperationOutcome")} for each in ERRORS},
)
FhirViewer: TypeAlias = Annotated[Viewer, Depends(require(Permission.FHIR))]
Reference: TypeAlias = Annotated[
    str | None, Query(max_length=LONGEST, description="A pseudonym, or Patient/PSEUDONYM.")
]


class FhirAnswer(JSONResponse):
    """JSON in the media type of FHIR."""

    media_type = FHIR_JSON


@router.get("/metadata", response_class=FhirAnswer, responses={200: answers("CapabilityStatement")})
async def fhir_capabilities(request: Request, services: OurServices) -> FhirAnswer:
    """What this server can do, as a CapabilityStatement."""
    return FhirAnswer(capability_statement(_address(request, services.settings.dashboard_url), RELEASED))


@router.get("/RiskAssessment", response_class=FhirAnswer, responses={200: answers("Bundle")})
async def search_risk_assessments(
    request: Request,
    services: OurServices,
    _: FhirViewer,
    subject: Reference = None,
    patient: Reference = None,
    identified: Annotated[str | None, Query(alias="subject:identifier", max_length=LONGEST)] = None,
    date: Annotated[list[str] | None, Query(max_length=10, description="When the memo was recorded.")] = None,
    count: Annotated[int, Query(alias="_count", ge=1, le=10_000, description="Most entries of a page.")] = 50,
    wanted_format: Annotated[str, Query(alias="_format", max_length=64)] = "json",
    page: Annotated[str | None, Query(max_length=LONGEST, description="From the link to the next page.")] = None,
) -> FhirAnswer:
    """Scores of one person's memos as a Bundle of RiskAssessments, newest first."""
    user_id = _one_patient(subject, patient, identified)
    if wanted_format not in FORMATS:
        raise Problem(406, detail=f"Ask for {FHIR_JSON}.")
    try:
        period = period_of(date or ())
    except ValueError as error:
        raise Problem(400, detail=f"date {error}.") from None
    before, size = None if page is None else _passed(page), min(count, LARGEST_PAGE)
    await seen_person(request, services, user_id, "fhir")
    rows = await services.database.read(latest_scores, user_id, *period, before, size + 1)
    await record_look(request, AuditAction.EXPORTED, "fhir", (user_id,))
    address = f"{_address(request, services.settings.dashboard_url)}/RiskAssessment"
    asked = {"subject": user_id, "date": date or [], "_count": size}
    following = None if len(rows) <= size else _link(address, {**asked, "page": _cursor(rows[size - 1])})
    here = _link(address, asked if page is None else {**asked, "page": page})
    return FhirAnswer(searchset([_resource(row, user_id) for row in rows[:size]], None, here, following))


def _one_patient(*given: str | None) -> str:
    """The pseudonym that all given parameters name. Raises Problem 400 unless it is one."""
    named = {pseudonym_of(each) for each in given if each}
    if len(named) != 1 or not 1 <= len(user_id := named.pop()) <= 128:
        raise Problem(400, detail="Say which patient: subject=PSEUDONYM.")
    return user_id


def _resource(row: ScoreRow, user_id: str) -> Element:
    score = RiskScored(
        row.score_id, row.memo_id, user_id, row.recorded_at, row.uploaded_at, row.scored_at, row.probability, row.band,
        row.reasons, row.evidence, row.modalities, row.bundle_id,
    )  # fmt: skip
    return risk_assessment(score, pseudonym(user_id))


def _address(request: Request, dashboard_url: str | None) -> str:
    """The base of this server's addresses, as clients reach it."""
    return f"{(dashboard_url or str(request.base_url)).rstrip('/')}{BASE}"


def _link(address: str, parameters: dict[str, object]) -> str:
    return f"{address}?{urlencode(parameters, doseq=True)}"


def _cursor(row: ScoreRow) -> str:
    return urlsafe_b64encode(f"{row.recorded_at.isoformat()} {row.memo_id}".encode()).decode()


def _passed(cursor: str) -> tuple[datetime, str]:
    """Time and memo of the last score of the page before. Raises Problem 400 for what no link holds."""
    try:
        moment, _, memo = urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        found = datetime.fromisoformat(moment)
    except ValueError:
        memo, found = "", RELEASED
    if found.tzinfo is None or not memo or "\0" in memo:
        raise Problem(400, detail="page is from no link to a next page: begin without it.")
    return found, memo
