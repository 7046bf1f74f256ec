"""Fetching records and loading their audio, ahead of the stage and within bounds.

Many memos load at once, those of one user one after the other, so that one that is slow to load, or that cannot be
read at all, holds up nobody but its own user. Loaded audio is bounded by its length in seconds; beyond the bound
partitions are paused, and polling goes on, so that the group keeps the member however long the stage works.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

from aiokafka import TopicPartition

from schemas.codec import Codec, DecodeError
from schemas.errors import Poison
from schemas.events import MemoUploaded
from schemas.settings import Settings
from workers.audio.memo import Memo
from workers.consumer.commit import Committer
from workers.consumer.offset_tracker import OffsetTracker
from workers.consumer.user_queues import UserQueues
from workers.kafka.record import Source
from workers.kafka.retry import retry_transient
from workers.service import prometheus
from workers.service.health import HEALTH

log = logging.getLogger(__name__)

Load = Callable[[MemoUploaded], Memo]
LOADING_RECORDS = 64
"""Records that may wait for their audio; how long it is, is not known before it is read."""
UNDER_WAY_RECORDS = 1000
"""Records that may be taken and not committed, so that one that stays unread holds up its partition in the end."""
BATCH_RECORDS = 256
"""Records in one batch: those that cannot be read have no length that would bound it."""
LOAD_WITHIN_S = 120.0
"""To read and decode one memo, all attempts together; beyond it the worker counts as stuck."""


@dataclass(frozen=True, slots=True)
class Item:
    """A fetched record; `content` is its memo once loaded, or why there is none."""

    source: Source
    tracker: OffsetTracker
    content: Memo | Poison

    @property
    def audio_s(self) -> float:
        """Seconds of audio that it holds in memory."""
        return self.content.duration_s if isinstance(self.content, Memo) else 0.0


class Intake:
    """What one consumer has fetched and loaded. load: reads and decodes the audio of an event, in `executor`."""

    def __init__(
        self,
        settings: Settings,
        consumer: Any,
        committer: Committer,
        codec: Codec,
        load: Load,
        executor: Executor,
        stage: str,
    ) -> None:
        self._settings, self._consumer, self._committer = settings, consumer, committer
        self._codec, self._load, self._executor, self._stage = codec, load, executor, stage
        self._lanes: UserQueues[Item] = UserQueues()
        self._held_s = 0.0
        self._open = asyncio.Event()
        """Set while partitions are ours; what is fetched while they are taken away comes again to their new owner."""

    @property
    def failed(self) -> asyncio.Future[None]:
        """Fails with the first defect of loading."""
        return self._lanes.failed

    async def run(self) -> None:
        """Fetch until cancelled."""
        part = HEALTH.part("fetching")
        try:
            while True:
                part.rest()
                await self._open.wait()
                part.begin("its next look at the topic", needs=("broker",))
                await self._fetch()
        finally:
            part.rest()

    async def _fetch(self) -> None:
        self._pause_or_resume()
        fetched = await self._consumer.getmany(timeout_ms=100, max_records=LOADING_RECORDS)
        for partition, records in fetched.items():
            tracker = self._committer.started(partition, [record.offset for record in records])
            if tracker is None or not self._open.is_set():
                continue
            prometheus.RECORDS_IN.labels(stage=self._stage).inc(len(records))
            for record in records:
                self._lanes.begin(partition, record.key, self._item(record, tracker))

    def take(self) -> list[Item]:
        """What is ready now, each user's memos in their order, up to the bound on audio in a batch."""
        batch: list[Item] = []
        seconds = 0.0
        while seconds < self._settings.batch_audio_s and len(batch) < BATCH_RECORDS:
            item = self._lanes.take()
            if item is None:
                break
            batch.append(item)
            seconds += item.audio_s
        self._holds(-seconds)
        return batch

    async def wait(self, timeout_s: float) -> None:
        """Return when something became ready since the last call, or after a while."""
        await self._lanes.wait(timeout_s)

    async def loaded_again(self, items: Sequence[Item]) -> list[Item]:
        """The same records, their audio read anew."""
        contents = await asyncio.gather(*(self._content(item.source) for item in items))
        return [replace(item, content=content) for item, content in zip(items, contents, strict=True)]

    def open(self) -> None:
        """Fetch from the partitions that are ours now."""
        self._open.set()

    def drop(self, partitions: Collection[TopicPartition]) -> None:
        """Forget what was fetched from these partitions and not taken, and fetch no more until `open` is called."""
        self._open.clear()
        for partition in partitions:
            self._holds(-sum(item.audio_s for item in self._lanes.drop(partition)))

    def close(self) -> None:
        """Forget everything."""
        self._lanes.drop_all()

    def _pause_or_resume(self) -> None:
        # Each time anew: partitions that were just assigned are not paused.
        partitions = self._consumer.assignment()
        room = self._has_room()
        (self._consumer.resume if room else self._consumer.pause)(*partitions)
        prometheus.PARTITIONS_PAUSED.labels(stage=self._stage).set(0 if room else len(partitions))

    def _has_room(self) -> bool:
        return (
            self._lanes.loading < LOADING_RECORDS
            and self._committer.under_way < UNDER_WAY_RECORDS
            and self._held_s < self._settings.inflight_audio_s
        )

    async def _item(self, record: Any, tracker: OffsetTracker) -> Item:
        headers = dict(record.headers or ())
        source = Source(record.topic, record.partition, record.offset, record.key, record.value, headers)
        item = Item(source, tracker, await self._content(source))
        self._holds(item.audio_s)
        return item

    async def _content(self, source: Source) -> Memo | Poison:
        loop = asyncio.get_running_loop()
        try:
            return await retry_transient(
                lambda: loop.run_in_executor(self._executor, self._read, source.value),
                stage=self._stage,
                target="storage",
            )
        except DecodeError as error:
            return Poison("event:undecodable", str(error))
        except Poison as poison:
            return poison

    def _read(self, value: bytes | None) -> Memo:
        """Decode and load. In a thread, and again after Transient: a schema registry may be asked, and be away."""
        with HEALTH.during("loading", "a memo", within_s=LOAD_WITHIN_S):
            return self._load(self._codec.decode(value, MemoUploaded))

    def _holds(self, audio_s: float) -> None:
        self._held_s += audio_s
        prometheus.INFLIGHT_AUDIO.labels(stage=self._stage).set(max(self._held_s, 0.0))
