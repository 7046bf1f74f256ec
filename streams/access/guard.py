"""Every request passes here before a route sees it, and every answer afterwards. ASGI middleware.

In this order: host, path and proxy headers; the site that caused it; the rate; the row of the table of routes; who
asks; whether their role may; the CSRF token. What fails is answered at once. An answer gets the security headers, and
one that should have left an audit event and did not is withheld.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import quote

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemas.errors import Transient
from schemas.event_enums import AuditAction
from streams.access import csrf, origins
from streams.access.access import Access
from streams.access.audit import record_refusal
from streams.access.csrf import PeekedBody
from streams.access.headers import security_headers
from streams.access.permissions import NOT_PERMITTED, Route, check_routes, methods_of, route_of
from streams.access.rate_limits import RateLimit
from streams.access.roles import Permission
from streams.access.sign_in import ROUTER
from streams.access.viewer import Channel, Viewer
from workers.service import prometheus

log = logging.getLogger(__name__)

PROGRAMS = ("/api/", "/fhir/")
"""Paths for programs: they get 401 where a person's browser is sent to sign in."""
PROBE = "/healthz"
"""A platform asks for it by the address of the container, so its host is not checked; it says nothing of persons."""


CONCEALING = frozenset({Permission.PERSON, Permission.ACT, Permission.EXPORT, Permission.FHIR})
"""Where a 404 says the same whatever the reason, so that it does not show whether a person exists."""
CHECKED_AGAIN_S = 300.0
"""Longest answer to somebody who is signed in: afterwards session, role and cohorts are looked up again."""
NOT_RECORDED = "This look was not recorded, so nothing is shown. This is a defect of Undertone; tell an operator."


class Unrecorded(Exception):
    """A route answered without its audit event, or with one of another action."""


class Refusal(HTTPException):
    """A request that is not served. why: label of the metric."""

    def __init__(self, status: int, why: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)
        self.why = why


