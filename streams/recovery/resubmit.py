"""After Redis has lost its data: uploads against outcomes, and what has no outcome is sent again.

A memo whose parts have both been read waits for nothing but Redis. When its join is forgotten, no event of it is left
to come, and nobody would know of it any more. (One loss leaves most memos their other part; two losses within
`join_timeout_s`, as of a server that crashes again and again, leave them none.) So a mark lies in the store. An agent
that does not find it waits until all that was extracted before is joined or given up, and compares the topics then.
Events that are sent again are recognised wherever they are known.
"""

import asyncio
import logging
import time
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import NoReturn
from uuid import uuid4

import msgpack
import numpy as np
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from numpy.typing import NDArray

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.errors import Transient
from schemas.events import DeadLetter, MemoFeatures, MemoUploaded, RiskScored
from schemas.pipeline import AGENTS_GROUP, feature_stages
from schemas.settings import Settings
from schemas.state_keys import MARK
from workers.kafka.clients import AWAY
from workers.kafka.consumer_lag import Observer
from workers.kafka.topic_reader import written
from workers.service import prometheus
from workers.state.deadlines import Deadlines
from workers.state.store import Store

log = logging.getLogger(__name__)

EVERY_S = 2.0
LEASE_S = 60.0
"""An agent that has not renewed its charge for so long has died, and another takes it over."""
GRACE_S = 10.0
"""For joins that are due to be given up. Who is slower gives up a memo that is sent again, and that is recognised."""
TOGETHER = 500
"""Uploads sent before their acknowledgements are awaited."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What the store says of its own memory; times in Unix seconds.

    since: when it was first found empty; by: the agent in charge; until: its charge ends then unless it is renewed;
    done: whether every memo from before has its outcome.
    """

    since: float
    by: str
    until: float
    done: bool = False

    def to_bytes(self) -> bytes:
        """As the value of the store."""
        return MARK.framed(msgpack.packb([self.since, self.by, self.until, self.done]))

    @classmethod
    def of(cls, state: bytes | None) -> "Mark | None":
        """The mark that the store holds; None for none, and for one of another version, which says nothing here."""
        if state is None:
            return None
        if state[0] in MARK.versions:
            return cls(*msgpack.unpackb(MARK.opened(state)[1]))
        version, *fields = msgpack.unpackb(state)  # as 0.1 wrote it: a list whose first item is the version
        return cls(*fields) if version in MARK.versions else None


def charge(state: bytes | None, agent: str, now: float) -> Mark | None:
    """The mark once `agent` has taken, or renewed, its charge; None when there is nothing to do, or another does it."""
    mark = Mark.of(state) or Mark(now, agent, 0.0)
    if mark.done or (mark.by != agent and now < mark.until):
        return None
    return replace(mark, by=agent, until=now + LEASE_S)


def done(state: bytes | None, mark: Mark) -> Mark | None:
    """The mark of a store whose memos are complete; None when the store was lost again, or another is in charge."""
    held = Mark.of(state)
    return None if held is None or (held.since, held.by) != (mark.since, mark.by) else replace(held, done=True)


