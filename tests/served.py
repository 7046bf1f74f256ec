"""The dashboard behind a real server, with a history that reads Kafka: what a browser shows of a new alert."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from schemas import topics
from schemas.codec import Codec
from schemas.events import RiskAlert
from streams.history.agent import HistoryAgent
from tests.dashboards import Dashboard, dashboard, over_http, people, recent
from tests.history import alert

FOUR = ("north-1", "north-2", "north-3", "north-4")


@dataclass
class Served:
    """A dashboard under an address, with a history that reads Kafka."""

    board: Dashboard
    address: str
    stop: asyncio.Event

    async def raise_alert(self, user: str, episode: str) -> None:
        """A new episode of this key, as the agents write it; returns when Kafka has it."""
        record = replace(recent(alert(user, 0.0), datetime.now(UTC)), alert_id=episode, dedup_key=episode)
        producer = self.board.services.producer
        await producer.send_and_wait(topics.ALERTS.name, Codec().encode(record), key=user.encode())


@asynccontextmanager
async def served(folder: Path, users: Sequence[str] = FOUR, **changes: Any) -> AsyncIterator[Served]:
    """These people, the first of them with an open episode, behind a real server."""
    async with dashboard(folder, **changes) as board:
        services, stop = board.services, asyncio.Event()
        async with HistoryAgent(services.settings, Codec(), services.database) as agent:
            producer = services.producer
            for record in people(*users):
                topic = topics.ALERTS if isinstance(record, RiskAlert) else topics.SCORED
                await producer.send_and_wait(topic.name, Codec().encode(record), key=record.user_id.encode())
            reading = asyncio.create_task(agent.run(stop))
            async with over_http(board, stop) as client:
                yield Served(board, str(client.base_url).rstrip("/"), stop)
            await reading
