"""What the routes share: settings, database, Kafka and Redis clients, opened once for the life of the process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Self, TypeAlias

from aiokafka import AIOKafkaProducer
from fastapi import Depends, Request

from schemas import topics
from schemas.codec import Codec
from schemas.events import MemoUploaded
from schemas.schema_registry import make_codec
from schemas.settings import Settings
from streams.api.publish import Publisher
from streams.api.uploads.audio_store import make_store
from streams.api.uploads.progress import MemoProgress
from streams.api.uploads.receive import Submit, Uploads
from workers.kafka.clients import make_producer
from workers.kafka.connect import started, stopped

Submitting: TypeAlias = Callable[[Settings, Publisher], AbstractAsyncContextManager[Submit]]
"""How memos are submitted while a context is open: `to_kafka`, or with a journal as on a laptop."""


@dataclass(slots=True)
class Services:
    """Of one dashboard process. closing: set when it shuts down; what streams to a client ends then."""

    settings: Settings
    codec: Codec
    producer: AIOKafkaProducer
    uploads: Uploads | None = None
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def publisher(self) -> Publisher:
        """Writes records to Kafka."""
        return Publisher(self.producer, self.codec)

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, submitting: Submitting | None = None) -> AsyncIterator[Self]:
        """Services that are connected while the context is open. Raises ConfigurationError, BrokerRefused."""
        async with AsyncExitStack() as exits:
            codec = make_codec(settings)
            store = await asyncio.to_thread(make_store, settings)
            producer = await started(lambda: make_producer(settings), settings, stage="dashboard")
            exits.push_async_callback(stopped, producer)
            submit = await exits.enter_async_context((submitting or to_kafka)(settings, Publisher(producer, codec)))
            progress = MemoProgress(settings, codec)
            following = asyncio.create_task(progress.run())
            exits.push_async_callback(_cancelled, following)
            yield cls(settings, codec, producer, Uploads(store, submit, progress, settings.audio_max_bytes))


@asynccontextmanager
async def to_kafka(settings: Settings, publisher: Publisher) -> AsyncIterator[Submit]:
    """Memos go to Kafka, which keeps them."""

    async def submit(memo: MemoUploaded) -> None:
        await publisher.publish(topics.UPLOADED, memo.user_id, memo)

    yield submit


async def _cancelled(task: "asyncio.Task[object]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def services(request: Request) -> Services:
    """The services of the application that serves this request; a dependency of FastAPI."""
    found: Services = request.app.state.services
    return found


OurServices = Annotated[Services, Depends(services)]
"""The type of a route's parameter that takes them."""
