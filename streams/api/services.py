"""What the routes share: settings, database, Kafka and Redis clients, opened once for the life of the process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Self

from aiokafka import AIOKafkaProducer
from fastapi import Depends, Request

from schemas.codec import Codec
from schemas.schema_registry import make_codec
from schemas.settings import Settings
from workers.kafka.clients import make_producer
from workers.kafka.connect import started, stopped


@dataclass(slots=True)
class Services:
    """Of one dashboard process. closing: set when it shuts down; what streams to a client ends then."""

    settings: Settings
    codec: Codec
    producer: AIOKafkaProducer
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Self]:
        """Services that are connected while the context is open. Raises ConfigurationError, BrokerRefused."""
        async with AsyncExitStack() as exits:
            codec = make_codec(settings)
            producer = await started(lambda: make_producer(settings), settings, stage="dashboard")
            exits.push_async_callback(stopped, producer)
            yield cls(settings, codec, producer)


def services(request: Request) -> Services:
    """The services of the application that serves this request; a dependency of FastAPI."""
    found: Services = request.app.state.services
    return found


OurServices = Annotated[Services, Depends(services)]
"""The type of a route's parameter that takes them."""
