"""The pipeline in one process on a real connection and a real Redis, in clear or sealed; only hearing costs nothing."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import topics
from schemas.codec import Codec
from schemas.events import DeadLetter, MemoFeatures, MemoUploaded
from schemas.pipeline import ACOUSTIC, AGENTS_GROUP, EMBEDDING
from schemas.settings import Settings
from streams.local.embedded import EmbeddedKafka
from streams.local.submit import Submitter
from streams.roles import agents as agents_role
from streams.roles.agents import run_agents
from tests.faults.cheap_worker import CheapStage, load
from tests.faults.play import SETTINGS
from tests.servers import RedisServer
from workers.audio.memo import Memo
from workers.audio.storage import AudioStore
from workers.consumer.stage import Outcome
from workers.consumer.worker import Worker
from workers.kafka.clients import client_options
from workers.kafka.connect import stopped
from workers.kafka.consumer_lag import Observer
from workers.kafka.topic_reader import written
from workers.privacy.sealing import close_all

CODEC = Codec()
NOW = datetime(2026, 6, 1, tzinfo=UTC)
"""Time stands still, so that what is written of a memo does not depend on when."""
EVER = datetime(1970, 1, 1, tzinfo=UTC)


class BothStages:
    """One worker that gives both modalities."""

    name = ACOUSTIC.name
    device = "none"

    def __init__(self, settings: Settings) -> None:
        self._stages = [CheapStage(settings, row) for row in (ACOUSTIC, EMBEDDING)]
        self.extractors = {name: each for stage in self._stages for name, each in stage.extractors.items()}

    def process(self, batch: Sequence[Memo]) -> Sequence[Outcome[MemoFeatures]]:
        both = [stage.process(batch) for stage in self._stages]
        return [[part for outcome in outcomes for part in outcome] for outcomes in zip(*both, strict=True)]

    def close(self) -> None: ...


@dataclass
class Place:
    """A broker and a Redis. home: of the keys."""

    bootstrap: str
    redis_url: str
    home: Path
    audio: Path
    uploaded: list[MemoUploaded] = field(default_factory=list)

    def settings(self, **changes: Any) -> Settings:
        """Settings of every process."""
        environment = {name.removeprefix("UNDERTONE_").lower(): value for name, value in SETTINGS.items()}
        given = {"kafka_bootstrap": self.bootstrap, "redis_url": self.redis_url, "home": self.home}
        quick = {"session_timeout_s": 6.0, "stop_deadline_s": 5.0, "audio_prefixes": (self.audio.as_uri(),)}
        return Settings.load(**{**environment, **given, **quick, **changes})

    async def submit(self, settings: Settings, memos: Sequence[MemoUploaded]) -> None:
        """Send memos."""
        async with Submitter.open(settings, CODEC, None) as submitter:
            await submitter.send_all(memos)
        self.uploaded += memos


@contextmanager
def place(folder: Path) -> Iterator[Place]:
    """A broker and a Redis of one's own."""
    with ExitStack() as exits:
        kafka = exits.enter_context(EmbeddedKafka([topic.name for topic in topics.TOPICS]))
        redis = exits.enter_context(RedisServer(durable=False))
        exits.callback(close_all)
        audio, home = folder / "audio", folder / "home"
        for each in (audio, home):
            each.mkdir(exist_ok=True)
        yield Place(kafka.bootstrap, redis.url, home, audio)


@asynccontextmanager
async def running(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sequence["asyncio.Task[None]"]]:
    """A worker and the agents, from their start to their end in good order; raises what ended one of them."""
    monkeypatch.setattr(agents_role, "_now", lambda: NOW)
    loading = partial(load, store=AudioStore(settings), settings=settings)
    worker, stop = Worker(settings, BothStages(settings), loading, CODEC, owns_input=True), asyncio.Event()
    # Side by side: a broker lets each group wait for seconds until all its members are there.
    tasks = [asyncio.create_task(_working(worker)), asyncio.create_task(run_agents(settings, stop))]
    try:
        yield tasks
    finally:
        worker.stop()
        stop.set()
        await asyncio.wait(tasks, timeout=30)
    for task in tasks:
        task.result()


async def _working(worker: Worker) -> None:
    async with worker:
        await worker.run()


async def settled(at: Place, settings: Settings, outcomes: int | None = None) -> None:
    """Return when everybody is through with everything; or as soon as so many memos have their outcome."""
    async with asyncio.timeout(120), Observer(settings) as observer:
        while True:
            (_, scored), (_, dead) = [await observer.size(topic.name) for topic in (topics.SCORED, topics.DEAD)]
            if outcomes is not None and scored + dead >= outcomes:
                return
            lags = [await observer.backlog(ACOUSTIC.group, topics.UPLOADED.name)]
            lags += [
                await observer.backlog(AGENTS_GROUP, t.name) for t in (topics.FEATURES, topics.SCORED, topics.DEAD)
            ]
            if outcomes is None and not any(lags):
                return
            await asyncio.sleep(0.1)


async def outcomes(settings: Settings) -> Mapping[tuple[str, str], list[bytes]]:
    """What is on the topics of outcomes, opened, by topic and user, in its order; of letters all but their moment."""
    found: dict[tuple[str, str], list[bytes]] = defaultdict(list)
    for topic in (topics.SCORED, topics.ALERTS, topics.DEAD):
        async for record in written(settings, topic, EVER):
            value = record.value
            if topic is topics.DEAD:
                letter = replace(CODEC.decode(value, DeadLetter), at=NOW, offset=0, partition=0, headers={})
                value = CODEC.encode(replace(letter, dead_letter_id="0"))
            found[topic.name, record.key.decode()].append(value)
    return found


async def raw(settings: Settings) -> list[Any]:
    """Every record as it is on its topic."""
    names = [topic.name for topic in topics.TOPICS]
    reader = AIOKafkaConsumer(*names, **client_options(settings), group_id=None, auto_offset_reset="earliest")
    found: list[Any] = []
    try:
        await reader.start()
        ends: Mapping[TopicPartition, int] = await reader.end_offsets(list(reader.assignment()))
        while any([await reader.position(at) < end for at, end in ends.items()]):
            found += [record for some in (await reader.getmany(timeout_ms=100)).values() for record in some]
    finally:
        await stopped(reader)
    return found


def content(records: Sequence[Any]) -> bytes:
    """All bytes of records that a broker keeps."""
    headers = b" ".join(name.encode() + b"=" + value for record in records for name, value in record.headers)
    return b" ".join([*(record.key or b"" for record in records), *(record.value for record in records), headers])


def traces(memos: Sequence[MemoUploaded]) -> list[bytes]:
    """What would betray that a memo is on a topic."""
    return [text.encode() for memo in memos for text in (memo.user_id, memo.memo_id, memo.audio_uri, memo.sha256 or "")]


def seen(value: Any) -> str:
    """For a message of a test."""
    return json.dumps(value, default=str)[:500]
