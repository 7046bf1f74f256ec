"""What the routes share: settings, database, Kafka and Redis clients, opened once for the life of the process."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, NoReturn, Self, TypeAlias

from aiokafka import AIOKafkaProducer
from fastapi import Depends, Request

from schemas import topics
from schemas.codec import Codec
from schemas.events import CareAction, MemoUploaded
from schemas.schema_registry import make_codec
from schemas.settings import Settings
from streams.api import care
from streams.api.live import LiveEvents
from streams.api.publish import ACKNOWLEDGED_WITHIN_S, STAGE, Publisher
from streams.api.uploads.audio_store import make_store
from streams.api.uploads.progress import MemoProgress
from streams.api.uploads.receive import Submit, Uploads
from streams.history.cohorts import Cohorts, by_prefix
from streams.history.database import Database
from streams.history.writes.upkeep import DATABASE
from streams.notify.person_erased import tell_receivers
from streams.privacy.erasures import Erasures
from streams.privacy.places import Place
from workers.consumer.consents import Consents, open_consents
from workers.kafka.clients import make_expiring_producer, make_producer
from workers.kafka.connect import started, stopped
from workers.service.retry import retry_transient
from workers.state.open_store import open_store
from workers.state.store import Store

log = logging.getLogger(__name__)

Submitting: TypeAlias = Callable[[Settings, Publisher], AbstractAsyncContextManager[Submit]]
"""How memos are submitted while a context is open: `to_kafka`, or with a journal as on a laptop."""
UPLOADED_WITHIN_S = 10.0
"""Seconds in which Kafka acknowledges a memo, or its upload fails and is not sent any more.

A partition has another leader sooner, when a broker dies; clients and proxies wait longer, most for 30 s.
"""

AGAIN_S = 5.0
"""Seconds after which background work that failed begins again."""


@dataclass(slots=True)
class Services:
    """Of one dashboard process.

    closing: set when it shuts down; what streams to a client ends then. places: those of this machine that an erasure
    reaches as well.
    """

    settings: Settings
    codec: Codec
    producer: AIOKafkaProducer
    database: Database
    store: Store
    uploads: Uploads
    live: LiveEvents
    consents: Consents
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    places: Sequence[Place] = ()
    erasures: Erasures = field(init=False)

    def __post_init__(self) -> None:
        self.erasures = Erasures(self.settings, self.places, partial(tell_receivers, self.settings))

    @property
    def publisher(self) -> Publisher:
        """Writes to Kafka what somebody waits for."""
        return Publisher(self.producer, self.codec, ACKNOWLEDGED_WITHIN_S)

    @property
    def cohorts(self) -> Cohorts:
        """Cohorts by prefix of pseudonyms, as the settings name them."""
        return by_prefix(self.settings.cohorts)

    @property
    def alerts_per_user_year(self) -> float:
        """The false-alarm budget."""
        return self.settings.alerts_per_user_year

    async def perform(self, action: CareAction) -> bool:
        """What somebody did is on its topic, in the history and in force; False when it was there already.

        Each step may be repeated, so after Transient the same action is performed again.
        """
        return await care.perform(action, self.publisher, self.database, self.store, self.settings.state_ttl_s)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings, submitting: Submitting | None = None, places: Sequence[Place] = ()
    ) -> AsyncIterator[Self]:
        """Services that are connected while the context is open. Raises ConfigurationError, BrokerRefused."""
        async with AsyncExitStack() as exits:
            codec = make_codec(settings)
            folder = await asyncio.to_thread(make_store, settings)
            database = await retry_transient(
                lambda: asyncio.to_thread(Database.open, settings), stage=STAGE, target=DATABASE
            )
            exits.callback(database.close)
            store = await retry_transient(
                lambda: exits.enter_async_context(open_store(settings)), stage=STAGE, target="keys"
            )
            producer = await started(lambda: make_producer(settings), settings, stage=STAGE)
            exits.push_async_callback(stopped, producer)
            sender = await started(
                lambda: make_expiring_producer(settings, UPLOADED_WITHIN_S, enters=True), settings, stage=STAGE
            )
            exits.push_async_callback(stopped, sender)
            submit = await exits.enter_async_context((submitting or to_kafka)(settings, Publisher(sender, codec)))
            progress, live = MemoProgress(settings, codec), LiveEvents(database)
            for work in (progress.run, live.run):
                exits.push_async_callback(_cancelled, asyncio.create_task(_lasting(work)))
            consents = await exits.enter_async_context(open_consents(settings, codec))
            uploads = Uploads(folder, submit, progress, settings.audio_max_bytes)
            made = cls(settings, codec, producer, database, store, uploads, live, consents, places=places)
            exits.push_async_callback(made.erasures.close)
            exits.push_async_callback(_cancelled, asyncio.create_task(made.erasures.run()))
            yield made


@asynccontextmanager
async def to_kafka(settings: Settings, publisher: Publisher) -> AsyncIterator[Submit]:
    """Memos go to Kafka, which keeps them."""

    async def submit(memo: MemoUploaded) -> None:
        await publisher.publish(topics.UPLOADED, memo.user_id, memo)

    yield submit


async def _lasting(work: Callable[[], Awaitable[NoReturn]]) -> NoReturn:
    """Background work, until cancelled. A failure costs it some seconds, and the requests nothing."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("dashboard: background work failed and begins again")
        await asyncio.sleep(AGAIN_S)


async def _cancelled(task: "asyncio.Task[object]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def services(request: Request) -> Services:
    """The services of the application that serves this request.

    A dependency of FastAPI, which would run one that is not async in a thread.
    """
    found: Services = request.app.state.services
    return found


OurServices = Annotated[Services, Depends(services)]
"""The type of a route's parameter that takes them."""
