"""Submits audio files as `MemoUploaded` events."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Self, TypeAlias

from aiokafka import AIOKafkaProducer

from schemas import topics
from schemas.codec import Codec
from schemas.errors import Erased, Poison
from schemas.events import MemoUploaded
from schemas.headers import headers_of
from schemas.ids import memo_id
from schemas.limits import ID, LimitError, check
from schemas.settings import Settings
from streams.local.inbox import Inbox
from streams.local.journal import Journal, Upload
from workers.audio.storage import AudioStore
from workers.kafka.broker_probe import answered
from workers.kafka.clients import make_producer
from workers.kafka.connect import started_once
from workers.kafka.consumer_lag import Observer
from workers.kafka.sealed_clients import NOT_SENT, refused
from workers.service import tracing

BACKLOG_RECORDS = 400
"""Memos that may wait in the embedded broker. Their features, some 6 KB per memo, must fit into 5 MB per partition."""
ASK_EVERY = 25
"""Submissions sent together; at most twice as many between two checks of the backlog."""


UriOf: TypeAlias = Callable[[Path, str, str], str]
"""The URI for workers of a file, its SHA-256 and its person."""


def event_of(path: Path, user_id: str, recorded_at: datetime | None, uri_of: UriOf) -> MemoUploaded:
    """The event of one file. recorded_at: when None, the file's modification time, which is stable.

    Raises Poison when the file cannot be read, or a field of the event is outside of its limit. The same file, user and
    time give the same memo id.
    """
    if not ID.accepts(user_id):
        raise Poison("event:refused", f"cannot be submitted: the user must be {ID.rule}")
    if path.exists() and not path.is_file():
        raise Poison("file:unreadable", "cannot be read: not a regular file")
    try:
        digest = sha256(path.read_bytes()).hexdigest()
        moment = recorded_at or datetime.fromtimestamp(path.stat().st_mtime, UTC)
        uri = uri_of(path, digest, user_id)
    except OSError as error:
        raise Poison("file:unreadable", f"cannot be read: {error.strerror}") from error
    moment = moment.astimezone(UTC).replace(microsecond=moment.microsecond // 1000 * 1000)
    event = MemoUploaded(memo_id(user_id, digest, moment), user_id, moment, datetime.now(UTC), uri, digest)
    try:
        check(event)
    except LimitError as error:
        raise Poison("event:refused", f"cannot be submitted: {error}") from error
    return event


def uri_maker(settings: Settings, inbox: Inbox | None) -> UriOf:
    """A function that gives the URI for workers: the file's own under an allowed prefix, else of a copy in the inbox.

    The function takes the file, its SHA-256 and the person. It raises Poison for a file outside every allowed prefix
    when there is no inbox.
    """
    allowed = AudioStore(settings)

    def uri_of(path: Path, digest: str, user_id: str) -> str:
        uri = path.resolve().as_uri()
        if allowed.allows(uri):
            return uri
        if inbox is None:
            raise Poison(
                "audio:uri_refused",
                "outside UNDERTONE_AUDIO_PREFIXES, so no worker may read it: move it or add a prefix",
            )
        try:
            return inbox.put_memo(user_id, path.read_bytes(), digest, path.suffix.lower())
        except Erased:
            raise Poison("event:refused", "cannot be submitted: the person is being erased") from None

    return uri_of


class Submitter:
    """Sends events to `memos.uploaded`. `async with Submitter.open(...) as submitter: await submitter.send(event)`.

    With a journal every event is on disk before it is sent. With an observer (of the embedded broker) sending waits
    while `BACKLOG_RECORDS` memos are in flight, so that the small broker drops none.
    """

    def __init__(
        self, codec: Codec, producer: AIOKafkaProducer, observer: Observer | None, journal: Journal | None
    ) -> None:
        self._codec, self._producer, self._observer, self._journal = codec, producer, observer, journal
        self._room = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, codec: Codec, journal: Journal | None) -> AsyncIterator[Self]:
        """A submitter that is connected while the context is open. journal: of an embedded broker, None for another."""
        await answered(settings)
        producer = await started_once(lambda: make_producer(settings, enters=True), settings)
        try:
            async with AsyncExitStack() as exits:
                # Reading the backlog needs permissions that a platform's user need not have.
                observer = None if journal is None else await exits.enter_async_context(Observer(settings))
                yield cls(codec, producer, observer, journal)
        finally:
            await producer.stop()

    @classmethod
    @asynccontextmanager
    async def open_durable(cls, settings: Settings, codec: Codec, journal: Journal) -> AsyncIterator[Self]:
        """As `open`, for a durable broker: sending never waits, and the journal only notes which audio is needed."""
        async with cls.open(settings, codec, None) as submitter:
            submitter._journal = journal
            yield submitter

    async def send(self, event: MemoUploaded) -> None:
        """Send one event; when it returns, the broker has it (and the journal, where there is one).

        Raises Poison for a person who was erased.
        """
        await self.send_all([event])

    async def send_all(self, events: Sequence[MemoUploaded]) -> None:
        """Send events, in order. Raises Poison when all others were sent and some are of people who were erased."""
        every = [await self._send_some(events[n : n + ASK_EVERY]) for n in range(0, len(events), ASK_EVERY)]
        if not all(every):
            raise refused()

    async def _send_some(self, events: Sequence[MemoUploaded]) -> bool:
        """Send these; False when some were refused, because their speakers were erased."""
        values = [self._codec.encode(event, f"{topics.UPLOADED.name}-value") for event in events]
        uploads = [
            Upload(e.user_id.encode(), value, e.memo_id, e.user_id, e.audio_uri)
            for e, value in zip(events, values, strict=True)
        ]
        if self._journal is not None:
            await asyncio.to_thread(self._journal.accept, uploads, enters=True)
        if self._observer is not None:
            await self._wait_for_room(len(events), self._observer)
        headers, began = [headers_of(event, "submit", None) for event in events], time.time()
        sent = [
            await self._producer.send(topics.UPLOADED.name, value, event.user_id.encode(), headers=given)
            for event, value, given in zip(events, values, headers, strict=True)
        ]
        answers = await asyncio.gather(*sent)
        for given, answer in zip(headers, answers, strict=True):
            if answer is not NOT_SENT:
                tracing.delivered("submit", topics.UPLOADED.name, given, {}, began)
        gone = [upload for upload, answer in zip(uploads, answers, strict=True) if answer is NOT_SENT]
        if gone and self._journal is not None:
            await asyncio.to_thread(self._journal.finish, uploads=gone)
        return not gone

    async def _wait_for_room(self, memos: int, observer: Observer) -> None:
        """Return when this many more fit. The broker is asked again only when its last answer is used up."""
        while self._room < memos:
            self._room = min(BACKLOG_RECORDS - await observer.memos_under_way(), 2 * ASK_EVERY)
            if self._room < memos:
                await asyncio.sleep(0.2)
        self._room -= memos
