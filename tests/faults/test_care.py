"""Acknowledgements under fire: the dashboard and the history are killed at any moment, none is lost or done twice."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeAlias

import httpx
import pytest
from sqlalchemy import select

from deploy.kafka.server import dies_with_parent
from schemas import topics
from schemas.codec import Codec
from schemas.event_enums import AuditAction
from schemas.events import AuditEvent, CareAction
from schemas.settings import Settings
from streams.history.database import Database
from streams.history.episode import episode
from streams.history.operations import positions
from streams.history.tables import ACTIONS
from streams.local.embedded import EmbeddedKafka
from tests.dashboards import recent
from tests.history import NOW, alert
from tests.servers import RedisServer, free_port
from workers.kafka.clients import make_producer
from workers.kafka.topic_reader import follow

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(300)]

CODEC = Codec()
USERS = ("north-1", "north-2", "north-3")
DASHBOARD_KILLS, HISTORY_KILLS = 2, 1
"""At moments of their own; tests/faults/test_history.py kills the history alone."""
GIVEN_UP = 0.3
"""Share of the actions that are not repeated when the first request has no answer."""
WITHIN_S = 240.0
"""Longer than anything here takes on a busy machine."""
Progress: TypeAlias = Callable[[], Awaitable[int]]
"""How much a process has done so far."""
SAID = {"action": "acknowledged", "outcome": "contacted"}


class Process:
    """One role, as `undertone` starts it."""

    def __init__(self, name: str, settings: Settings) -> None:
        self._name, self._settings = name, settings
        self._log = settings.home / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it; it is not ready yet."""
        command = [*dies_with_parent(), sys.executable, "-m", "streams.cli", self._name]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._settings.child_environment(), stdout=log, stderr=log)

    def kill(self) -> None:
        """End it at once. Fails with its log if it has ended by itself."""
        assert self._process is not None
        ended = self._process.poll()
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        assert ended is None, self._log.read_text()[-3000:]


@dataclass
class Staff:
    """Who acts, and what the answers were. Requests are told apart by why they were made, which the audit event holds.

    attempts: requests by action; looks, acts: reasons of those that were answered; done, given_up: actions with an
    answer, and those that never got one.
    """

    address: str
    moments: random.Random
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    attempts: Counter[str] = field(default_factory=Counter)
    done: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)
    looks: set[str] = field(default_factory=set)
    acts: set[str] = field(default_factory=set)

    async def work(self, user: str) -> None:
        """Look at the episode of this user and acknowledge it, again and again, until `stop` is set."""
        path, number = f"/api/v1/episodes/{alert(user, 0.0).dedup_key}", 0
        async with httpx.AsyncClient(base_url=self.address, trust_env=False, timeout=30) as client:
            while not self.stop.is_set():
                number += 1
                reason = f"look {number} at {user}"
                if await _answer(client, "GET", path, {"Undertone-Reason": reason}):
                    self.looks.add(reason)
                await self._act(client, f"{path}/actions", f"action {number} on {user}")

    async def progress(self) -> int:
        """Actions that were answered so far, repeated ones as well."""
        return len(self.acts)

    async def _act(self, client: httpx.AsyncClient, path: str, action_id: str) -> None:
        """Ask until there is an answer, or give up after the first request."""
        gives_up = self.moments.random() < GIVEN_UP
        while True:
            self.attempts[action_id] += 1
            reason = f"try {self.attempts[action_id]} of {action_id}"
            headers = {"Idempotency-Key": action_id, "Undertone-Reason": reason}
            if await _answer(client, "POST", path, headers, json=SAID):
                self.acts.add(reason)
                self.done.add(action_id)
                return
            if gives_up:
                self.given_up.add(action_id)
                return


async def _answer(client: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], **sent: Any) -> bool:
    """Whether a request was answered; without an answer, once the dashboard is there again."""
    with suppress(httpx.TransportError):
        answer = await client.request(method, path, headers=headers, **sent)
        assert answer.status_code in {200, 201, 503}, answer.text
        return answer.status_code != 503
    await _serving(client)
    return False


async def _serving(client: httpx.AsyncClient) -> None:
    while True:
        with suppress(httpx.TransportError):
            await client.get("/healthz")
            return
        await asyncio.sleep(0.05)


