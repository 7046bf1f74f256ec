"""Pages over a real SQLite history, for one viewer, with the audit events that they leave."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from sqlalchemy import Connection
from starlette.types import ASGIApp, Receive, Scope, Send

from schemas.codec import Codec
from schemas.event_enums import ConsentState
from schemas.events import AuditEvent, CareAction
from schemas.settings import Settings
from streams.access.roles import StaffRole
from streams.access.viewer import LOCAL, Viewer
from streams.api import problems
from streams.api.services import Services
from streams.history.care import apply_action
from streams.history.database import Database
from streams.history.writes.batch import Keeping, Kept, store
from streams.history.writes.positions import stored
from streams.web.error_pages import error_page
from tests.erasures import MemoryPlace, enrolled, without_servers
from tests.history import KEEPING, NOW_MS, parts
from workers.consumer.consents import Standing
from workers.state.store import MemoryStore


@dataclass
class Trail:
    """Where audit events go."""

    events: list[AuditEvent] = field(default_factory=list)

    async def record(self, event: AuditEvent) -> None:
        self.events.append(event)


class Acting(Services):
    """Services that need no Kafka: an action goes to the history at once."""

    async def perform(self, action: CareAction) -> bool:
        return await self.database.write(apply_action, action)


class Silent:
    """Consents of people who never said anything, but for those given."""

    def __init__(self, **said: ConsentState) -> None:
        self.said = said

    async def standing(self, user_id: str) -> Standing | None:
        found = self.said.get(user_id.replace("-", "_"))
        return None if found is None else Standing(found, 1_780_000_000_000)


class Looking:
    """A middleware by which every request is this viewer's."""

    def __init__(self, app: ASGIApp, viewer: Viewer) -> None:
        self._app, self._viewer = app, viewer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "state": {"viewer": self._viewer}}, receive, send)


@dataclass
class Pages:
    """What a test asks, and what it finds afterwards."""

    client: httpx.AsyncClient
    trail: Trail
    database: Database
    application: FastAPI


def application_of(
    database: Database, settings: Settings, trail: Trail, viewer: Viewer, *routers: APIRouter
) -> FastAPI:
    """The routers as an application without access control: the viewer is given."""
    app = FastAPI()
    nothing = cast("Any", None)
    app.state.services = Acting(
        settings, Codec(), nothing, database, MemoryStore(), nothing, nothing, cast("Any", Silent())
    )
    app.state.access = type("Access", (), {"trail": trail})()
    for router in routers:
        app.include_router(router)
    problems.add_to(app, error_page)
    app.add_middleware(Looking, viewer=viewer)
    return app


def keep(connection: Connection, records: Sequence[Kept], keeping: Keeping = KEEPING) -> None:
    """Store records as the first ones of their topics."""
    found = parts(records)
    if found:
        stored(connection, [part.step.at for part in found])
        store(connection, found, keeping, NOW_MS)


@asynccontextmanager
async def pages(
    folder: Path,
    records: Sequence[Kept],
    *routers: APIRouter,
    viewer: Viewer = LOCAL,
    keeping: Keeping = KEEPING,
    seal: Literal["off", "on"] = "off",
    key_cache_s: float = 600.0,
) -> AsyncIterator[Pages]:
    """The routers' pages over a history of these records."""
    settings = Settings(home=folder, seal=seal, key_cache_s=key_cache_s)
    database = Database.open(settings)
    trail = Trail()
    try:
        await database.write(keep, records, keeping)
        app = application_of(database, settings, trail, viewer, *routers)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://dashboard") as client:
            yield Pages(client, trail, database, app)
    finally:
        database.close()


AUDITOR = Viewer("aud", frozenset({StaffRole.AUDITOR}), None)


@asynccontextmanager
async def erasure_pages(
    folder: Path, patch: pytest.MonkeyPatch, router: APIRouter, *users: str
) -> AsyncIterator[Pages]:
    """The router's pages for an auditor, with people who have keys, and whose data is in one place in memory."""
    without_servers(patch, MemoryPlace())
    async with pages(folder, [], router, viewer=AUDITOR, seal="on", key_cache_s=0.5) as made:
        services = made.application.state.services
        enrolled(services.settings, *users)
        yield made
        await services.erasures.close()
