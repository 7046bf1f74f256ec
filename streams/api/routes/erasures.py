"""Erasures: ask for one, see how far it is, take its certificate, and verify one.

The pseudonym is in the body of the request alone: addresses end up in logs of proxies, and an erasure would leave it
there. Answers name an erasure by the person's subject, which leads to no one once the keys are destroyed.
"""

import asyncio
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from schemas.errors import ConfigurationError
from schemas.event_enums import AuditAction
from schemas.limits import ID
from streams.access.audit import record_look
from streams.access.permissions import require
from streams.access.roles import Permission
from streams.access.viewer import Viewer
from streams.api.problems import Problem, documented
from streams.api.services import OurServices, Services
from streams.privacy.certificate import NotCertified
from streams.privacy.erasing import NoSuchPerson, check_certificate
from streams.privacy.erasures import ErasureState
from streams.privacy.journal import Request as Asked
from workers.privacy.key_directory import KeyDirectory

router = APIRouter(
    prefix="/api/v1/erasures", tags=["erasures"], responses=documented(400, 401, 403, 422, 429, 500, 503)
)

Eraser: TypeAlias = Annotated[Viewer, Depends(require(Permission.ERASE))]
ErasureId: TypeAlias = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="`erasure_id` of an erasure.")]
NOT_THERE = "There is no erasure of this id, or it has no certificate yet."


class ErasureRequest(BaseModel):
    """Who is erased, and why. Reason and ticket stay on the certificate: they must not name the person."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user_id: Annotated[str, Field(min_length=1, max_length=128)]
    reason: Annotated[str, Field(min_length=1, max_length=1000)]
    ticket: Annotated[str | None, Field(min_length=1, max_length=128)] = None


@dataclass(frozen=True, slots=True)
class VerifiedCertificate:
    """A certificate that this system signed, and whose person has no key today. records: none was read for this."""

    erasure_id: str
    person: str
    reason: str
    ticket: str | None
    started_at: str
    finished_at: str


@router.get("")
async def list_erasures(services: OurServices, _: Eraser) -> list[ErasureState]:
    """Every erasure, the newest first; none names anybody."""
    return await services.erasures.all()


@router.post("", status_code=202, responses=documented(404, 413, 415))
async def start_erasure(
    request: Request, response: Response, services: OurServices, _: Eraser, wanted: ErasureRequest
) -> ErasureState:
    """Erase a person, which cannot be undone. Repeating it goes on with an erasure that was interrupted."""
    state = await started(request, services, wanted.user_id, Asked(wanted.reason, wanted.ticket))
    response.headers["Location"] = f"{router.prefix}/{state.erasure_id}"
    return state


@router.post("/verify", responses=documented(411, 413, 415))
async def verify_certificate(request: Request, services: OurServices, _: Eraser) -> VerifiedCertificate:
    """Verify the file of a certificate, sent as the body: signature, signer, and that the person has no key.

    `undertone erase verify` tries every record besides.
    """
    return await verified_certificate(services, await request.body())


@router.get("/{erasure_id}", responses=documented(404))
async def get_erasure(services: OurServices, _: Eraser, erasure_id: ErasureId) -> ErasureState:
    """How far an erasure is."""
    state = await services.erasures.one(erasure_id)
    if state is None:
        raise Problem(404, detail=NOT_THERE)
    return state


@router.get("/{erasure_id}/certificate", responses=documented(404))
async def get_certificate(request: Request, services: OurServices, _: Eraser, erasure_id: ErasureId) -> Response:
    """The certificate of an erasure, the file that `undertone erase` writes."""
    return await certificate_file(request, services, erasure_id)


async def started(request: Request, services: Services, user_id: str, asked: Asked) -> ErasureState:
    """The erasure, started once it is recorded who asks. Raises Problem 404 for no one, 422 for a name in it."""
    if not ID.accepts(user_id):
        raise Problem(404, detail=f"No one was erased: a pseudonym is {ID.rule}.")
    try:
        asked.check_unnamed(user_id)
    except ConfigurationError as error:
        raise Problem(422, errors=({"where": "body.reason", "what": str(error)},)) from None
    await record_look(request, AuditAction.ERASED, "person", (user_id,), asked.reason)
    try:
        return await services.erasures.start(user_id, asked)
    except NoSuchPerson as error:
        raise Problem(404, detail=f"No one was erased: {error}.") from None


async def certificate_file(request: Request, services: Services, erasure_id: str) -> Response:
    """The answer with the certificate's bytes. Raises Problem 404."""
    found = await services.erasures.certificate(erasure_id)
    if found is None:
        raise Problem(404, detail=NOT_THERE)
    await record_look(request, AuditAction.EXPORTED, "certificate")
    headers = {"Content-Disposition": f'attachment; filename="erasure-{erasure_id}.json"', "Cache-Control": "no-store"}
    return Response(found, media_type="application/json", headers=headers)


async def verified_certificate(services: Services, data: bytes) -> VerifiedCertificate:
    """What a certificate says. Raises Problem 422 for one that does not hold, Transient."""
    if not KeyDirectory.is_made(services.settings):
        raise Problem(422, detail="There is no key directory here, so this system has signed no certificate.")
    try:
        found = await asyncio.to_thread(check_certificate, services.settings, data)
    except NotCertified as error:
        raise Problem(422, "The certificate does not hold", f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
    ticket = found["ticket"]
    return VerifiedCertificate(
        str(found["subject"]),
        str(found["person"]),
        str(found["reason"]),
        None if ticket is None else str(ticket),
        str(found["started_at"]),
        str(found["finished_at"]),
    )
