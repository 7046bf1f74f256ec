"""Connecting to the broker, with retries while it is unavailable and a clear error when it refuses; disconnecting."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from aiokafka.errors import KafkaConnectionError, KafkaError, UnknownTopicOrPartitionError

from schemas.errors import Transient
from schemas.settings import Settings
from workers.kafka.authorization_errors import refusals_stop
from workers.kafka.broker_probe import answered
from workers.service.retry import retry_transient

C = TypeVar("C")

ELSEWHERE = "it answers, but the brokers that it names do not: check their advertised.listeners"
"""A broker gives clients the address of each broker; those must be reachable from where the client runs."""


async def started(make: Callable[[], C], settings: Settings, *, stage: str) -> C:
    """A connected client; recreated, with back-off, while the broker is unavailable. Raises BrokerRefused."""
    return await retry_transient(lambda: started_once(make, settings), stage=stage, target="broker")


async def started_once(make: Callable[[], C], settings: Settings) -> C:
    """A connected client, for a command. Raises Transient while the broker is unavailable, and BrokerRefused."""
    client: Any = make()
    try:
        with refusals_stop():
            await client.start()
    except BaseException as error:
        await stopped(client)
        if not isinstance(error, KafkaConnectionError):
            raise
        await answered(settings)  # aiokafka only logs why it could not connect; this raises the reason
        raise Transient(f"KAFKA_BOOTSTRAP={settings.kafka_bootstrap}: {ELSEWHERE}") from error
    return client  # type: ignore[no-any-return]  # aiokafka has no types


def outage(error: BaseException) -> Transient | None:
    """What an error of a client says of the brokers, where a repetition may succeed; None for anything else."""
    if isinstance(error, UnknownTopicOrPartitionError):
        return Transient("KAFKA_BOOTSTRAP: a topic does not exist there: `undertone topics create` creates it")
    if isinstance(error, KafkaError) and error.retriable:
        return Transient(f"KAFKA_BOOTSTRAP: its brokers do not serve this request now ({type(error).__name__})")
    return None


async def stopped(client: Any) -> None:
    """Stop an aiokafka client.

    While a broker is unavailable, a consumer cancels its own pending fetches, and their CancelledError ends its `stop`
    before it closes its connections, although the caller is not cancelled.
    """
    try:
        await client.stop()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        await client._client.close()
