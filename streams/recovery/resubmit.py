"""Reconciliation after Redis has lost its data: puts mutes and marks in force, resubmits uploads without an outcome.

Once all parts of a memo have been read, its only state is the join in Redis. If that is lost, no event of the memo
remains, and it would get no outcome. (After one loss most memos still have another part; after two losses within
`join_timeout_s`, as with a server in a crash loop, they have none.) So the store holds a mark. An agent that does not
find it waits until all features extracted before are joined or timed out, and then compares the topics. Every stage
deduplicates resubmitted events.
"""

import asyncio
import logging
import time
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
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
from schemas.errors import BrokerRefused, Transient
from schemas.events import DeadLetter, MemoFeatures, MemoUploaded, RiskScored
from schemas.headers import Headers
from schemas.pipeline import AGENTS_GROUP, feature_stages
from schemas.redrive_headers import rescored_headers
from schemas.settings import Settings
from schemas.state_keys import LISTS, MARK
from streams.recovery.care_actions import restore_actions
from streams.recovery.rescore import is_provisional
from workers.consumer.isolation import of_record
from workers.kafka.clients import UNAVAILABLE
from workers.kafka.consumer_lag import Observer
from workers.kafka.topic_reader import written
from workers.service import prometheus
from workers.state.deadlines import Deadlines
from workers.state.store import Store

log = logging.getLogger(__name__)

EVERY_S = 2.0
LEASE_S = 60.0
"""Lease duration: an agent that has not renewed its lease for this long is presumed dead, and another takes over."""
GRACE_S = 10.0
"""Extra time for closing overdue joins. A slower process closes joins of resubmitted memos, which are deduplicated."""
_LATEST_S = 1e12
TOGETHER = 500
"""Uploads sent before their acknowledgements are awaited."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The mark that shows that the store has its data; times in Unix seconds.

    since: when the store was first found empty; by: the agent that holds the lease; until: end of the lease unless
    renewed; done: whether every earlier memo has its outcome.
    """

    since: float
    by: str
    until: float
    done: bool = False

    def to_bytes(self) -> bytes:
        """The mark as one value of the store."""
        return MARK.framed(msgpack.packb([self.since, self.by, self.until, self.done]))

    @classmethod
    def of(cls, state: bytes | None) -> "Mark | None":
        """The mark in stored bytes; None without one, and for one of a newer Undertone, which is ignored.

        Raises UnreadableState.
        """
        if state is None or MARK.is_newer(state):
            return None
        with MARK.decoding():
            if state[:1] < bytes((LISTS,)):
                mark = cls(*msgpack.unpackb(MARK.opened(state)[1]))
            else:
                version, *fields = msgpack.unpackb(state)
                if version > MARK.version:
                    return None
                mark = cls(*fields)
            if not (
                isinstance(mark.by, str) and isinstance(mark.done, bool) and 0 <= mark.since + mark.until < _LATEST_S
            ):
                raise ValueError("not a mark")
            datetime.fromtimestamp(mark.since, UTC)
            return mark


def acquire_lease(state: bytes | None, agent: str, now: float) -> Mark | None:
    """The mark after `agent` has acquired or renewed the lease; None when all is done, or another agent holds it."""
    mark = Mark.of(state) or Mark(now, agent, 0.0)
    held = now < mark.until <= now + 2 * LEASE_S  # a lease that ends later is of a clock that was ahead
    if mark.done or (mark.by != agent and held):
        return None
    since = mark.since if mark.since <= now + LEASE_S else now
    return replace(mark, since=since, by=agent, until=now + LEASE_S)


def mark_done(state: bytes | None, mark: Mark) -> Mark | None:
    """The mark with `done` set; None when the data was lost again, or another agent holds the lease."""
    stored = Mark.of(state)
    return None if stored is None or (stored.since, stored.by) != (mark.since, mark.by) else replace(stored, done=True)


