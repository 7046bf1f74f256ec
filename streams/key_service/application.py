"""The key server over HTTP: one path a call, JSON both ways, errors as problems. Who asks, the connection says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import Response
from msgspec import Struct

from schemas.errors import ConfigurationError, Transient
from streams.api import problems
from streams.api.boundary import Boundary
from streams.api.problems import Problem
from streams.api.request_limits import RequestLimits
from streams.key_service.callers import UNNAMED, label_of
from streams.key_service.grant_events import GrantEvents
from streams.key_service.handing_out import HandingOut, Refused
from workers.privacy.sources import messages
from workers.privacy.sources.messages import Answered, Asked, Holder, NotUnderstood, Users
from workers.service import prometheus

CALLER = "caller"
"""Of the state of a connection: the name of the other side."""
AT_ONCE = 4
"""Calls that ask the key directory at the same time; others wait for their turn."""
TURN_S = 5.0

M = TypeVar("M", bound=Struct)


class Service:
    """What answers requests. events: of what is given and refused."""

    def __init__(self, handing_out: HandingOut, events: GrantEvents) -> None:
        self.handing_out, self._events = handing_out, events
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def answer(self, request: Request, call: Callable[[str], Struct]) -> Response:
        """The answer to one call. Raises Problem."""
        caller = getattr(request.state, CALLER, UNNAMED)
        outcome = "failed"
        try:
            async with self._turn():
                found = await asyncio.to_thread(call, caller)
            outcome = "ok"
        except Refused as refusal:
            outcome = "refused"
            self._events.refused(caller, str(refusal))
            raise Problem(403, detail=str(refusal)) from None
        except (Transient, ConfigurationError) as error:
            raise Problem(503, detail=str(error)) from None
        finally:
            prometheus.KEY_REQUESTS.labels(role=label_of(caller), outcome=outcome).inc()
        if isinstance(found, Answered):
            self._events.gave(caller, len(found.people))
        return Response(messages.encoded(found), media_type="application/json", headers={"Cache-Control": "no-store"})

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One of the calls at once. Raises Problem 503 where none of them ends in time."""
        try:
            async with asyncio.timeout(TURN_S):
                await self._turns.acquire()
        except TimeoutError:
            raise Problem(503, detail="the key directory is slow: other requests wait for it") from None
        try:
            yield
        finally:
            self._turns.release()


def make_application(service: Service) -> FastAPI:
    """The key server as an ASGI application."""
    app = FastAPI(title="Undertone's key server", openapi_url=None, docs_url=None, redoc_url=None)
    problems.add_to(app)
    app.add_middleware(RequestLimits, most_bytes=lambda _: messages.BODY_BYTES)
    app.add_middleware(Boundary)
    out = service.handing_out

    async def grant(request: Request) -> Response:
        return await service.answer(request, out.granted)

    app.add_api_route(messages.GRANT, grant, methods=["GET"])
    for path, route in (
        (messages.KEYS, _route(service, Asked, out.keys)),
        (messages.ERASURES, _route(service, Users, out.erasures)),
        (messages.BEAT, _route(service, Holder, out.beat)),
        (messages.DROPPED, _route(service, Holder, out.dropped)),
        (messages.LEFT, _route(service, Holder, out.left)),
    ):
        app.add_api_route(path, route, methods=["POST"])
    return app


def _route(
    service: Service, kind: type[M], call: Callable[[str, M], Struct]
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        body = await request.body()
        try:
            message = messages.decoded(body, kind)
        except NotUnderstood as error:
            # Without what it says of the content.
            raise Problem(400, detail=f"The message is not understood: {error}") from None
        return await service.answer(request, lambda caller: call(caller, message))

    return answer
