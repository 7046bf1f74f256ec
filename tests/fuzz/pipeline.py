"""All agents in one process, on a store in memory: what is offered on a topic goes as far as it goes.

Decoding, agents, isolation, state, delivery and the texts of the bridges are those of production. The broker is a list
that refuses what a broker refuses, a memo's sound is always the same, and time stands still.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
from aiokafka.errors import MessageSizeTooLargeError

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.errors import Poison
from schemas.events import MemoUploaded, Quality, RiskAlert
from schemas.json_records import to_json
from schemas.pipeline import ACOUSTIC, DEAD_LETTERS, DRIFT, FUSION
from schemas.redrive_headers import history_of, redrives_of
from schemas.settings import SHIPPED_BUNDLE, Settings
from streams.agents.agent_loop import Agent
from streams.agents.isolated_agent import Failures, IsolatedAgent
from streams.drift.agent import DriftAgent
from streams.drift.rules import Rules
from streams.fusion.agent import FusionAgent
from streams.fusion.dead_letter_agent import DeadLetterAgent
from streams.fusion.rules import FusionRules
from streams.notify import alertmanager_payload, slack
from workers.audio.memo import Memo
from workers.consumer.isolation import isolated
from workers.kafka.dead_letters import DeadLetterCap
from workers.kafka.producer import Delivery, Outgoing
from workers.kafka.record import Batch, Source, Unread, source_of
from workers.scoring.bundle import Bundle
from workers.scoring.scorer import Scorer
from workers.state.deadlines import MemoryDeadlines
from workers.state.store import MemoryStore

NOW = datetime(2026, 3, 1, tzinfo=UTC)
QUALITY = Quality(speech_s=5.0, snr_db=30.0, clipped=0.0, bandwidth_hz=8000.0)
SIGNAL = np.zeros(16_000, np.float32)
MOST_CAP = 10**9
"""The cap on dead letters is for a bad deployment; here everything is one."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is offered. offset: one of its own, by which its dead letters are known."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)
    offset: int = 0
    timestamp_ms: int = 1_767_960_000_000


