"""A broker that has just begun may know no topics yet: who divides partitions at that moment must soon do it again."""

import asyncio

from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

from deploy.kafka.server import KafkaServer
from schemas import topics
from schemas.pipeline import AGENTS_GROUP
from schemas.settings import Settings
from streams.agents.faust_app import reading
from tests.integration.test_faust_hazards import PATIENCE_S, Keeping, send, until
from tests.servers import Broker


async def test_agents_soon_read_topics_that_were_not_there_when_they_shared_them_out(kafka: KafkaServer) -> None:
    """On Apache Kafka only: the embedded broker makes every topic that it is asked for."""
    broker = Broker(kafka.bootstrap, real=True)
    broker.empty()
    settings = Settings.load(kafka_bootstrap=broker.bootstrap, session_timeout_s=6.0, stop_deadline_s=3.0)
    hop = Keeping()
    async with reading(settings, {"fusion": hop}):
        await asyncio.wait_for(_shared_out(settings), PATIENCE_S)
        broker.create(*(topic.name for topic in topics.TOPICS))
        await send(settings, b"1")
        await until(lambda: bool(hop.kept))


async def _shared_out(settings: Settings) -> None:
    """Return when the group has agreed on who reads what: nobody anything."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap, "log_level": 0})
    state = None
    while state is not ConsumerGroupState.STABLE:
        await asyncio.sleep(0.1)
        (told,) = admin.describe_consumer_groups([AGENTS_GROUP]).values()
        state = (await asyncio.to_thread(told.result, 30)).state
