"""Acknowledged delivery of a stage's output records."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.errors import Poison, Transient
from schemas.events import DeadLetter, MemoFeatures, Record
from schemas.headers import Headers, headers_of
from schemas.limits import LimitError
from schemas.redrive_headers import carried_headers
from schemas.trimmed_letters import kafka_key
from workers.kafka.dead_letters import dead_letter
from workers.kafka.record import Source, about
from workers.kafka.sealed_clients import NOT_SENT
from workers.privacy.key_requests import KEYS
from workers.service import prometheus, tracing
from workers.service.health import BROKER_WITHIN_S, HEALTH

log = logging.getLogger(__name__)

UNDECODABLE = "event:undecodable"
"""Reason code of dead letters whose record could not be decoded."""
REFUSED = "result:refused"
"""Reason code of dead letters whose record led to a result that is outside of the limits of records."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record to be sent, and the record that caused it. value: the encoded record, if already encoded."""

    topic: topics.Topic
    key: bytes | None
    record: Record
    cause: Source
    value: bytes | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """Sends records of one stage. The owner starts and stops `producer`."""

    producer: AIOKafkaProducer
    codec: Codec
    stage: str

    async def send(self, outgoing: Iterable[Outgoing]) -> None:
        """Send all and wait until the broker has acknowledged each one. Raises Transient when it does not."""
        with HEALTH.part(self.stage).instead("delivery", within_s=BROKER_WITHIN_S, needs=("broker", KEYS)):
            await self._send_all(outgoing)

    async def _send_all(self, outgoing: Iterable[Outgoing]) -> None:
        acknowledgements = []
        try:
            for each in outgoing:
                acknowledgements.append(await self._send(each))  # noqa: PERF401  # a failure must keep the others awaited
        finally:
            results = await asyncio.gather(*acknowledgements, return_exceptions=True)
        for error in results:
            if isinstance(error, KafkaError) and error.retriable:
                raise Transient(f"broker did not acknowledge a record: {type(error).__name__}") from error
            if isinstance(error, BaseException):
                raise error

    async def _send(self, each: Outgoing) -> asyncio.Future[Any]:
        each, value = self._encoded(each)
        headers = headers_of(each.record, self.stage, each.cause.headers)
        if isinstance(each.record, MemoFeatures):
            headers += carried_headers(each.cause.headers)
        try:
            sent: asyncio.Future[Any] = await self.producer.send(
                each.topic.name, value=value, key=each.key, headers=headers
            )
        except KafkaError as error:
            if error.retriable:
                raise Transient(f"broker did not accept a record: {type(error).__name__}") from error
            raise
        if sent.done() and not sent.cancelled() and sent.exception() is None and sent.result() is NOT_SENT:
            prometheus.RECORDS_ERASED.labels(stage=self.stage).inc()
        sent.add_done_callback(
            lambda done: self._trace(each, headers) if not done.cancelled() and done.exception() is None else None
        )
        return sent

    def _encoded(self, each: Outgoing) -> tuple[Outgoing, bytes]:
        """A record and its bytes; in place of one outside of its limits the dead letter of its cause."""
        if each.value is not None:
            return each, each.value
        try:
            return each, self.codec.encode(each.record, f"{each.topic.name}-value")
        except LimitError as error:
            if isinstance(each.record, DeadLetter):
                raise
            (letter,) = self.dead_letters([(each.cause, Poison(REFUSED, f"the result cannot be written: {error}"))])
            return letter, self.codec.encode(letter.record, f"{letter.topic.name}-value")

    def _trace(self, each: Outgoing, headers: Headers) -> None:
        tracing.delivered(self.stage, each.topic.name, headers, each.cause.headers, each.cause.taken_at)

    def dead_letters(self, failures: Sequence[tuple[Source, Poison]]) -> list[Outgoing]:
        """The dead letters of permanently failed records, to be sent."""
        outgoing = []
        for source, poison in failures:
            fields = about(source, self._memo_id(source, poison))
            log.warning("%s: record became a dead letter: %s", self.stage, poison, extra=fields)
            prometheus.DEAD_LETTERS.labels(stage=self.stage, reason=poison.reason).inc()
            record = dead_letter(source, poison, self.stage, datetime.now(UTC))
            outgoing.append(Outgoing(topics.DEAD, kafka_key(source.key), record, source))
        return outgoing

    def _memo_id(self, source: Source, poison: Poison) -> str | None:
        """The memo id of a record; None when it could not be decoded."""
        if poison.reason == UNDECODABLE:
            return None
        record = next(topic.record for topic in topics.TOPICS if topic.name == source.topic)
        try:
            return str(self.codec.decode(source.value, record).memo_id)
        except DecodeError:
            return None
