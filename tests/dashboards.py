"""The dashboard's application in this process, on an embedded broker, a database of its own and a store in memory."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import Connection

from schemas import topics
from schemas.codec import Codec
from schemas.events import RiskAlert, RiskScored
from schemas.settings import Settings
from streams.api.services import Services
from streams.history.writes import batch, positions
from streams.history.writes.batch import Keeping, Kept
from streams.local.embedded import EmbeddedKafka
from streams.roles.http_server import bound_socket, serve
from streams.web.application import make_application
from tests.history import alert, parts, score
from workers.kafka.topic_reader import follow
from workers.state.store import MemoryStore

BASE = "http://127.0.0.1"
"""Of requests: local mode answers to the loopback alone."""
NO_REDIS = "redis://127.0.0.1:1"
"""Nothing listens there: a store in memory takes its place before anything is asked."""
COHORTS = {"north-": "north", "south-": "south"}


@dataclass
class Dashboard:
    """One application with what it uses, and a client of it."""

    services: Services
    app: FastAPI
    client: httpx.AsyncClient

    async def store(self, *records: Kept) -> None:
        """Into the history, as the next records of their topics."""
        await self.services.database.write(store, records)

    async def records(self, topic: topics.Topic) -> list[Any]:
        """What is on a topic."""
        reading = follow(self.services.settings, Codec(), topic, topic.record, from_start=True, once=True)
        return [record async for record in reading]


def store(connection: Connection, records: Sequence[Kept]) -> None:
    """Write them into the history, as the next records of their topics."""
    now = datetime.now(UTC)
    keeping = Keeping(COHORTS, now - timedelta(days=400))
    for kind in {type(record) for record in records}:
        own = [record for record in records if isinstance(record, kind)]
        (made,) = parts(own)
        known = positions.stored(connection, [made.step.at])
        begin = known[made.step.at].next_offset if made.step.at in known else 0
        (made,) = parts(own, begin)
        batch.store(connection, [made], keeping, round(now.timestamp() * 1000))


def recent(record: Any, at: datetime | None = None) -> Any:
    """A score or an alert of the last hour."""
    at = at or datetime.now(UTC) - timedelta(hours=1)
    if isinstance(record, RiskScored):
        return replace(record, recorded_at=at, uploaded_at=at, scored_at=at)
    return replace(record, at=at, since=at - timedelta(days=4))


def people(*users: str) -> list[RiskScored | RiskAlert]:
    """Some memos of each person, and an open episode of the first."""
    now = datetime.now(UTC)
    scores = [
        replace(recent(score(user, day), now - timedelta(days=day, hours=1)), memo_id=f"{user}/{day}")
        for user in users
        for day in range(5)
    ]
    return [*scores, recent(alert(users[0], 0.0))]


@asynccontextmanager
async def dashboard(folder: Path, **changes: Any) -> AsyncIterator[Dashboard]:
    """A dashboard while the context is open; its files are in `folder`."""
    inbox = (folder / "audio").as_uri()
    with EmbeddedKafka(topic.name for topic in topics.TOPICS) as kafka:
        settings = Settings(
            kafka_bootstrap=kafka.bootstrap,
            redis_url=NO_REDIS,
            home=folder,
            audio_prefixes=(inbox,),
            upload_store=inbox,
            cohorts=tuple(f"{name}={prefix}" for prefix, name in COHORTS.items()),
            **changes,
        )
        async with Services.open(settings) as services:
            services.store = MemoryStore()
            app = make_application(services)
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
                yield Dashboard(services, app, client)


@asynccontextmanager
async def over_http(here: Dashboard, stop: asyncio.Event | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the same application through a real socket, where an answer may come piece by piece.

    stop: ends the server before the block does.
    """
    stop = stop or asyncio.Event()
    with bound_socket("127.0.0.1", 0, "UNDERTONE_DASHBOARD_PORT") as listening:
        serving = asyncio.create_task(serve(here.app, listening, stop, 8.0))
        try:
            async with httpx.AsyncClient(base_url=f"{BASE}:{listening.getsockname()[1]}", timeout=30) as client:
                yield client
        finally:
            here.services.closing.set()
            stop.set()
            await serving


@contextmanager
def in_thread(folder: Path, *records: Kept, ended: bool = False) -> Iterator[str]:
    """The address of a dashboard that a thread serves. ended: live events end at once, as at a shutdown."""
    found, ready, done = list[str](), threading.Event(), threading.Event()

    async def run() -> None:
        async with dashboard(folder) as here:
            await here.store(*records)
            async with over_http(here) as client:
                if ended:
                    here.services.closing.set()
                found.append(str(client.base_url).rstrip("/"))
                ready.set()
                await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        assert ready.wait(60)
        yield found[0]
    finally:
        done.set()
        thread.join()
