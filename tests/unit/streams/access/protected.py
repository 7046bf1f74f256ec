"""A protected application for tests: routes of the table that answer with what a page would, and what was recorded."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from schemas.errors import Transient
from schemas.event_enums import AuditAction
from schemas.events import AuditEvent
from schemas.settings import Settings
from streams.access.access import Access
from streams.access.audit import check_person, record_look
from streams.access.guard import protect
from streams.access.permissions import ROUTES
from streams.access.sign_in import ROUTER
from streams.history.database import Database
from streams.history.tables import METADATA

PUBLIC_URL = "https://undertone.example"
COHORTS = {"north-1": "north", "south-1": "south"}
"""The people of this world, by pseudonym."""


@dataclass
class MemoryTrail:
    """Audit events in a list. refuses: Kafka does not answer."""

    events: list[AuditEvent] = field(default_factory=list)
    refuses: bool = False

    async def record(self, event: AuditEvent) -> None:
        """As the trail of Kafka."""
        if self.refuses:
            raise Transient("broker did not acknowledge an audit event")
        self.events.append(event)

    def actions(self) -> list[str]:
        """What was done, in order."""
        return [event.action.value for event in self.events]


def memory_database() -> Database:
    """A database that only this process sees."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    METADATA.create_all(engine)
    return Database(engine)


@dataclass
class Protected:
    """An application with everything that its access needs."""

    application: FastAPI
    access: Access
    trail: MemoryTrail

    def client(self, base_url: str = "http://127.0.0.1:8090", **options: object) -> httpx.AsyncClient:
        """A client that is no browser: it sends neither cookies of others nor `Sec-Fetch-Site`."""
        transport = httpx.ASGITransport(self.application)
        return httpx.AsyncClient(transport=transport, base_url=base_url, **options)  # type: ignore[arg-type]


def protected(**settings: object) -> Protected:
    """An application with a route for every row of the table. settings: none for local mode."""
    trail, application = MemoryTrail(), FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    access = Access.of(Settings(**settings), trail, memory_database())  # type: ignore[arg-type]
    own = {route.path for route in ROUTER.routes if hasattr(route, "path")}
    for method, path in ROUTES:
        if path not in own:
            application.add_api_route(path, _endpoint(method, path), methods=[method])
    protect(application, access)
    return Protected(application, access, trail)


def address(template: str) -> str:
    """A path of a route: north-1 where it names a person.

    >>> address("/people/{user_id}/memos/{memo_id:path}")
    '/people/north-1/memos/some-memo_id'
    """
    return re.sub(r"{(\w+)[^}]*}", lambda name: "north-1" if name[1] == "user_id" else f"some-{name[1]}", template)


def _endpoint(method: str, path: str) -> Callable[[Request], object]:
    async def answer(request: Request) -> Response:
        row = ROUTES[method, path]
        user_id = request.path_params.get("user_id")
        if user_id is not None:
            await check_person(request, COHORTS.get(user_id), user_id)
        action = AuditAction.UNKNOWN if "mistakes" in request.query_params else row.event
        if isinstance(action, AuditAction) and "forgets" not in request.query_params:
            await record_look(request, action, row.permission.value, (user_id,) if user_id else ())
        if "twice" in request.query_params:
            await record_look(request, AuditAction.VIEWED, row.permission.value)
        return PlainTextResponse("a person's data" if row.audited else "no data of persons")

    return answer
