"""Uploads to the dashboard of a laptop: noted in the journal, so that they survive as those of `submit` do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from schemas import topics
from schemas.errors import Transient
from schemas.events import MemoUploaded
from schemas.settings import Settings
from streams.api.publish import Publisher
from streams.api.services import Submitting
from streams.api.uploads.receive import Submit
from streams.local.journal import Journal, Upload
from streams.local.private_files import private_folder
from streams.local.submit import BACKLOG_RECORDS
from workers.kafka.consumer_lag import Observer
from workers.privacy.sealing import sealing_of

INBOX, JOURNAL = "audio", "journal.db"
"""Names in the home, as `undertone submit` and `undertone up` have them."""


def with_inbox(settings: Settings) -> Settings:
    """Settings with the inbox of this home as the store of uploads, unless another one is set."""
    inbox = private_folder(settings.home / INBOX).resolve().as_uri()
    prefixes = dict.fromkeys((inbox, *settings.audio_prefixes))
    changes = {"audio_prefixes": tuple(prefixes), "upload_store": settings.upload_store or inbox}
    return settings.model_copy(update=changes)


def journaled(home: Path, *, embedded: bool) -> Submitting:
    """How memos are submitted: noted in the journal of a home, then sent.

    embedded: to a broker that holds only so many at once.
    """

    @asynccontextmanager
    async def submitting(settings: Settings, publisher: Publisher) -> AsyncIterator[Submit]:
        async with AsyncExitStack() as exits:
            journal = exits.enter_context(Journal(home / JOURNAL, sealing=sealing_of(settings)))
            observer = await exits.enter_async_context(Observer(settings)) if embedded else None
            yield _submit(journal, publisher, observer)

    return submitting


def _submit(journal: Journal, publisher: Publisher, observer: Observer | None) -> Submit:
    async def submit(memo: MemoUploaded) -> None:
        # Of a durable broker the journal only notes which audio is needed.
        if observer is not None and await observer.memos_under_way() >= BACKLOG_RECORDS:
            raise Transient("the embedded broker holds no more memos until some have their scores")
        value = publisher.codec.encode(memo, f"{topics.UPLOADED.name}-value")
        upload = Upload(memo.user_id.encode(), value, memo.memo_id, memo.user_id, memo.audio_uri)
        await asyncio.to_thread(journal.accept, [upload], enters=True)
        try:
            await publisher.publish(topics.UPLOADED, memo.user_id, memo)
        except BaseException:
            # Its audio is removed, so it must not be resubmitted at the next start.
            await asyncio.shield(asyncio.to_thread(journal.finish, uploads=[upload]))
            raise

    return submit
