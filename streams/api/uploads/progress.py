"""Where uploaded memos are on their way: accepted, features by modality, scored or dead. Bounded, in memory.

Records of the memos' users are read from `memos.features`, `risk.scored` and `memos.dead`, without a consumer group and
only from partitions with a memo that has no outcome yet. A process that ends forgets: the history then has the score.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.errors import Transient
from schemas.events import DeadLetter, MemoFeatures, MemoUploaded, RiskScored
from schemas.settings import Settings
from streams.views.outcomes import Identity, memo_of
from workers.kafka.clients import make_reader
from workers.kafka.connect import started_once, stopped
from workers.kafka.sealed_clients import OpeningConsumer
from workers.privacy.sealing import sealing_of

log = logging.getLogger(__name__)

READ = (topics.FEATURES, topics.SCORED, topics.DEAD)
KEPT = 500
"""Most memos that are known; the oldest are forgotten."""
FOLLOWED_S = 900.0
"""Seconds for which a memo without an outcome is followed."""
LATE_S = 10.0
"""Seconds after a score for the features it was made of: they are on another topic, which may be read later."""
POLL_MS = 200
READY_WITHIN_S = 5.0
"""Seconds that an upload waits for the reader; without it only the outcome in the history will be known."""
AGAIN_S = 5.0


@dataclass(slots=True, eq=False)
class Progress:
    """One memo. began_s: when it was accepted, before that when it was sent, monotonic.

    accepted_at: None until Kafka acknowledged it; scored_s: when its score was read, monotonic; after_s: seconds after
    began_s by step; steps: how many were made; keys: under which its records may come; ready: they are being read;
    changed: set, and replaced, with every step.
    """

    memo: MemoUploaded
    began_s: float
    accepted_at: datetime | None = None
    features: dict[str, MemoFeatures] = field(default_factory=dict)
    after_s: dict[str, float] = field(default_factory=dict)
    score: RiskScored | None = None
    scored_s: float = 0.0
    letter: DeadLetter | None = None
    steps: int = 0
    keys: frozenset[bytes] = frozenset()
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def identity(self) -> Identity:
        """User and memo."""
        return self.memo.user_id, self.memo.memo_id

    @property
    def whole(self) -> bool:
        """Whether it has a score, and the features that the score was made of."""
        return self.score is not None and all(modality in self.features for modality in self.score.modalities)

    def note(self, step: str, now_s: float) -> None:
        """A step was made."""
        self.after_s[step] = max(now_s - self.began_s, 0.0)
        self.steps += 1
        self.changed.set()
        self.changed = asyncio.Event()


class MemoProgress:
    """The memos that this process accepted. `run` reads; clock: seconds, monotonic."""

    def __init__(self, settings: Settings, codec: Codec, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._codec, self._clock = settings, codec, clock
        self._sealing = sealing_of(settings)
        self._known: OrderedDict[str, Progress] = OrderedDict()
        self._wanted = asyncio.Event()

    def get(self, memo_id: str) -> Progress | None:
        """What is known of a memo that was accepted."""
        found = self._known.get(memo_id)
        return found if found is not None and found.accepted_at is not None else None

    async def current(self, memo_id: str) -> Progress | None:
        """The same, but nothing of somebody who was erased since then. Raises Transient while keys are missing."""
        found = self.get(memo_id)
        if found is not None and not found.keys <= await self._keys_of(found):
            self.forget(found)
            return None
        return found

    def has_ended(self, progress: Progress) -> bool:
        """Whether nothing more is expected: there is a dead letter, or a score with its features.

        Without them a memo ends LATE_S after its score.
        """
        if progress.score is None:
            return progress.letter is not None
        return progress.whole or self._clock() - progress.scored_s > LATE_S

    async def expect(self, memo: MemoUploaded) -> Progress:
        """Follow a memo that is about to be sent; returns when its records will be seen, or cannot be."""
        progress = self._known[memo.memo_id] = Progress(memo, self._clock())
        self._known.move_to_end(memo.memo_id)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        self._wanted.set()
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                await progress.ready.wait()
        except TimeoutError:
            log.warning("an uploaded memo is not followed: Kafka does not answer")
        return progress

    def accept(self, progress: Progress) -> None:
        """Kafka acknowledged the memo."""
        progress.accepted_at, progress.began_s = datetime.now(UTC), self._clock()
        progress.note("accepted", progress.began_s)

    def forget(self, progress: Progress) -> None:
        """The memo was not accepted."""
        if self._known.get(progress.memo.memo_id) is progress:
            del self._known[progress.memo.memo_id]

    async def steps(self, progress: Progress) -> AsyncIterator[None]:
        """Control returns at once, then after every step; ends once a memo has its score, or is followed no more."""
        while True:
            changed = progress.changed
            yield
            if progress.score is not None or not self._is_followed(progress):
                return
            try:
                async with asyncio.timeout(FOLLOWED_S):
                    await changed.wait()
            except TimeoutError:
                return

    async def run(self) -> NoReturn:
        """Read until cancelled; without a memo under way nothing is read."""
        while True:
            await self._wanted.wait()
            try:
                reader = await started_once(self._make_reader, self._settings)
                try:
                    await self._read(reader)
                finally:
                    await stopped(reader)
            except (KafkaError, Transient) as error:
                log.warning("memos under way are not followed, trying again: %s", type(error).__name__)
                await asyncio.sleep(AGAIN_S)

    def _make_reader(self) -> OpeningConsumer:
        return make_reader(self._settings, *(topic.name for topic in READ), start="latest")

    async def _read(self, reader: OpeningConsumer) -> None:
        """Read until no memo is under way."""
        everything = reader.assignment()
        reader.pause(*everything)
        while followed := [each for each in self._known.values() if self._is_followed(each)]:
            for each in followed:
                each.keys |= await self._keys_of(each)
            reader.wanted = frozenset[bytes]().union(*(each.keys for each in followed))
            own = {at for at in everything if any(_holds(reader, at, key) for key in reader.wanted)}
            await _read_only(reader, own)
            for each in followed:
                each.ready.set()
            for records in (await reader.getmany(timeout_ms=POLL_MS)).values():
                self._take(records)
        self._wanted.clear()

    async def _keys_of(self, progress: Progress) -> frozenset[bytes]:
        """Keys of Kafka under which records of this memo may come. Raises Transient.

        Only its upload gives somebody a subject: who was erased since then stays erased.
        """
        return await self._sealing.keys_of(progress.memo.user_id, enrol=progress.accepted_at is None)

    def _is_followed(self, progress: Progress) -> bool:
        if progress.score is not None:
            return not self.has_ended(progress)
        return self._clock() - progress.began_s < FOLLOWED_S

    def _take(self, records: Iterable[Any]) -> None:
        for record in records:
            try:
                self._note(record.topic, record.value)
            except DecodeError:
                continue  # the stage that reads it makes it a dead letter

    def _note(self, topic: str, value: bytes) -> None:
        now_s = self._clock()
        if topic == topics.FEATURES.name:
            features = self._codec.decode(value, MemoFeatures)
            if (known := self._of((features.user_id, features.memo_id))) is not None:
                known.features[features.modality] = features
                known.note(f"features:{features.modality}", now_s)
        elif topic == topics.SCORED.name:
            score = self._codec.decode(value, RiskScored)
            if (known := self._of((score.user_id, score.memo_id))) is not None:
                known.score, known.scored_s, known.letter = score, now_s, None
                known.note("scored", now_s)
        else:
            letter = self._codec.decode(value, DeadLetter)
            if (known := self._of(memo_of(letter, self._codec))) is not None and known.score is None:
                known.letter = letter
                known.note("dead_letter", now_s)

    def _of(self, memo: Identity | None) -> Progress | None:
        found = None if memo is None else self._known.get(memo[1])
        return found if found is not None and found.identity == memo else None


async def _read_only(reader: AIOKafkaConsumer, own: Set[TopicPartition]) -> None:
    """Fetch from these partitions and no other; one that was left out before is read from its end."""
    paused = reader.paused()
    if coming := own & paused:
        await reader.seek_to_end(*coming)
        reader.resume(*coming)
    if left := reader.assignment() - own - paused:
        reader.pause(*left)


def _holds(reader: AIOKafkaConsumer, at: TopicPartition, key: bytes) -> bool:
    """Whether Kafka's default partitioner puts this key into this partition."""
    partitions = sorted(reader.partitions_for_topic(at.topic) or ())
    return bool(DefaultPartitioner()(key, partitions, partitions) == at.partition)