class Reconciler:
    """Checks the mark periodically, in every process of agents."""

    def __init__(
        self, settings: Settings, store: Store, deadlines: Deadlines, producer: AIOKafkaProducer, codec: Codec
    ) -> None:
        self._settings, self._store, self._deadlines = settings, store, deadlines
        self._producer, self._codec = producer, codec
        self._agent = uuid4().hex

    async def run(self) -> NoReturn:
        """Reconcile until cancelled. Raises KafkaError that is not retriable, such as for a missing permission."""
        while True:
            try:
                await self.reconcile()
            except (Transient, *UNAVAILABLE) as error:
                if isinstance(error, KafkaError) and not error.retriable:
                    raise
                log.info("reconciliation paused: %s", type(error).__name__)
            await asyncio.sleep(EVERY_S)

    async def reconcile(self) -> int | None:
        """Reconcile once if needed; returns how many memos were resubmitted, None when not needed or not finished.

        Raises Transient and KafkaError: call it again then.
        """
        mark = await self._acquire_lease()
        if mark is None:
            return None
        async with Observer(self._settings, (topics.UPLOADED, topics.FEATURES)) as observer:
            extracted = await self._extracted(observer)
            lost = any(extracted.values())
            if lost:
                prometheus.STATE_LOSSES.inc()
                log.warning("Redis has lost its data or is new; memos without an outcome will be resubmitted")
                await self._restore_actions()
                if not await self._wait_for_joins(observer, mark):
                    return None
        sent = await self._resubmit(mark, extracted) if lost else 0
        if not await self._finish(mark):
            return None
        if sent:
            prometheus.MEMOS_SENT_AGAIN.inc(sent)
            log.warning("memos without an outcome resubmitted, count=%d", sent)
        return sent

    async def _restore_actions(self) -> None:
        """First of all, so that what somebody muted stays so. Without the permission the rest is reconciled."""
        try:
            restored = await restore_actions(self._settings, self._store, self._codec, datetime.now(UTC))
        except BrokerRefused as refused:
            log.error("mutes and marks of the dashboard are not restored: %s", refused)  # noqa: TRY400  # it says all
            return
        if restored:
            log.warning("mutes and marks of the dashboard are in force again, actions=%d", restored)

    async def _extracted(self, observer: Observer) -> Mapping[TopicPartition, int]:
        """The offsets up to which every feature worker has processed the uploads."""
        groups = [stage.group for stage in feature_stages(self._settings.modalities)]
        positions = [await observer.positions(group, topics.UPLOADED.name) for group in groups]
        return {at: min(each[at] for each in positions) for at in positions[0]}

    async def _wait_for_joins(self, observer: Observer, mark: Mark) -> bool:
        """Wait until all present features are read, and the last of their joins has timed out; False on a new loss."""
        features = topics.FEATURES.name
        seen = await observer.waiting(AGENTS_GROUP, features)
        ends = {at: position + waiting for at, (position, waiting) in seen.items()}

        async def read() -> bool:
            positions = await observer.positions(AGENTS_GROUP, features)
            return all(positions[at] >= end for at, end in ends.items())

        if not await self._wait_until(read, mark):
            return False
        deadline = time.monotonic() + self._settings.join_timeout_s + GRACE_S

        async def timed_out() -> bool:
            return time.monotonic() >= deadline

        return await self._wait_until(timed_out, mark)

    async def _wait_until(self, reached: Callable[[], Awaitable[bool]], mark: Mark) -> bool:
        """Wait for a condition while renewing the lease; False when the data was lost again meanwhile."""
        while not await reached():
            current = await self._acquire_lease()
            if current is None or current.since != mark.since:
                return False
            await asyncio.sleep(EVERY_S)
        return True

    async def _resubmit(self, mark: Mark, extracted: Mapping[TopicPartition, int]) -> int:
        since = datetime.fromtimestamp(mark.since, UTC) - timedelta(seconds=self._settings.reconciled_s)
        found, provisional = array("Q"), array("Q")
        async for memo, final in self._outcomes(since):
            (found if final else provisional).append(memo)
        outcomes, revised = (np.unique(np.frombuffer(each, np.uint64)) for each in (found, provisional))
        acknowledgements, sent = [], 0
        async for upload in written(self._settings, topics.UPLOADED, since, extracted):
            with suppress(DecodeError):  # a feature worker wrote a dead letter for it
                memo = _memo_hash(self._codec.decode(upload.value, MemoUploaded))
                if not _contains(outcomes, memo):
                    headers = list(upload.headers)
                    if _contains(revised, memo):
                        headers = rescored_headers(dict(headers))
                    acknowledgements.append(await self._send(upload, headers))
                    sent += 1
            if len(acknowledgements) == TOGETHER:
                await _acknowledged(acknowledgements)
                acknowledgements = []
        await _acknowledged(acknowledgements)
        return sent

    async def _send(self, upload: ConsumerRecord, headers: Headers) -> asyncio.Future[object]:
        """Send the same record to the same partition: its producer may have used another partitioner."""
        try:
            sent: asyncio.Future[object] = await self._producer.send(
                upload.topic, upload.value, upload.key, partition=upload.partition, headers=headers
            )
        except KafkaError as error:
            sent = asyncio.get_running_loop().create_future()
            sent.set_exception(error)
        return sent

    async def _outcomes(self, since: datetime) -> AsyncIterator[tuple[int, bool]]:
        """Hashes of memos that have a score or a dead letter, and whether that is their last one.

        A score that lacks a modality is not: it may have been lost with the join.
        """
        async for record in written(self._settings, topics.SCORED, since):
            with suppress(DecodeError):
                score = self._codec.decode(record.value, RiskScored)
                yield _memo_hash(score), not is_provisional(score)
        kinds = {topics.UPLOADED.name: MemoUploaded, topics.FEATURES.name: MemoFeatures}
        async for record in written(self._settings, topics.DEAD, since):
            with suppress(DecodeError):
                dead_letter = self._codec.decode(record.value, DeadLetter)
                if dead_letter.topic in kinds:
                    yield _memo_hash(self._codec.decode(dead_letter.value, kinds[dead_letter.topic])), True

    async def _acquire_lease(self) -> Mark | None:
        """The mark if this agent holds the lease now. Uses the clock of deadlines: no wall clock that jumps."""
        now = (await self._deadlines.now()).timestamp()

        def acquire(_: str, state: bytes | None) -> tuple[bytes | None, Mark | None]:
            mark = acquire_lease(state, self._agent, now)
            return (None if mark is None else mark.to_bytes()), mark

        return (await self._store.update([MARK.key()], acquire, ttl_s=self._settings.state_ttl_s))[MARK.key()]

    async def _finish(self, mark: Mark) -> bool:
        def finish(_: str, state: bytes | None) -> tuple[bytes | None, bool]:
            finished = mark_done(state, mark)
            return (None if finished is None else finished.to_bytes()), finished is not None

        return (await self._store.update([MARK.key()], finish, ttl_s=self._settings.state_ttl_s))[MARK.key()]


async def _acknowledged(sent: Sequence[asyncio.Future[object]]) -> None:
    """Wait until the broker has answered for each record; one that it does not take delays no other."""
    for answer in await asyncio.gather(*sent, return_exceptions=True):
        if isinstance(answer, Exception):
            if not of_record(answer):
                raise answer
            log.error("a memo cannot be resubmitted: %s", type(answer).__name__)


def _memo_hash(record: MemoUploaded | MemoFeatures | RiskScored) -> int:
    """Eight-byte hash of a user and a memo id: a million of them take eight megabytes."""
    identity = f"{len(record.user_id)}:{record.user_id}{record.memo_id}"
    return int.from_bytes(blake2b(identity.encode(), digest_size=8).digest())


def _contains(ordered: NDArray[np.uint64], value: int) -> bool:
    index = int(np.searchsorted(ordered, np.uint64(value)))
    return index < len(ordered) and int(ordered[index]) == value
