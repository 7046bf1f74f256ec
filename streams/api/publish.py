"""Records that the dashboard writes: each is acknowledged by every in-sync replica before anyone is answered."""

import asyncio
import time
from dataclasses import dataclass
from typing import TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from schemas.audit_keys import AuditKeys
from schemas.codec import Codec
from schemas.errors import Transient
from schemas.events import AuditEvent, CareAction, Consent, MemoUploaded
from schemas.headers import headers_of
from schemas.schema_registry import make_codec
from schemas.settings import Settings
from schemas.topics import Topic
from streams.audit.trail import KafkaAuditTrail
from workers.kafka.clients import make_producer
from workers.kafka.connect import outage, started_once, stopped
from workers.kafka.sealed_clients import NOT_SENT, refused
from workers.service import tracing

STAGE = "dashboard"
"""The writer's name in headers."""
ACKNOWLEDGED_WITHIN_S = 5.0
"""Seconds in which Kafka acknowledges what somebody waits for. Later it may still arrive: its effect is idempotent."""

R = TypeVar("R", bound=MemoUploaded | CareAction | Consent | AuditEvent)


@dataclass(frozen=True, slots=True)
class Publisher:
    """Writes records. The owner starts and stops `producer`.

    within_s: seconds to wait for an acknowledgement; None: as long as the producer tries.
    """

    producer: AIOKafkaProducer
    codec: Codec
    within_s: float | None = None

    async def publish(self, topic: Topic, key: str, record: R) -> None:
        """Return when Kafka has the record. Raises Transient while it does not answer, LimitError for a bad record.

        Raises Poison for a person who was erased.
        """
        value = self.codec.encode(record, f"{topic.name}-value")
        headers, began = headers_of(record, STAGE, None), time.time()
        try:
            async with asyncio.timeout(self.within_s):
                sent = await self.producer.send_and_wait(topic.name, value, key.encode(), headers=headers)
        except (TimeoutError, KafkaTimeoutError) as error:
            raise Transient("KAFKA_BOOTSTRAP: its brokers did not acknowledge a record in time") from error
        except KafkaError as error:
            raise outage(error) or error from error
        if sent is NOT_SENT:
            raise refused()
        tracing.delivered(STAGE, topic.name, headers, {}, began)


async def publish_event(settings: Settings, event: AuditEvent, keys: AuditKeys) -> None:
    """Write one audit event with a producer of its own, as a chain of its own.

    keys: of the trail. Raises Transient while Kafka does not take it, BrokerRefused.
    """
    producer = await started_once(lambda: make_producer(settings), settings)
    try:
        publisher = Publisher(producer, make_codec(settings), ACKNOWLEDGED_WITHIN_S)
        await KafkaAuditTrail(publisher, keys).record(event)
    finally:
        await stopped(producer)
