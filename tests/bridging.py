"""What tests of bridges share: alerts on the topic, a bridge in this process, and how far it has come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import TopicPartition

from schemas import topics
from schemas.channels import bridge_group
from schemas.codec import Codec
from schemas.events import RiskAlert
from schemas.settings import Settings
from streams.notify.bridge import Bridge
from workers.kafka.clients import make_producer
from workers.kafka.consumer_lag import Observer

CODEC = Codec()


async def publish(settings: Settings, *alerts: RiskAlert | bytes) -> None:
    """Put alerts, or bytes that are none, on their topic."""
    producer = make_producer(settings)
    await producer.start()
    try:
        for each in alerts:
            value = each if isinstance(each, bytes) else CODEC.encode(each, "risk.alerts-value")
            key = b"user-1" if isinstance(each, bytes) else each.user_id.encode()
            await producer.send_and_wait(topics.ALERTS.name, value, key)
    finally:
        await producer.stop()


@asynccontextmanager
async def bridging(settings: Settings, receiver: Any, kind: type[Bridge] = Bridge) -> AsyncIterator[None]:
    """A bridge that runs while the context is open; what ends it early is raised."""
    stop = asyncio.Event()
    async with receiver, kind(settings, CODEC, receiver) as bridge:
        running = asyncio.create_task(bridge.run(stop))
        try:
            yield
        finally:
            stop.set()
            await running


class Killed(Exception):
    """A bridge has died."""


class Mortal(Bridge):
    """A bridge that dies after the receiver has accepted an alert and before its offset is committed."""

    async def _commit(self, at: TopicPartition, position: int) -> None:
        raise Killed


async def delivered(settings: Settings, receiver: str, topic: str = topics.ALERTS.name) -> None:
    """Until the group of the bridges to this receiver has committed every record of the topic."""
    async with Observer(settings) as observer:
        while await observer.backlog(bridge_group(receiver), topic):
            await asyncio.sleep(0.05)


async def until(condition: Any) -> None:
    """Until a condition in this process holds; the test's own timeout ends it."""
    while not condition():
        await asyncio.sleep(0.02)
