"""Writes audit events, each as the next of a chain, and returns when Kafka has it.

A chain has one event under way at a time: its next one is made when Kafka has acknowledged the last. A process has as
many chains as it writes events at once. One whose event was not acknowledged ends there, since no one knows whether
Kafka has that event; both are whole chains. So no outage leaves a gap that looks like a removed event.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias
from uuid import uuid4

from aiokafka.errors import KafkaError

from schemas import topics
from schemas.audit_chain import linked
from schemas.audit_keys import AuditKeys
from schemas.errors import Transient
from schemas.events import AuditEvent
from schemas.topics import Topic
from workers.service import prometheus

CHAINS = 32
"""Most chains of one process, and so most events under way."""

Send: TypeAlias = Callable[[AuditEvent], Awaitable[None]]
"""Returns when an event cannot be lost any more."""


class Publishing(Protocol):
    """Writes a record to its topic."""

    async def publish(self, topic: Topic, key: str, record: AuditEvent) -> None:
        """Return when Kafka has the record. Raises Transient while it does not answer."""


@dataclass(slots=True)
class Chain:
    """One writer, and its last event."""

    writer: str = field(default_factory=lambda: uuid4().hex)
    seq: int = 0
    prev: str | None = None


class Chains:
    """The chains of a process. send: writes one event; keys: of the trail."""

    def __init__(self, send: Send, keys: AuditKeys = AuditKeys()) -> None:  # noqa: B008  # immutable
        self._send, self._keys = send, keys
        self._idle: list[Chain] = []
        self._room = asyncio.Semaphore(CHAINS)

    async def write(self, event: AuditEvent) -> None:
        """Write an event as the next of a chain. Raises what `send` does; the chain then ends."""
        named = replace(event, user_ids=tuple(map(self._keys.person, event.user_ids)))
        async with self._room:
            chain = self._idle.pop() if self._idle else Chain()
            placed = linked(named, chain.writer, chain.seq + 1, chain.prev, self._keys.events)
            await self._send(placed)
            self._idle.append(Chain(chain.writer, placed.seq, placed.hash))


class KafkaAuditTrail:
    """Audit events on their topic. publisher: its producer must be idempotent: a repeated event looks like a replay."""

    def __init__(self, publisher: Publishing, keys: AuditKeys = AuditKeys()) -> None:  # noqa: B008  # immutable
        self._publisher = publisher
        self._chains = Chains(self._publish, keys)

    async def record(self, event: AuditEvent) -> None:
        """Return when Kafka has the event. Raises Transient whatever hinders it: nothing may be shown then."""
        await self._chains.write(event)
        prometheus.AUDIT_EVENTS.labels(action=event.action.value, allowed=str(event.allowed).lower()).inc()

    async def _publish(self, event: AuditEvent) -> None:
        try:
            await self._publisher.publish(topics.AUDIT, event.actor, event)
        except KafkaError as error:
            raise Transient(f"KAFKA_BOOTSTRAP: its brokers refuse an audit event ({type(error).__name__})") from error
