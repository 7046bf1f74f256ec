"""The application of the API. `streams/web` adds the pages to it."""

from collections.abc import Sequence
from functools import cache, partial

from fastapi import APIRouter, FastAPI
from fastapi.responses import PlainTextResponse
from starlette.types import Scope

from schemas.version import version
from streams.access.access import Access
from streams.access.guard import PROBE, protect
from streams.api import openapi_document, problems
from streams.api.boundary import Boundary
from streams.api.problems import ErrorPage
from streams.api.request_limits import BODY_BYTES, RequestLimits
from streams.api.routes import consent, episodes, erasures, events, fhir, memos, people, system
from streams.api.services import Services
from streams.audit.settings import keys_of
from streams.audit.trail import KafkaAuditTrail

PREFIX = "/api/v1"
UPLOAD = f"{PREFIX}/memos"
UPLOADS = frozenset({UPLOAD, "/try"})
"""Addresses that take audio; all others take little."""
MULTIPART_BYTES = 64 * 1024
"""Room for the fields and borders around the audio of an upload."""

ROUTERS: Sequence[APIRouter] = (
    people.router,
    consent.router,
    episodes.router,
    events.router,
    memos.router,
    system.router,
    erasures.router,
    fhir.router,
)
"""The API, in the order of its document."""


def make_application(services: Services, error_page: ErrorPage | None = None) -> FastAPI:
    """The API as an ASGI application. error_page: makes the page of a problem, for browsers."""
    app = FastAPI(
        title="Undertone",
        version=version(),
        description="How people's voices change: who needs a look, why, and what was done. A compass, never a "
        "diagnosis; not for emergencies.",
        openapi_url=f"{PREFIX}/openapi.json",
        generate_unique_id_function=lambda route: route.name,
        # Their pages load scripts from another origin.
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    # As FastAPI's manual has it; it takes a tenth of a second, in which nobody else would be answered.
    app.openapi = cache(partial(openapi_document.document, app))  # type: ignore[method-assign]
    problems.add_to(app, error_page)

    def most_bytes(scope: Scope) -> int:
        uploads = scope["path"] in UPLOADS and scope["method"] == "POST"
        return services.settings.audio_max_bytes + MULTIPART_BYTES if uploads else BODY_BYTES

    # Middleware that is added later is further out.
    trail = KafkaAuditTrail(services.publisher, keys_of(services.settings))
    protect(app, Access.of(services.settings, trail, services.database))
    app.add_middleware(RequestLimits, most_bytes=most_bytes)
    app.add_middleware(Boundary)
    for router in ROUTERS:
        app.include_router(router)
    app.add_api_route(PROBE, alive, include_in_schema=False, response_class=PlainTextResponse)
    return app


async def alive() -> str:
    """For a load balancer: this process serves requests. Whether it is well, its metrics port says."""
    return "ok"
