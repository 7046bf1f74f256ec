"""Records that the dashboard writes: each is acknowledged by every in-sync replica before anyone is answered."""

import time
from dataclasses import dataclass
from typing import TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from schemas.codec import Codec
from schemas.errors import Transient
from schemas.events import AuditEvent, CareAction, MemoUploaded
from schemas.headers import headers_of
from schemas.topics import Topic
from workers.kafka.connect import outage
from workers.service import tracing

STAGE = "dashboard"
"""The writer's name in headers."""

R = TypeVar("R", bound=MemoUploaded | CareAction | AuditEvent)


@dataclass(frozen=True, slots=True)
class Publisher:
    """Writes records. The owner starts and stops `producer`."""

    producer: AIOKafkaProducer
    codec: Codec

    async def publish(self, topic: Topic, key: str, record: R) -> None:
        """Return when Kafka has the record. Raises Transient while it does not answer, LimitError for a bad record."""
        value = self.codec.encode(record, f"{topic.name}-value")
        headers, began = headers_of(record, STAGE, None), time.time()
        try:
            await self.producer.send_and_wait(topic.name, value, key.encode(), headers=headers)
        except KafkaTimeoutError as error:
            raise Transient("KAFKA_BOOTSTRAP: its brokers did not acknowledge a record in time") from error
        except KafkaError as error:
            raise outage(error) or error from error
        tracing.delivered(STAGE, topic.name, headers, {}, began)