async def test_an_acknowledgement_outlives_both_processes_and_is_done_once(tmp_path: Path) -> None:
    seed = int(os.environ.get("UNDERTONE_CHAOS_SEED", time.time_ns() % 100_000))
    with EmbeddedKafka([topic.name for topic in topics.TOPICS]) as broker, RedisServer(durable=False) as redis:
        settings = Settings(
            kafka_bootstrap=broker.bootstrap,
            redis_url=redis.url,
            home=tmp_path,
            audio_prefixes=(tmp_path.as_uri(),),
            upload_store=tmp_path.as_uri(),
            session_timeout_s=6.0,
            dashboard_port=free_port(),
        )
        database = Database.open(settings)
        await _raise_alerts(settings)
        stored = partial(_stored, database, topics.CARE)
        staff = Staff(f"http://127.0.0.1:{settings.dashboard_port}", random.Random(seed))
        with Process("dashboard", settings) as dashboard, Process("history", settings) as history:
            async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as working:
                await _until_stored(database, topics.ALERTS, len(USERS))
                for user in USERS:
                    working.create_task(staff.work(user))
                async with asyncio.TaskGroup() as killing:
                    killing.create_task(_kill(dashboard, DASHBOARD_KILLS, random.Random(seed + 1), staff.progress))
                    killing.create_task(_kill(history, HISTORY_KILLS, random.Random(seed + 2), stored))
                staff.stop.set()
            actions: list[CareAction] = await _records(settings, topics.CARE)
            async with asyncio.timeout(WITHIN_S):
                await _until_stored(database, topics.CARE, len(actions))
        looks: list[AuditEvent] = await _records(settings, topics.AUDIT)
        await _check_actions(staff, actions, database, seed)
        _check_looks(staff, looks, seed)
        database.close()


async def _check_actions(staff: Staff, actions: list[CareAction], database: Database, seed: int) -> None:
    """A repeated request may write the same record again, under the same id; the history stores each id once."""
    written = Counter(action.action_id for action in actions)
    assert staff.done - written.keys() == set(), f"lost, seed {seed}"
    assert written.keys() - staff.done - staff.given_up == set(), f"nobody's, seed {seed}"
    assert not written - staff.attempts, f"written more often than requested, seed {seed}"
    rows = await database.read(lambda connection: connection.execute(select(ACTIONS)).all())
    assert Counter(row.action_id for row in rows) == Counter(set(written)), f"seed {seed}"
    assert len({(row.partition, row.seq) for row in rows if row.seq is not None}) == len(rows), f"seed {seed}"
    assert await _stored(database, topics.CARE) == len(actions), f"seed {seed}"
    for user in USERS:
        shown = await database.read(episode, alert(user, 0.0).dedup_key)
        assert shown is not None
        ours = [action.action_id for action in shown.actions]
        assert sorted(ours) == sorted({action.action_id for action in actions if action.user_id == user}), f"{seed}"
        assert shown.acknowledged, f"seed {seed}"


def _check_looks(staff: Staff, looks: list[AuditEvent], seed: int) -> None:
    """One event of each request that was answered; one without an answer may have left its event as well."""
    for action, answered in ((AuditAction.VIEWED, staff.looks), (AuditAction.ACTED, staff.acts)):
        events = Counter(look.reason for look in looks if look.action is action and look.allowed)
        assert answered - events.keys() == set(), f"not recorded, seed {seed}"
        assert [reason for reason, times in events.items() if times > 1] == [], f"seed {seed}"


async def _raise_alerts(settings: Settings) -> None:
    """An open episode of each user."""
    async with make_producer(settings) as producer:
        for user in USERS:
            raised = CODEC.encode(recent(alert(user, 0.0)))
            await producer.send_and_wait(topics.ALERTS.name, raised, key=user.encode())


async def _kill(process: Process, kills: int, moments: random.Random, progress: Progress) -> None:
    """Kill it at some moment after it has done something since its start, again and again; at the end it goes on."""
    for kill in range(kills + 1):
        known = await progress()
        while await progress() <= known:
            await asyncio.sleep(0.01)
        if kill < kills:
            await asyncio.sleep(moments.uniform(0, 0.2))
            process.kill()
            process.start()


async def _stored(database: Database, topic: topics.Topic) -> int:
    found = await database.read(positions, NOW)
    return sum(each.records for each in found if each.topic == topic.name)


async def _until_stored(database: Database, topic: topics.Topic, records: int) -> None:
    while await _stored(database, topic) < records:
        await asyncio.sleep(0.05)


async def _records(settings: Settings, topic: topics.Topic) -> list[Any]:
    reading = follow(settings, CODEC, topic, topic.record, from_start=True, once=True)
    return [record async for record in reading]
