"""Whether a person may be listened to: what was said last, and saying it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from schemas.event_enums import AuditAction, ConsentState
from schemas.limits import ID
from schemas.topics import CONSENTS
from streams.access.audit import record_look
from streams.api.problems import Problem, documented
from streams.api.routes.actions import Id
from streams.api.routes.viewing import Actor, PersonViewer, UserId, check_speaker
from streams.api.services import OurServices, Services
from streams.context.consent import consent_of
from workers.consumer.consents import refused_by
from workers.privacy.sealing import sealing_of

router = APIRouter(
    prefix="/api/v1/people", tags=["people"], responses=documented(400, 401, 403, 404, 422, 429, 500, 503)
)

RESOURCE = "consent"
ERASURES = "/api/v1/erasures"


class ConsentRequest(BaseModel):
    """What a person said, and why it is recorded; the reason stays in the audit trail, so it names no one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: Literal[ConsentState.GIVEN, ConsentState.PAUSED, ConsentState.WITHDRAWN]
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    consent_id: Id | None = None


@dataclass(frozen=True, slots=True)
class ConsentStanding:
    """What a person said last: null for somebody who never said anything.

    read: whether memos are read, by UNDERTONE_CONSENT; erasure: after a withdrawal, where what is held can be erased.
    """

    user_id: str
    state: ConsentState | None
    since: datetime | None
    read: bool
    erasure: str | None


@router.get("/{user_id}/consent")
async def get_consent(request: Request, services: OurServices, _: PersonViewer, user_id: UserId) -> ConsentStanding:
    """Whether a person may be listened to."""
    await _check(request, services, user_id)
    found = await standing(services, user_id)
    await record_look(request, AuditAction.VIEWED, RESOURCE, (user_id,))
    return found


@router.post("/{user_id}/consent", status_code=201, responses=documented(413, 415))
async def record_consent(
    request: Request, services: OurServices, asking: Actor, user_id: UserId, wanted: ConsentRequest
) -> ConsentStanding:
    """Record that a person gave, paused or withdrew the consent; it holds for every memo that is read after the answer.

    The person may have no memo yet. Repeating it changes nothing.
    """
    await _check(request, services, user_id)
    if user_id in wanted.reason:
        errors = ({"where": "body.reason", "what": "must not name the person: it stays in the audit trail"},)
        raise Problem(422, errors=errors)
    said = consent_of(user_id, wanted.state, asking.subject, wanted.reason, datetime.now(UTC), wanted.consent_id)
    await record_look(request, AuditAction.ACTED, f"{RESOURCE}.{wanted.state}", (user_id,), wanted.reason)
    if wanted.state is ConsentState.GIVEN:
        await sealing_of(services.settings).keys_of(user_id, enrol=True)  # whoever was erased returns by that
    await services.publisher.publish(CONSENTS, user_id, said)
    return await standing(services, user_id)


async def standing(services: Services, user_id: str) -> ConsentStanding:
    """What a person said last, as of now. Raises Transient while Kafka or the keys do not answer."""
    found = await services.consents.standing(user_id)
    return ConsentStanding(
        user_id,
        None if found is None else found.state,
        None if found is None else found.since,
        refused_by(found, required=services.settings.consent == "required") is None,
        ERASURES if found is not None and found.state is ConsentState.WITHDRAWN else None,
    )


async def _check(request: Request, services: Services, user_id: str) -> None:
    """Raises Problem 422 for no pseudonym, HTTPException 404 for a person of a cohort that the viewer does not see."""
    if not ID.accepts(user_id):
        raise Problem(422, errors=({"where": "path.user_id", "what": f"must be {ID.rule}"},))
    await check_speaker(request, services, user_id)