class Guard:
    """The middleware. access: what sign-in, sessions and audit events need."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            check_routes(scope["app"])
            await self._app(scope, receive, send)
            return
        scope["state"] = {**scope.get("state", {}), "viewer": None, "look": None}
        request, body = Request(scope, receive), PeekedBody(receive)
        route: Route | None = None

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                _check_recorded(route, message["status"], scope["state"]["look"])
                message["headers"] = self._headers(scope["path"], message["headers"])
            await send(message)

        try:
            admitted = await self._admitted(request, body)
            if response := self._elsewhere(request, admitted):
                await response(scope, body, sending)
                return
            route = admitted
            scope["state"]["conceals"] = route.permission in CONCEALING
            await self._serve(scope, body, sending)
        except (HTTPException, Transient) as error:
            await (await self._answer(request, error))(scope, body, sending)
        except Unrecorded:
            log.error("a route answered without its audit event; the answer was withheld")  # noqa: TRY400
            prometheus.REQUESTS_REFUSED.labels(reason="unrecorded").inc()
            await (await self._answer(request, HTTPException(500, NOT_RECORDED)))(scope, body, sending)

    async def _serve(self, scope: Scope, body: PeekedBody, send: Send) -> None:
        """Let the route answer. An answer that goes on, such as live events, ends in time to check again who asks."""
        asking: Viewer | None = scope["state"]["viewer"]
        checked = asking is not None and not asking.local and scope["method"] in origins.SAFE
        try:
            async with asyncio.timeout(CHECKED_AGAIN_S if checked else None) as limit:
                await self._app(scope, body, send)
        except TimeoutError:
            if not limit.expired():
                raise
            # A browser follows live events again by itself, from the last one on, if its session still holds.
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _admitted(self, request: Request, body: PeekedBody) -> Route:
        """The row of a request that may be served. Raises HTTPException for any other; sets who asks."""
        self._check_meant(request)
        self._check_rate(self._access.addresses, f"address {_address(request)}")
        route = self._route(request)
        if route.permission is Permission.PUBLIC:  # a style sheet needs no session, so no database
            return route
        asking = await self._access.viewer_of(request)
        request.scope["state"]["viewer"] = asking
        if asking is None:
            raise Refusal(401, "signed_out", "Sign in, or send a valid bearer token.", {"WWW-Authenticate": "Bearer"})
        if not asking.local:
            self._check_rate(self._access.subjects, f"subject {asking.subject}")
        await self._check_csrf(request, body, asking)
        if not asking.may(route.permission) and self._landing(request) is None:
            await record_refusal(request, route.permission.value)
            raise Refusal(403, "permission", NOT_PERMITTED)
        return route

    def _check_meant(self, request: Request) -> None:
        """Raises Refusal for a request that was meant for another host, or that another site caused."""
        site, headers = self._access.site, request.headers
        port = (request.scope.get("server") or ("", None))[1]
        path = request.scope["path"]
        if path != PROBE and (fault := origins.host_fault(site, headers.getlist("host"), port)):
            raise Refusal(421, "host", fault)
        if fault := origins.path_fault(request.scope.get("raw_path") or path.encode(), path):
            raise Refusal(400, "syntax", fault)
        if "transfer-encoding" in headers and "content-length" in headers:
            raise Refusal(400, "syntax", "The body has two lengths: send `Content-Length` or `Transfer-Encoding`.")
        if fault := origins.forwarded_fault(site, headers):
            raise Refusal(403, "forwarded", fault)
        if fault := origins.site_fault(site, request.method, headers, headers.get("host", "")):
            raise Refusal(403, "site", fault)

    def _check_rate(self, limit: RateLimit, key: str) -> None:
        if wait_s := limit.wait_s(key, time.monotonic()):
            headers = {"Retry-After": str(math.ceil(wait_s))}
            raise Refusal(429, "rate", "Too many requests: wait for the seconds in `Retry-After`.", headers)

    def _route(self, request: Request) -> Route:
        path = request.scope["path"]
        if route := route_of(request.method, path):
            return route
        if allowed := methods_of(path):
            raise Refusal(405, "route", "This address does not take this method.", {"Allow": ", ".join(allowed)})
        raise Refusal(404, "route", "Nothing is here: check the address.")

    async def _check_csrf(self, request: Request, body: PeekedBody, asking: Viewer) -> None:
        """Raises Refusal for an unsafe request of a session without the session's token."""
        if asking.channel is not Channel.SESSION or request.method not in origins.UNSAFE:
            return
        given = request.headers.get(csrf.HEADER)
        if given is None:
            kind = request.headers.get("content-type", "")
            least = csrf.FIRST_PART_BYTES if kind.lower().startswith(csrf.MULTIPART) else csrf.PEEK_BYTES
            given = csrf.token_in(kind, await body.peek(least))
        if not csrf.matches(asking.csrf_token, given):
            raise Refusal(403, "csrf", "The form is of another session: load the page again, then send it.")

    def _landing(self, request: Request) -> str | None:
        """The page for somebody whose role has no caseload; None for any other address than the first one."""
        return "/system" if request.scope["path"] == "/" and request.method in origins.SAFE else None

    def _elsewhere(self, request: Request, route: Route) -> Response | None:
        """Where the browser of somebody without a caseload goes from the first page."""
        asking = request.scope["state"]["viewer"]
        target = self._landing(request)
        if target is not None and asking is not None and not asking.may(route.permission):
            return RedirectResponse(target, 303)
        return None

    async def _answer(self, request: Request, error: Exception) -> Response:
        """The response to a request that is not served: the application's own, where it has a maker of them."""
        if isinstance(error, Refusal):
            prometheus.REQUESTS_REFUSED.labels(reason=error.why).inc()
            if error.status_code == 401 and _navigates(request):
                return RedirectResponse(f"/signin?next={quote(_target(request), safe='/')}", 303)
        handler: Callable[[Request, Exception], Awaitable[Response]] | None
        handler = getattr(request.app.state, "answer", None)
        return _plain(error) if handler is None else await handler(request, error)

    def _headers(self, path: str, given: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """With the security headers, which replace what a route gave."""
        ours = security_headers(self._access.site, path, self._access.policies)
        names = {name.lower().encode() for name in ours}
        return [
            *(pair for pair in given if pair[0].lower() not in names),
            *((name.lower().encode(), value.encode()) for name, value in ours.items()),
        ]


def protect(application: FastAPI, access: Access) -> None:
    """Add sign-in and the middleware. Call it before other middleware is added, which then is around this one.

    The application does not start with a route that `streams/access/permissions.py` does not list.
    """
    application.state.access = access
    application.include_router(ROUTER)
    application.add_middleware(Guard, access=access)


def _check_recorded(route: Route | None, status: int, look: AuditAction | None) -> None:
    if route is not None and route.audited and status < 400 and look is not route.event:
        raise Unrecorded


def _navigates(request: Request) -> bool:
    """Whether a person's browser asks for a page."""
    accepts_pages = "text/html" in request.headers.get("accept", "")
    return request.method in origins.SAFE and accepts_pages and not request.scope["path"].startswith(PROGRAMS)


def _target(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _plain(error: Exception) -> Response:
    """A problem of RFC 9457, for an application that makes none of its own."""
    http = error if isinstance(error, HTTPException) else HTTPException(503, f"{error}.", {"Retry-After": "5"})
    body = {"type": "about:blank", "title": HTTPStatus(http.status_code).phrase, "status": http.status_code}
    return JSONResponse(body | {"detail": http.detail}, http.status_code, http.headers, "application/problem+json")