@dataclass(slots=True)
class Broker:
    """Takes what a broker takes, and keeps it in order."""

    taken: list[Record] = field(default_factory=list)
    _offsets: Any = field(default_factory=lambda: count(10**6))

    async def send(
        self, topic: str, value: bytes, key: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> "asyncio.Future[None]":
        """As AIOKafkaProducer.send."""
        limit = next(each.max_bytes for each in topics.TOPICS if each.name == topic)
        size = len(value) + len(key or b"") + sum(len(n.encode()) + len(v) for n, v in headers)
        if size > limit:
            raise MessageSizeTooLargeError
        self.taken.append(Record(topic, key, value, dict(headers), next(self._offsets)))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


@cache
def _scorer() -> Scorer:
    return Scorer(Bundle.load(SHIPPED_BUNDLE))


@cache
def _settings() -> Settings:
    return Settings.load()


@cache
def _rules() -> Rules:
    return Rules.from_settings(_settings())


class Pipeline:
    """The system of one process. values: what the store holds at the beginning, by key."""

    def __init__(self, values: Mapping[str, bytes] | None = None) -> None:
        settings, scorer, self._codec = _settings(), _scorer(), Codec()
        self.store, deadlines = MemoryStore(clock=lambda: 0.0), MemoryDeadlines(_now)
        self.broker = Broker()
        joins = FusionRules.from_settings(settings)
        fusion = FusionAgent(joins, scorer, self.store, deadlines, self._delivery(FUSION.name), _no_cap(), _now)
        drift = DriftAgent(_rules(), settings.state_ttl_s, self.store, self._delivery(DRIFT.name), _now)
        letters = DeadLetterAgent(joins, self.store, deadlines, self._codec)
        self.skipped: list[Poison] = []
        """Why dead letters could not be followed."""
        self._values = dict(values or {})
        self._agents: dict[str, Agent] = {
            topics.FEATURES.name: self._isolated(fusion, FUSION.name),
            topics.SCORED.name: self._isolated(drift, DRIFT.name),
            topics.DEAD.name: IsolatedAgent(letters, DEAD_LETTERS.name, _no_cap(), self._skip),
        }

    async def offer(self, records: Sequence[Record]) -> list[Record]:
        """Take these records as far as they go, topic by topic; all that was written. Raises what ends a process."""
        await self.store.update(list(self._values), lambda key, _: (self._values[key], None), ttl_s=1e9)
        waiting, seen = list(records), 0
        while waiting:
            for topic in topics.TOPICS:
                here = [_source(each) for each in waiting if each.topic == topic.name]
                if here:
                    await self._take(topic.name, here)
            waiting, seen = self.broker.taken[seen:], len(self.broker.taken)
        return self.broker.taken

    async def _take(self, topic: str, sources: Sequence[Source]) -> None:
        if topic == topics.UPLOADED.name:
            await self._work(sources)
        elif topic == topics.ALERTS.name:
            self._tell(sources)
        elif agent := self._agents.get(topic):  # no agent reads what people do
            await agent.process(Batch(sources))

    async def _work(self, sources: Sequence[Source]) -> None:
        """As a feature worker does, without reading audio: both modalities at once."""
        delivery = self._delivery(ACOUSTIC.name)

        async def work(part: Sequence[Source]) -> None:
            outgoing, failures = [], []
            for source in part:
                try:
                    outgoing += _features(self._codec.decode(source.value, MemoUploaded), source)
                except DecodeError as error:
                    failures.append((source, Poison("event:undecodable", str(error))))
            await delivery.send([*outgoing, *delivery.dead_letters(failures)])

        await delivery.send(delivery.dead_letters(await isolated(work, sources, ACOUSTIC.name)))

    def _tell(self, sources: Sequence[Source]) -> None:
        """As the bridges do: the texts that receivers are sent."""
        for source in sources:
            try:
                alert = self._codec.decode(source.value, RiskAlert)
            except DecodeError:
                continue
            to_json(alert).encode()
            slack.as_text(alert, alert.user_id).encode()
            alertmanager_payload.as_posted(alertmanager_payload.Episode(alert.at, alert), NOW)

    def _delivery(self, stage: str) -> Delivery:
        return Delivery(self.broker, self._codec, stage)

    def _isolated(self, agent: Agent, stage: str) -> IsolatedAgent:
        delivery = self._delivery(stage)

        async def reject(failures: Failures) -> None:
            await delivery.send(delivery.dead_letters(failures))

        return IsolatedAgent(agent, stage, _no_cap(), reject)

    async def _skip(self, failures: Failures) -> None:
        self.skipped += [poison for _, poison in failures]


def _features(event: MemoUploaded, source: Source) -> list[Outgoing]:
    memo, space = Memo(event, SIGNAL, QUALITY), _scorer().bundle.space
    outgoing = []
    for modality, extractor in space.extractors.items():
        names = space.acoustic if modality == "acoustic" else ()
        summary = np.zeros(len(names) or len(space.centre), np.float32)
        record = memo.features(modality, extractor, 15.0, summary[None], summary, names=names)
        outgoing.append(Outgoing(topics.FEATURES, event.user_id.encode(), record, source))
    return outgoing


def _source(record: Record) -> Source:
    limit = next(each.max_bytes for each in topics.TOPICS if each.name == record.topic)
    assert redrives_of(record.headers) >= 0
    assert all(isinstance(each.stage, str) for each in history_of(record.headers))
    value = record.value
    if value is not None and len(value) > limit:
        value = Unread.too_large(value, limit)
    read = SimpleNamespace(
        topic=record.topic, partition=0, offset=record.offset, key=record.key, value=value, headers=record.headers
    )
    return source_of(read, record.timestamp_ms)


def _no_cap() -> DeadLetterCap:
    return DeadLetterCap(1.0, MOST_CAP, MOST_CAP)


def _now() -> datetime:
    return NOW
