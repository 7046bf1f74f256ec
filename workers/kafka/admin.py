"""The topics on the broker: created from `schemas/topics.py`, and described from the broker's metadata."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NotCoordinatorForGroupError,
    RequestTimedOutError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from schemas import topics
from schemas.errors import Stop, Transient
from schemas.keeping_settings import retention_of
from schemas.pipeline import stages
from schemas.settings import Settings
from workers.kafka.authorization_errors import refusal
from workers.kafka.broker_probe import answered
from workers.kafka.clients import client_options
from workers.kafka.connect import ELSEWHERE
from workers.kafka.consumer_lag import Observer

T = TypeVar("T")

ANSWER_S = 15.0
"""Seconds for one number, retries included."""
START_S = 45.0
"""Seconds for all of them, connecting included."""


async def create_topics(settings: Settings) -> dict[str, bool]:
    """Create missing topics: whether each is new, by name. Raises Stop when the broker refuses."""
    await answered(settings)
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
    except KafkaConnectionError as unreachable:
        await admin.close()
        raise Transient(f"KAFKA_BOOTSTRAP={settings.kafka_bootstrap}: {ELSEWHERE}") from unreachable
    try:
        wanted = [_new(topic, settings) for topic in topics.TOPICS]
        answer = await admin.create_topics(wanted)
    finally:
        await admin.close()
    created = {}
    for name, code, *message in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            if refused := refusal(error()):
                raise refused
            raise Stop(f"the broker did not create {name}: {error.__name__} {message[0] if message else ''}".rstrip())
        created[name] = not code
    return created


def _new(topic: topics.Topic, settings: Settings) -> NewTopic:
    retention = retention_of(topic, settings)
    return NewTopic(
        topic.name,
        num_partitions=settings.partitions,
        replication_factor=settings.replication,
        topic_configs={
            "cleanup.policy": topic.policy,
            # What was replaced goes within a day, as an erasure expects.
            **({"max.compaction.lag.ms": "86400000"} if topic.compacted else {}),
            "retention.ms": str(int(retention.total_seconds() * 1000)),
            "segment.ms": str(int(topics.segment_of(retention).total_seconds() * 1000)),
            "max.message.bytes": str(topic.max_bytes),
            "compression.type": "producer",
            # The broker's clock, not the producer's: records of a clock that is an hour off would be rejected, and of
            # one that is days behind deleted as expired.
            "message.timestamp.type": "LogAppendTime",
        },
    )


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic as the broker has it.

    partitions, records: a number, or why it is unknown; lag: the same by consumer group, in records.
    """

    topic: topics.Topic
    partitions: int | str
    records: int | str
    lag: Mapping[str, int | str]

    @property
    def unknown(self) -> bool:
        """Whether the broker left something open."""
        return any(isinstance(each, str) for each in (self.partitions, self.records, *self.lag.values()))


async def describe_topics(settings: Settings) -> list[TopicState]:
    """The pipeline's topics with partitions, records, and consumer lag by group.

    What the broker cannot report within ANSWER_S, because a coordinator loads its offsets or a partition has no leader,
    says so in its place. Raises Transient and BrokerRefused when the broker itself does not answer or refuses.
    """
    await answered(settings)
    try:
        async with asyncio.timeout(START_S), Observer(settings) as observer:
            return list(await asyncio.gather(*(_described(observer, topic, settings) for topic in topics.TOPICS)))
    except (KafkaError, TimeoutError) as error:
        if refused := refusal(error):
            raise refused from error
        raise Transient(f"the broker does not describe its topics yet ({type(error).__name__})") from error


async def _described(observer: Observer, topic: topics.Topic, settings: Settings) -> TopicState:
    groups = dict.fromkeys(stage.group for stage in stages(settings.modalities) if stage.reads is topic)
    size, lag = await asyncio.gather(
        _known(observer.size(topic.name)),
        asyncio.gather(*(_known(observer.backlog(group, topic.name)) for group in groups)),
    )
    partitions, records = (size, size) if isinstance(size, str) else size
    return TopicState(topic, partitions, records, dict(zip(groups, lag, strict=True)))


async def _known(answer: Coroutine[Any, Any, T]) -> T | str:
    """The answer, or why there is none. Raises BrokerRefused for a missing permission."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return await answer
    except (KafkaError, TimeoutError) as error:
        if refused := refusal(error):
            raise refused from error
        return f"unknown: {_reason(error)}"


def _reason(error: KafkaError | TimeoutError) -> str:
    """Why the broker does not report a number, in words."""
    match error:
        case GroupLoadInProgressError():
            return "coordinator is loading"
        case GroupCoordinatorNotAvailableError() | NotCoordinatorForGroupError():
            return "coordinator is not available"
        case TimeoutError() | KafkaTimeoutError() | RequestTimedOutError():
            return f"no answer within {ANSWER_S:g} s"
        case UnknownTopicOrPartitionError():
            return "topic does not exist"
    return f"broker answers {type(error).__name__}"
