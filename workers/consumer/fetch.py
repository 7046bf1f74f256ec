"""Fetch records and load their audio, ahead of the stage and within limits.

Memos of different users load concurrently, those of one user in order, so that a slow or unreadable one delays only its
own user. Audio is limited in seconds: a memo waits for room before it is decoded, and beyond the limit partitions are
paused while polling continues, so that the consumer stays in its group however long the stage takes.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, Protocol
from weakref import WeakValueDictionary

from aiokafka import TopicPartition

from schemas.codec import Codec, DecodeError
from schemas.errors import Poison
from schemas.events import MemoUploaded
from schemas.settings import Settings
from workers.audio.memo import Memo, Reserve, no_reservation
from workers.consumer.attempts import PROCESS_DIED
from workers.consumer.audio_room import AudioRoom, Share
from workers.consumer.commit import Committer
from workers.consumer.consents import Permission
from workers.consumer.isolation import attempted
from workers.consumer.offset_tracker import OffsetTracker
from workers.consumer.unheard import Unheard
from workers.consumer.user_queues import UserQueues
from workers.kafka.record import ERASED, Source, source_of
from workers.privacy.key_requests import KEYS
from workers.service import prometheus
from workers.service.health import HEALTH
from workers.service.retry import retry_transient

log = logging.getLogger(__name__)

LOADING_RECORDS = 64
"""Maximum records that are loading; their length is unknown before they are read."""
UNDER_WAY_RECORDS = 1000
"""Maximum uncommitted records, so that one that stays unread eventually blocks its partition."""
FETCHED_BYTES = 64 * 1024 * 1024
"""Maximum bytes of fetched records that are not processed; a valid one has some hundred."""
BATCH_RECORDS = 256
"""Maximum records in one batch: unreadable ones have no audio length to limit it."""
LOAD_WITHIN_S = 120.0
"""Timeout of reading and decoding one memo, with all retries; after it the worker counts as stuck."""


class Load(Protocol):
    """Reads and decodes the audio of an event, in a thread. Raises Poison, Transient."""

    def __call__(self, event: MemoUploaded, *, reserve: Reserve) -> Memo:
        """The memo. reserve: called with the seconds that decoding is about to give; waits for room."""


@dataclass(frozen=True, slots=True)
class Item:
    """A fetched record; `content` is its loaded memo, or why it was not read, or why it cannot be."""

    source: Source
    tracker: OffsetTracker
    content: Memo | Unheard | Poison
    share: Share
    """What it holds of the room for audio, until `Intake.finished` or `Intake.drop`."""

    @property
    def audio_s(self) -> float:
        """Seconds of its audio in memory."""
        return self.content.duration_s if isinstance(self.content, Memo) else 0.0


class Intake:
    """Fetched and loaded records of one consumer. load: reads and decodes an event's audio, in `executor`.

    permission: asked before each memo is loaded.
    """

    def __init__(
        self,
        settings: Settings,
        consumer: Any,
        committer: Committer,
        codec: Codec,
        load: Load,
        executor: Executor,
        stage: str,
        permission: Permission,
    ) -> None:
        self._permission = permission
        self._settings, self._consumer, self._committer = settings, consumer, committer
        self._codec, self._load, self._executor, self._stage = codec, load, executor, stage
        self._queues: UserQueues[Item] = UserQueues()
        self._room = AudioRoom(settings.inflight_audio_s, prometheus.INFLIGHT_AUDIO.labels(stage=stage).set)
        self._in_turn: WeakValueDictionary[tuple[TopicPartition, bytes], asyncio.Lock] = WeakValueDictionary()
        """One lock per user whose memos load: a memo with a share of the room never waits for one without."""
        self._fetched_bytes = 0
        self._open = asyncio.Event()
        """Set while partitions are assigned; records fetched during a revocation are redelivered to the new owner."""

    @property
    def failed(self) -> asyncio.Future[None]:
        """Fails with the first unexpected error of loading."""
        return self._queues.failed

    async def run(self) -> None:
        """Fetch until cancelled."""
        part = HEALTH.part("fetching")
        try:
            while True:
                part.rest()
                await self._open.wait()
                part.begin("polling", needs=("broker", KEYS))
                await self._fetch()
        finally:
            part.rest()

    async def _fetch(self) -> None:
        await self._committer.recall()
        self._pause_or_resume()
        at_once = self._committer.at_once() or LOADING_RECORDS
        fetched = await self._consumer.getmany(timeout_ms=100, max_records=at_once)
        trackers = {
            partition: self._committer.started(partition, [record.offset for record in records])
            for partition, records in fetched.items()
        }
        if not self._open.is_set():
            return
        await self._committer.mark([partition for partition, tracker in trackers.items() if tracker is not None])
        for partition, records in fetched.items():
            tracker = trackers[partition]
            if tracker is None or not self._open.is_set():
                continue
            prometheus.RECORDS_IN.labels(stage=self._stage).inc(len(records))
            for record in records:
                if record.value is ERASED:
                    tracker.finished(record.offset)
                    continue
                condemned = PROCESS_DIED if self._committer.condemns(partition, record.offset) else None
                self._queues.begin(partition, record.key, self._item(record, tracker, condemned))

    def take(self) -> list[Item]:
        """Items that are ready, each user's in order, up to a batch's limits."""
        batch: list[Item] = []
        seconds, size = 0.0, 0
        while seconds < self._settings.batch_audio_s and len(batch) < BATCH_RECORDS and size < FETCHED_BYTES:
            item = self._queues.take()
            if item is None:
                break
            batch.append(item)
            seconds += item.audio_s
            size += _size(item.source)
        return batch

    def finished(self, items: Sequence[Item]) -> None:
        """Give back the room of items that were taken, once nothing needs their audio any more."""
        for item in items:
            item.share.close()
            self._fetched_bytes -= _size(item.source)

    async def wait(self, timeout_s: float) -> None:
        """Return when an item became ready since the last call, or after the timeout."""
        await self._queues.wait(timeout_s)

    async def loaded_again(self, items: Sequence[Item]) -> list[Item]:
        """The same records, with their audio loaded again."""
        # Without waiting for room: a batch gives back what it holds only when all of it is done.
        contents = await asyncio.gather(*(self._content(item.source, no_reservation) for item in items))
        again = [replace(item, content=content) for item, content in zip(items, contents, strict=True)]
        for item in again:
            item.share.settle(item.audio_s)
        return again

    def open(self) -> None:
        """Start fetching from the assigned partitions."""
        self._open.set()

    def drop(self, partitions: Collection[TopicPartition]) -> None:
        """Discard the records of these partitions that were not taken, and stop fetching until `open` is called."""
        self._open.clear()
        for partition in partitions:
            self.finished(self._queues.drop(partition))

    def close(self) -> None:
        """Discard everything."""
        self._queues.drop_all()

    def _pause_or_resume(self) -> None:
        # On every poll: newly assigned partitions are not paused.
        partitions = self._consumer.assignment()
        room = self._has_room()
        (self._consumer.resume if room else self._consumer.pause)(*partitions)
        prometheus.PARTITIONS_PAUSED.labels(stage=self._stage).set(0 if room else len(partitions))

    def _has_room(self) -> bool:
        if self._committer.at_once() is not None:
            return self._committer.under_way == 0
        return (
            self._queues.loading < LOADING_RECORDS
            and self._committer.under_way < UNDER_WAY_RECORDS
            and self._fetched_bytes < FETCHED_BYTES
            and not self._room.is_full
        )

    async def _item(self, record: Any, tracker: OffsetTracker, condemned: Poison | None) -> Item:
        source = source_of(record, record.timestamp, condemned)
        self._fetched_bytes += _size(source)
        share = self._room.share()
        lock = self._in_turn.setdefault((TopicPartition(record.topic, record.partition), record.key), asyncio.Lock())
        try:
            async with lock:
                item = Item(source, tracker, await self._content(source, share.reserve), share)
        except BaseException:
            share.close()
            self._fetched_bytes -= _size(source)
            raise
        share.settle(item.audio_s)
        return item

    async def _content(self, source: Source, reserve: Reserve) -> Memo | Unheard | Poison:
        """The memo of a record, or why it has none, whatever the error."""
        if source.poison is not None:
            return source.poison
        return await attempted(lambda: self._loaded_or_poison(source, reserve), self._stage)

    async def _loaded_or_poison(self, source: Source, reserve: Reserve) -> Memo | Unheard | Poison:
        loop = asyncio.get_running_loop()
        await retry_transient(self._permission.refresh, stage=self._stage, target="broker")
        try:
            return await retry_transient(
                lambda: loop.run_in_executor(self._executor, self._read, source.value, reserve),
                stage=self._stage,
                target="storage",
            )
        except DecodeError as error:
            return Poison("event:undecodable", str(error))
        except Poison as poison:
            return poison

    def _read(self, value: bytes | None, reserve: Reserve) -> Memo | Unheard:
        """Decode and load, in a thread and retried after Transient: the schema registry may be unavailable."""
        with HEALTH.during("loading", "a memo", within_s=LOAD_WITHIN_S) as part:

            def reserve_at_rest(seconds: float) -> None:
                part.rest()  # a wait for room has no limit: the stage works meanwhile, and reports for itself
                reserve(seconds)
                part.begin("a memo", within_s=LOAD_WITHIN_S)

            event = self._codec.decode(value, MemoUploaded)
            if (reason := self._permission.refusal(event.user_id)) is not None:
                return Unheard(event, reason)
            return self._load(event, reserve=reserve_at_rest)


def _size(source: Source) -> int:
    return len(source.value or b"")
