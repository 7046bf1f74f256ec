"""Test environment of an agent: a store in memory, a topic, a scorer, and a crash at any step."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from schemas.codec import Codec
from schemas.errors import Poison
from schemas.events import (
    Band,
    DeadLetter,
    Evidence,
    Extractor,
    MemoFeatures,
    MemoUploaded,
    Modality,
    Quality,
    RiskScored,
)
from schemas.redrive_headers import REDRIVES
from schemas.settings import Settings
from streams.fusion.agent import FusionAgent
from streams.fusion.dead_letter_agent import DeadLetterAgent
from streams.fusion.rules import FusionRules
from workers.kafka.dead_letters import DeadLetterCap, dead_letter
from workers.kafka.producer import Delivery, Outgoing
from workers.kafka.record import Source
from workers.scoring.personal_baseline import PersonalNormal
from workers.scoring.scorer import Scored, Scorer
from workers.state.deadlines import MemoryDeadlines
from workers.state.store import NOWHERE, MemoryStore

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
CODEC = Codec()


class Killed(BaseException):
    """The process crashed here."""


@dataclass
class Faults:
    """Crashes at the n-th I/O step; never when `at` is negative."""

    at: int = -1
    steps: int = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            raise Killed


class CountingScorer:
    """The probability counts the memos of the user's baseline: scoring twice would change it."""

    bundle = SimpleNamespace(id="demo-test", names=("a",))

    def score(self, memos: Sequence[tuple[Mapping[Modality, MemoFeatures], PersonalNormal]]) -> list[Scored | Poison]:
        return [self._one(parts, normal) for parts, normal in memos]

    def _one(self, parts: Mapping[Modality, MemoFeatures], normal: PersonalNormal) -> Scored | Poison:
        if parts[Modality.ACOUSTIC].summary[0] < 0:
            return Poison("features:mismatch", "of another extractor")
        vector = parts[Modality.ACOUSTIC].summary[:1]
        return Scored(normal.memos / 100, Band.LOW, (), (Evidence("a", 1.0, 0.5),), vector)


@dataclass
class Topic:
    """The delivered records, in order. Crashes before or after a send, as the faults specify."""

    faults: Faults
    records: list[Any] = field(default_factory=list)
    causes: list[Source] = field(default_factory=list)
    codec: Codec = CODEC

    async def send(self, outgoing: Collection[Outgoing]) -> None:
        if outgoing:
            self.faults.step()
            self.records += [each.record for each in outgoing]
            self.causes += [each.cause for each in outgoing]
            self.faults.step()

    def dead_letters(self, failures: Sequence[tuple[Source, Poison]]) -> list[Outgoing]:
        return Delivery(None, CODEC, "fusion").dead_letters(failures)

    def scores(self) -> dict[str, set[bytes]]:
        """Every distinct encoding that was sent of every score."""
        found: dict[str, set[bytes]] = {}
        for record in self.records:
            if isinstance(record, RiskScored):
                found.setdefault(record.memo_id, set()).add(CODEC.encode(record))
        return found


class MortalStore(MemoryStore):
    """Crashes before or after a write."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(clock=lambda: time.monotonic() + self._ahead_s)
        self.faults = faults
        self._ahead_s = 0.0

    def later(self, seconds: float) -> None:
        """Advance the clock of TTLs."""
        self._ahead_s += seconds

    async def update(
        self, keys: Sequence[str], fn: Callable[..., Any], *, ttl_s: float, former: Mapping[str, str] = NOWHERE
    ) -> dict[str, Any]:
        self.faults.step()
        result = await super().update(keys, fn, ttl_s=ttl_s, former=former)
        self.faults.step()
        return result


class World:
    """One agent and its environment; `restart` keeps the store and the topic, as a new process would."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.store, self.topic = MortalStore(self.faults), Topic(self.faults)
        self.deadlines = MemoryDeadlines(self.time)
        ticks = count()
        self.now: Callable[[], datetime] = lambda: NOW + timedelta(seconds=next(ticks))
        self.settings = Settings.load(join_timeout_s=60.0)
        self.behind_s: float | None = 0.0

    def restart(self) -> FusionAgent:
        scorer, delivery = cast("Scorer", CountingScorer()), cast("Delivery", self.topic)
        rules, cap = FusionRules.from_settings(self.settings), DeadLetterCap.of(self.settings)
        return FusionAgent(rules, scorer, self.store, self.deadlines, delivery, cap, self.now, lambda: self.behind_s)

    def time(self) -> datetime:
        return self.now()

    def dead_letters(self) -> DeadLetterAgent:
        return DeadLetterAgent(FusionRules.from_settings(self.settings), self.store, self.deadlines, CODEC)

    def outcomes(self) -> dict[str, list[str]]:
        """The outcomes of every memo, in order: its scores by band and reason, and its dead letters."""
        found: dict[str, list[str]] = {}
        for record in self.topic.records:
            if isinstance(record, RiskScored):
                found.setdefault(record.memo_id, []).append(" ".join((record.band, *record.reasons)))
            elif isinstance(record, DeadLetter):
                memo = CODEC.decode(record.value, MemoFeatures).memo_id
                found.setdefault(memo, []).append(record.reason)
        return found


def source(memo: str, modality: Modality, user: str = "user", value: float = 1.0, redrives: int = 0) -> Source:
    one = np.full((1, 1), value, np.float32)
    features = MemoFeatures(
        memo, user, NOW, NOW, modality, Extractor("x", "1", "0"), 3.0, 15.0, one, one[0], ("a",),
        Quality(2.0, 30.0, 0.0, 8000.0),
    )  # fmt: skip
    headers = {REDRIVES: str(redrives).encode()} if redrives else {}
    return Source("memos.features", 0, 0, user.encode(), CODEC.encode(features), headers)


def dead_letter_of(memo: str, stage: Modality = Modality.EMBEDDING, user: str = "user", redrives: int = 0) -> Source:
    """The dead letter that a worker writes for an upload."""
    upload = CODEC.encode(MemoUploaded(memo, user, NOW, NOW, "memory://a"))
    headers = {REDRIVES: str(redrives).encode()} if redrives else {}
    cause = Source("memos.uploaded", 0, 7, user.encode(), upload, headers)
    record = dead_letter(cause, Poison("embedding:bad", "on purpose"), stage, NOW)
    return Source("memos.dead", 0, 0, user.encode(), CODEC.encode(record))


def both(*memos: str, user: str = "user") -> list[Source]:
    return [source(memo, modality, user) for memo in memos for modality in (Modality.ACOUSTIC, Modality.EMBEDDING)]
