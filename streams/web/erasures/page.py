"""The page of erasures, for auditors: it names no one but in the field that somebody fills in."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse

from streams.api.problems import Problem
from streams.api.routes.erasures import (
    Eraser,
    ErasureId,
    VerifiedCertificate,
    certificate_file,
    started,
    verified_certificate,
)
from streams.api.services import OurServices, Services
from streams.privacy.certificate import LARGEST
from streams.privacy.erasures import ErasureStatus
from streams.privacy.journal import Request as Asked
from streams.privacy.steps import Step
from streams.web.languages import gettext_noop
from streams.web.pages import page

router = APIRouter(include_in_schema=False)

WORDS = {
    ErasureStatus.RUNNING: gettext_noop("under way"),
    ErasureStatus.WAITING: gettext_noop("waits, and goes on by itself"),
    ErasureStatus.STOPPED: gettext_noop("stopped: it needs somebody"),
    ErasureStatus.INTERRUPTED: gettext_noop("interrupted: goes on within a minute, or when the command is run again"),
    ErasureStatus.DONE: gettext_noop("done"),
}
BADGES = {
    ErasureStatus.RUNNING: "none",
    ErasureStatus.WAITING: "warning",
    ErasureStatus.STOPPED: "critical",
    ErasureStatus.INTERRUPTED: "warning",
    ErasureStatus.DONE: "none",
}
"""Colours of the states, by those of the caseload."""


@router.get("/erasures")
async def erasures_page(request: Request, services: OurServices, _: Eraser) -> HTMLResponse:
    """Every erasure, and the form that asks for one."""
    return await _page(request, services)


@router.post("/erasures")
async def ask_for_erasure(
    request: Request,
    services: OurServices,
    _: Eraser,
    user_id: Annotated[str, Form(min_length=1, max_length=128)],
    reason: Annotated[str, Form(min_length=1, max_length=1000)],
    sure: Annotated[str, Form(pattern="^yes$")],
    ticket: Annotated[str, Form(max_length=128)] = "",
) -> RedirectResponse:
    """Begin an erasure, or go on with it, then show all of them. sure: the box that says it cannot be undone."""
    await started(request, services, user_id.strip(), Asked(reason.strip(), ticket.strip() or None))
    return RedirectResponse("/erasures", status_code=303)


@router.post("/erasures/verify")
async def verify_file(request: Request, services: OurServices, _: Eraser, certificate: UploadFile) -> HTMLResponse:
    """Verify a certificate, and say what is wrong with one that does not hold."""
    try:
        data = await certificate.read(LARGEST + 1)
        return await _page(request, services, verified=await verified_certificate(services, data))
    except Problem as problem:
        if problem.status != 422:
            raise
        return await _page(request, services, 422, wrong=problem.detail)


@router.get("/erasures/{erasure_id}/certificate")
async def certificate(request: Request, services: OurServices, _: Eraser, erasure_id: ErasureId) -> Response:
    """The file of a certificate."""
    return await certificate_file(request, services, erasure_id)


async def _page(
    request: Request,
    services: Services,
    status: int = 200,
    *,
    verified: VerifiedCertificate | None = None,
    wrong: str | None = None,
) -> HTMLResponse:
    found = await services.erasures.all()
    return page(
        request,
        "erasures.html",
        status,
        erasures=found,
        words=WORDS,
        badges=BADGES,
        steps=len(Step),
        verified=verified,
        wrong=wrong,
    )
