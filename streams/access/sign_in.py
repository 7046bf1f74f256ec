"""The routes of sign-in and sign-out."""

import math
import time
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from schemas.errors import Transient
from schemas.event_enums import AuditAction
from streams.access import sessions, sign_ins
from streams.access.access import Access, Staff
from streams.access.audit import record_session
from streams.access.identity_provider import IdentityProvider
from streams.access.sessions import Session
from streams.access.sign_ins import safe_target
from streams.access.tokens import TokenRefused
from streams.access.viewer import Channel, Viewer, viewer
from workers.service import prometheus

ROUTER = APIRouter(include_in_schema=False)
CALLBACK = "/signin/callback"
SIGNED_OUT = "/signedout"
"""Where a browser is after sign-out; `streams/web/signed_out.py` has the page."""
_AGAIN = "Start again from the first page."


@ROUTER.get("/signin")
async def sign_in(request: Request, target: Annotated[str, Query(alias="next")] = "/") -> Response:
    """Send the browser to the identity provider. 503 while it does not answer."""
    access, staff = _access(request)
    target = safe_target(target)
    if staff is None:
        return RedirectResponse(target, 303)
    _check_rate(request, access)
    started = await staff.provider.authorization(_address(access, CALLBACK))
    cookie = sessions.new_id()
    await staff.database.write(sign_ins.begin, cookie, started, target, datetime.now(UTC))
    response = RedirectResponse(started.url, 303)
    _set(response, access, "signin", cookie, int(sign_ins.WITHIN.total_seconds()))
    return response


@ROUTER.get(CALLBACK)
async def come_back(request: Request, code: str = "", state: str = "", error: str = "", iss: str = "") -> Response:
    """Make a session for who comes back from the identity provider."""
    access, staff = _access(request)
    if staff is None:
        raise HTTPException(404)
    cookie = request.cookies.get(access.cookie("signin"), "")
    taken = await staff.database.write(sign_ins.take, cookie, state, datetime.now(UTC))
    if taken is None:  # anybody can ask for this address, so it leaves no audit event
        prometheus.SIGN_INS.labels(outcome="failed").inc()
        raise HTTPException(400, f"This browser started no such sign-in, or too long ago. {_AGAIN}")
    if error or not code:
        raise await _refused(request, None, 403, f"The identity provider did not let you in. {_AGAIN}")
    if iss and iss != staff.provider.client.issuer:
        raise await _refused(request, None, 400, f"Another identity provider answered. {_AGAIN}")
    started, target = taken
    try:
        given = await staff.provider.signed_in(code, _address(access, CALLBACK), started)
        asking = staff.viewer_from(given.claims, Channel.SESSION)
    except TokenRefused as refusal:
        raise await _refused(request, None, 403, f"You could not be signed in: {refusal}. {_AGAIN}") from None
    if not asking.roles:
        raise await _refused(request, asking, 403, "You have no role in Undertone: ask an administrator for one.")
    await record_session(request, asking, AuditAction.SIGNED_IN)
    return await _begin_session(request, staff, asking, given.id_token, target)


@ROUTER.post("/signout")
async def sign_out(request: Request) -> Response:
    """End this session, or with `everywhere` all sessions of the subject; then sign out at the identity provider."""
    access, staff = _access(request)
    asking = await viewer(request)
    if staff is None:
        return RedirectResponse("/", 303)
    form = await request.form()
    session_id = request.cookies.get(access.session_cookie, "")
    found = await staff.database.read(sessions.find, session_id, datetime.now(UTC), staff.lifetimes)
    if form.get("everywhere"):
        await staff.database.write(sessions.end_all, asking.subject)
    await staff.database.write(sessions.end, session_id)
    # Afterwards: whoever leaves a shared machine is out, whether or not Kafka answers.
    await record_session(request, asking, AuditAction.SIGNED_OUT)
    id_token = sessions.unseal(session_id, found.sealed_id_token) if found else ""
    response = RedirectResponse(await _provider_sign_out(staff.provider, id_token, _address(access, SIGNED_OUT)), 303)
    response.delete_cookie(access.session_cookie, path="/", secure=access.site.secure, httponly=True, samesite="lax")
    return response


async def _begin_session(request: Request, staff: Staff, asking: Viewer, id_token: str, target: str) -> Response:
    """A new session under a new id; one that the browser had ends."""
    access, _ = _access(request)
    session_id, now = sessions.new_id(), datetime.now(UTC)
    if before := request.cookies.get(access.session_cookie):
        await staff.database.write(sessions.end, before)
    session = Session(asking.subject, asking.roles, asking.cohorts, sessions.seal(session_id, id_token))
    await staff.database.write(sessions.start, session_id, session, now, staff.lifetimes)
    prometheus.SIGN_INS.labels(outcome="ok").inc()
    response = RedirectResponse(target, 303)
    _set(response, access, "session", session_id, None)
    response.delete_cookie(access.cookie("signin"), path="/", secure=access.site.secure, httponly=True, samesite="lax")
    return response


async def _provider_sign_out(provider: IdentityProvider, id_token: str, return_to: str) -> str:
    """Where to go next: to the provider, or to our own page where it has none or does not answer."""
    try:
        return await provider.sign_out_url(id_token, return_to) or SIGNED_OUT
    except Transient:
        return SIGNED_OUT


async def _refused(request: Request, asking: Viewer | None, status: int, detail: str) -> HTTPException:
    """The error of a sign-in that failed, after it was recorded."""
    prometheus.SIGN_INS.labels(outcome="failed").inc()
    await record_session(request, asking, AuditAction.REFUSED, allowed=False)
    return HTTPException(status, detail)


def _check_rate(request: Request, access: Access) -> None:
    """Raises HTTPException 429 for an address that starts too many sign-ins, each of which is stored."""
    wait_s = access.sign_ins.wait_s(request.client.host if request.client else "", time.monotonic())
    if wait_s:
        raise HTTPException(429, "Too many sign-ins from this address.", {"Retry-After": str(math.ceil(wait_s))})


def _access(request: Request) -> tuple[Access, Staff | None]:
    access: Access = request.app.state.access
    return access, access.staff


def _address(access: Access, path: str) -> str:
    """The public address of a path."""
    return f"{access.site.url}{path}"


def _set(response: Response, access: Access, purpose: str, value: str, max_age_s: int | None) -> None:
    """A cookie that no script reads and no other site sends but with a link."""
    response.set_cookie(
        access.cookie(purpose), value, max_age_s, path="/", secure=access.site.secure, httponly=True, samesite="lax"
    )
