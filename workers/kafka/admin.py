"""The topics on the broker: created from `schemas/topics.py`, and described from the broker's metadata."""

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from rich.table import Table

from schemas import topics
from schemas.errors import Stop, Transient
from schemas.pipeline import stages
from schemas.settings import Settings
from workers.kafka.authorization_errors import refusal
from workers.kafka.broker_probe import answered
from workers.kafka.clients import client_options
from workers.kafka.consumer_lag import Observer


async def create_topics(settings: Settings) -> list[str]:
    """Create missing topics; returns one line per topic. Raises Stop when the broker refuses."""
    await answered(settings)
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        wanted = [_new(topic, settings) for topic in topics.TOPICS]
        answer = await admin.create_topics(wanted)
    finally:
        await admin.close()
    lines = []
    for name, code, *message in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            if refused := refusal(error()):
                raise refused
            raise Stop(f"the broker did not create {name}: {error.__name__} {message[0] if message else ''}".rstrip())
        lines.append(f"{name}: {'exists' if code else 'created'}")
    return lines


def _new(topic: topics.Topic, settings: Settings) -> NewTopic:
    return NewTopic(
        topic.name,
        num_partitions=settings.partitions,
        replication_factor=settings.replication,
        topic_configs={
            "retention.ms": str(int(topic.retention.total_seconds() * 1000)),
            "max.message.bytes": str(topic.max_bytes),
            "compression.type": "producer",
            # The broker's clock, not the producer's: records of a clock that is an hour off would be rejected, and of
            # one that is days behind deleted as expired.
            "message.timestamp.type": "LogAppendTime",
        },
    )


async def describe_topics(settings: Settings) -> Table:
    """The pipeline's topics as a table: retention, partitions, records, and consumer lag by group.

    Raises Transient when the broker is not ready for that after several seconds of retries.
    """
    try:
        return await _described(settings)
    except KafkaError as error:
        if not error.retriable:
            raise
        raise Transient(
            f"the broker cannot report consumer lag yet ({type(error).__name__}); a coordinator that starts loads its "
            "offsets first: run the command again in a minute"
        ) from error


async def _described(settings: Settings) -> Table:
    table = Table("topic", "retention", "partitions", "records", "consumer lag", "meaning")
    await answered(settings)
    async with Observer(settings) as observer:
        for topic in topics.TOPICS:
            groups = [stage.group for stage in stages(settings.modalities) if stage.reads is topic]
            lag = [f"{group} {await observer.backlog(group, topic.name)}" for group in groups]
            partitions, records = await observer.size(topic.name)
            retention = f"{topic.retention.days} d"
            table.add_row(topic.name, retention, str(partitions), str(records), "\n".join(lag), topic.meaning)
    return table