class Reconciler:
    """Watches the mark, in every process of agents."""

    def __init__(
        self, settings: Settings, store: Store, deadlines: Deadlines, producer: AIOKafkaProducer, codec: Codec
    ) -> None:
        self._settings, self._store, self._deadlines = settings, store, deadlines
        self._producer, self._codec = producer, codec
        self._agent = uuid4().hex

    async def run(self) -> NoReturn:
        """Look until cancelled. Raises KafkaError where the broker refuses for good, such as for want of a right."""
        while True:
            try:
                await self.look()
            except (Transient, *AWAY) as error:
                if isinstance(error, KafkaError) and not error.retriable:
                    raise
                log.info("memos are not looked after: %s", type(error).__name__)
            await asyncio.sleep(EVERY_S)

    async def look(self) -> int | None:
        """Do what is to be done; how many memos were sent again, None when there was nothing to do, or not yet.

        Raises Transient and KafkaError: then it is to be called again.
        """
        mark = await self._charge()
        if mark is None:
            return None
        async with Observer(self._settings, (topics.UPLOADED, topics.FEATURES)) as observer:
            taken = await self._taken(observer)
            if any(taken.values()):
                prometheus.STATE_LOSSES.inc()
                log.warning("Redis has lost what it held, or is new; memos without an outcome will be sent again")
                if not await self._joined(observer, mark):
                    return None
        sent = await self._send_again(mark, taken) if any(taken.values()) else 0
        if not await self._finish(mark):
            return None
        if sent:
            prometheus.MEMOS_SENT_AGAIN.inc(sent)
            log.warning("%d memos had no outcome and were sent again", sent)
        return sent

    async def _taken(self, observer: Observer) -> Mapping[TopicPartition, int]:
        """The uploads that every worker has dealt with: up to these offsets."""
        groups = [stage.group for stage in feature_stages(self._settings.modalities)]
        positions = [await observer.positions(group, topics.UPLOADED.name) for group in groups]
        return {at: min(each[at] for each in positions) for at in positions[0]}

    async def _joined(self, observer: Observer, mark: Mark) -> bool:
        """Wait until all features that are there now were read, and the last of their joins has been given up."""
        features = topics.FEATURES.name
        seen = await observer.waiting(AGENTS_GROUP, features)
        ends = {at: position + waiting for at, (position, waiting) in seen.items()}

        async def read() -> bool:
            positions = await observer.positions(AGENTS_GROUP, features)
            return all(positions[at] >= end for at, end in ends.items())

        if not await self._until(read, mark):
            return False
        over = time.monotonic() + self._settings.join_timeout_s + GRACE_S

        async def given_up() -> bool:
            return time.monotonic() >= over

        return await self._until(given_up, mark)

    async def _until(self, reached: Callable[[], Awaitable[bool]], mark: Mark) -> bool:
        """Wait for it; False when the store was lost again meanwhile."""
        while not await reached():
            held = await self._charge()
            if held is None or held.since != mark.since:
                return False
            await asyncio.sleep(EVERY_S)
        return True

    async def _send_again(self, mark: Mark, taken: Mapping[TopicPartition, int]) -> int:
        since = datetime.fromtimestamp(mark.since, UTC) - timedelta(seconds=self._settings.reconciled_s)
        found = array("Q")
        async for memo in self._outcomes(since):
            found.append(memo)
        outcomes = np.unique(np.frombuffer(found, np.uint64))
        waiting, sent = [], 0
        async for upload in written(self._settings, topics.UPLOADED, since, taken):
            with suppress(DecodeError):  # a worker made a dead letter of it
                if not _among(_short(self._codec.decode(upload.value, MemoUploaded).memo_id), outcomes):
                    waiting.append(await self._send(upload))
                    sent += 1
            if len(waiting) == TOGETHER:
                await asyncio.gather(*waiting)
                waiting = []
        await asyncio.gather(*waiting)
        return sent

    async def _send(self, upload: ConsumerRecord) -> asyncio.Future[object]:
        """The same record into the same partition: whoever produced it may have spread keys by another rule."""
        sent: asyncio.Future[object] = await self._producer.send(
            upload.topic, upload.value, upload.key, partition=upload.partition, headers=list(upload.headers)
        )
        return sent

    async def _outcomes(self, since: datetime) -> AsyncIterator[int]:
        """Memos that have a score or a dead letter."""
        async for record in written(self._settings, topics.SCORED, since):
            with suppress(DecodeError):
                yield _short(self._codec.decode(record.value, RiskScored).memo_id)
        kinds = {topics.UPLOADED.name: MemoUploaded, topics.FEATURES.name: MemoFeatures}
        async for record in written(self._settings, topics.DEAD, since):
            with suppress(DecodeError):
                letter = self._codec.decode(record.value, DeadLetter)
                if letter.topic in kinds:
                    yield _short(self._codec.decode(letter.value, kinds[letter.topic]).memo_id)

    async def _charge(self) -> Mark | None:
        """The mark if this agent is in charge now. Time is that of deadlines: no wall clock that jumps."""
        now = (await self._deadlines.now()).timestamp()

        def take(_: str, state: bytes | None) -> tuple[bytes | None, Mark | None]:
            mark = charge(state, self._agent, now)
            return (None if mark is None else mark.to_bytes()), mark

        return (await self._store.update([MARK.key()], take, ttl_s=self._settings.state_ttl_s))[MARK.key()]

    async def _finish(self, mark: Mark) -> bool:
        def finish(_: str, state: bytes | None) -> tuple[bytes | None, bool]:
            finished = done(state, mark)
            return (None if finished is None else finished.to_bytes()), finished is not None

        return (await self._store.update([MARK.key()], finish, ttl_s=self._settings.state_ttl_s))[MARK.key()]


def _short(memo_id: str) -> int:
    """Eight bytes that stand for a memo: a million of them are held in eight megabytes."""
    return int.from_bytes(blake2b(memo_id.encode(), digest_size=8).digest())


def _among(one: int, ordered: NDArray[np.uint64]) -> bool:
    place = int(np.searchsorted(ordered, np.uint64(one)))
    return place < len(ordered) and int(ordered[place]) == one
