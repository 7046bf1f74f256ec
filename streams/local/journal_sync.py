"""Updates the journal from the broker: adds uploads of the embedded one, and marks finished ones."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, NoReturn

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.errors import Transient
from schemas.events import DeadLetter, MemoUploaded, RiskScored
from schemas.pipeline import AGENTS_GROUP
from schemas.settings import Settings
from streams.local.journal import Journal, Upload
from workers.kafka.clients import make_plain_producer, make_producer, make_raw_reader, make_reader
from workers.kafka.consumer_lag import Observer
from workers.kafka.sealed_clients import NOT_SENT

log = logging.getLogger(__name__)

CHECK_S = 0.5
KEYS_AGAIN_S = 2.0
FOLLOW_AGAIN_S = 60.0
"""Seconds until a broker that failed is followed again."""


class JournalSync:
    """Reads the embedded broker's topics for a journal."""

    def __init__(self, settings: Settings, codec: Codec, journal: Journal) -> None:
        self._settings, self._codec, self._journal = settings, codec, journal
        self._scored: deque[tuple[TopicPartition, int, tuple[str, str]]] = deque()

    async def resubmit(self) -> int:
        """Send the unfinished uploads of an earlier run; returns their number."""
        self._journal.forget_finished()
        uploads = self._journal.unfinished()
        # One of an earlier version does not say yet which audio it needs.
        self._journal.accept([self._upload(upload.key, upload.value) for upload in uploads])
        async with _started(make_producer(self._settings)) as producer:
            for upload in uploads:
                sent = await producer.send_and_wait(topics.UPLOADED.name, key=upload.key, value=upload.value)
                if sent is NOT_SENT:
                    self._journal.finish(uploads=[upload])
        return len(uploads)

    async def say_again(self) -> int:
        """Send the last words of people from an earlier run, as they were on their topic; returns their number."""
        words = await asyncio.to_thread(self._journal.consents)
        async with _started(make_plain_producer(self._settings)) as producer:
            for key, value in words:
                await producer.send_and_wait(topics.CONSENTS.name, key=key, value=value)
        return len(words)

    async def follow_consents(self) -> NoReturn:
        """Note what people say, until cancelled."""
        async with _started(make_raw_reader(self._settings, topics.CONSENTS.name)) as reader:
            while True:
                records = await _fetched(reader)
                words = [(each.key, each.value) for each in records if each.key and each.value]
                if words:
                    await asyncio.to_thread(self._journal.note_consents, words)

    async def run(self) -> None:
        """Update the journal until cancelled."""
        names = (topics.UPLOADED.name, topics.SCORED.name, topics.DEAD.name)
        async with _started(make_reader(self._settings, *names)) as reader, Observer(self._settings) as observer:
            while True:
                await asyncio.to_thread(self._note, await _fetched(reader))
                if self._scored:
                    self._finish(await observer.positions(AGENTS_GROUP, topics.SCORED.name))

    async def follow_outcomes(self) -> NoReturn:
        """Mark memos of a durable broker as finished, until cancelled: it keeps its uploads itself.

        A broker that does not answer, or denies this, only delays the removal of audio.
        """
        while True:
            try:
                await self._follow_outcomes()
            except (KafkaError, OSError) as error:
                log.warning("outcomes of memos unknown, copies of their audio stay: %s", type(error).__name__)
            await asyncio.sleep(FOLLOW_AGAIN_S)

    async def _follow_outcomes(self) -> None:
        names = (topics.SCORED.name, topics.DEAD.name)
        async with _started(make_reader(self._settings, *names, start="latest")) as reader:
            while True:
                await asyncio.to_thread(self._note, await _fetched(reader))
                if self._scored:
                    self._journal.finish([memo for *_, memo in self._scored])
                    self._scored.clear()

    def _note(self, records: list[Any]) -> None:
        accepted, dead = [], []
        for record in records:
            with suppress(DecodeError):
                if record.topic == topics.UPLOADED.name:
                    accepted.append(self._upload(record.key, record.value))
                elif record.topic == topics.SCORED.name:
                    scored = self._codec.decode(record.value, RiskScored)
                    at, memo = TopicPartition(record.topic, record.partition), (scored.user_id, scored.memo_id)
                    self._scored.append((at, record.offset, memo))
                else:
                    letter = self._codec.decode(record.value, DeadLetter)
                    if letter.topic == topics.UPLOADED.name:
                        dead.append(self._upload(letter.key, letter.value))
        if accepted:
            self._journal.accept(accepted)
        if dead:
            self._journal.finish(uploads=dead)

    def _upload(self, key: bytes | None, value: bytes | None) -> Upload:
        with suppress(DecodeError):
            memo = self._codec.decode(value, MemoUploaded)
            return Upload(key, value or b"", memo.memo_id, memo.user_id, memo.audio_uri)
        return Upload(key, value or b"", None)

    def _finish(self, positions: Mapping[TopicPartition, int]) -> None:
        """A memo is finished when the drift agent has committed past its score."""
        followed = [memo for at, offset, memo in self._scored if offset < positions.get(at, 0)]
        self._scored = deque(entry for entry in self._scored if entry[1] >= positions.get(entry[0], 0))
        if followed:
            self._journal.finish(followed)


async def _fetched(reader: AIOKafkaConsumer) -> list[Any]:
    """Records that have come; waits while their keys are missing."""
    while True:
        try:
            fetched = await reader.getmany(timeout_ms=int(CHECK_S * 1000))
        except Transient as error:
            log.warning("uploads and outcomes are noted later: %s", error)
            await asyncio.sleep(KEYS_AGAIN_S)
        else:
            return [record for several in fetched.values() for record in several]


@asynccontextmanager
async def _started(client: AIOKafkaConsumer) -> AsyncIterator[Any]:
    try:
        await client.start()
        yield client
    finally:
        await client.stop()
