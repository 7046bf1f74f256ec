"""A broker that does not let a role do what it must: it ends with the missing right and a code of its own."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from aiokafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from deploy.kafka.server import KafkaServer
from schemas import topics
from schemas.errors import BrokerRefused
from schemas.pipeline import AGENTS_GROUP
from schemas.settings import Settings
from streams.agents.faust_app import reading
from tests.integration.test_faust_hazards import Keeping, until
from tests.integration.test_worker import CODEC, CheapStage, event, load, upload
from tests.servers import Broker
from workers.consumer.worker import Worker
from workers.kafka.clients import make_producer
from workers.kafka.consumer_lag import Observer
from workers.kafka.record import Source

AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
ANYTHING = AclBindingFilter(
    ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
)


class Guard:
    """Takes rights away from everybody, and gives them back."""

    def __init__(self, server: KafkaServer) -> None:
        self._admin = AdminClient({"bootstrap.servers": server.bootstrap, "log_level": 0})

    def deny(self, resource: ResourceType, name: str, operation: AclOperation) -> None:
        binding = AclBinding(
            resource, name, ResourcePatternType.LITERAL, "User:*", "*", operation, AclPermissionType.DENY
        )
        for future in self._admin.create_acls([binding]).values():
            future.result(30)

    def allow_all(self) -> None:
        for future in self._admin.delete_acls([ANYTHING]).values():
            future.result(30)


@pytest.fixture(scope="module")
def guarded(kafka: KafkaServer) -> Iterator[KafkaServer]:
    """A broker that checks rights; `kafka` is asked for so that these are skipped where there is none."""
    with KafkaServer(properties=AUTHORIZER) as server:
        Broker(server.bootstrap, real=True).create(*(topic.name for topic in topics.TOPICS))
        yield server


@pytest.fixture
def guard(guarded: KafkaServer) -> Iterator[Guard]:
    guard = Guard(guarded)
    yield guard
    guard.allow_all()


@pytest.fixture
def settings(guarded: KafkaServer) -> Settings:
    return Settings.load(kafka_bootstrap=guarded.bootstrap, session_timeout_s=6.0, stop_deadline_s=3.0)


async def work(settings: Settings) -> None:
    async with Worker(settings, CheapStage(), load, CODEC, owns_input=True) as worker:
        await worker.run()


async def test_a_worker_that_may_not_write_features(settings: Settings, guard: Guard) -> None:
    await upload(settings, event("memo"))
    guard.deny(ResourceType.TOPIC, topics.FEATURES.name, AclOperation.WRITE)
    with pytest.raises(BrokerRefused, match="TopicAuthorizationFailedError") as refused:
        await work(settings)
    assert refused.value.exit_code == 77


async def test_a_worker_that_may_not_read_uploads(settings: Settings, guard: Guard) -> None:
    guard.deny(ResourceType.TOPIC, topics.UPLOADED.name, AclOperation.READ)
    with pytest.raises(BrokerRefused, match="read its topic"):
        await work(settings)


async def test_a_worker_that_may_not_join_its_group(settings: Settings, guard: Guard) -> None:
    guard.deny(ResourceType.GROUP, "undertone-acoustic", AclOperation.READ)
    with pytest.raises(BrokerRefused, match="consumer group"):
        await work(settings)


@pytest.mark.parametrize("since", ["the start", "later"])
async def test_agents_that_may_not_read_features(settings: Settings, guard: Guard, since: str) -> None:
    def deny() -> None:
        guard.deny(ResourceType.TOPIC, topics.FEATURES.name, AclOperation.READ)

    async with make_producer(settings) as producer:
        hop = Keeping()
        await producer.send_and_wait(topics.FEATURES.name, b"value", b"key")
        if since == "the start":
            deny()
        async with reading(settings, {"fusion": hop}) as (_, failed):
            if since == "later":
                await until(lambda: bool(hop.kept))
                deny()
            with pytest.raises(BrokerRefused, match="read its topic"):
                await failed


async def test_agents_that_fail_on_the_client_which_a_refusal_closed_end_as_refused(settings: Settings) -> None:
    async def closed(_: Sequence[Source]) -> None:
        app.crash_reason = TopicAuthorizationFailedError(topics.FEATURES.name)
        raise RuntimeError("Event loop is closed")

    async with make_producer(settings) as producer:
        await producer.send_and_wait(topics.FEATURES.name, b"value", b"key")
    async with reading(settings, {"fusion": Keeping(closed)}) as (app, failed):
        with pytest.raises(BrokerRefused, match="read its topic"):
            await failed


@pytest.mark.parametrize("fault", [RuntimeError("Event loop is closed"), asyncio.CancelledError()])
async def test_what_fails_while_refused_agents_end_hides_no_refusal(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    async def release() -> None:
        raise fault

    async def refused() -> None:
        async with reading(settings, {"fusion": Keeping()}) as (app, _):
            monkeypatch.setattr(app.consumer, "release", release)
            raise BrokerRefused("no rights")

    with pytest.raises(BrokerRefused, match="no rights"):
        await refused()


async def test_an_observer_that_may_not_read_a_topic_any_more_waits_and_is_refused_at_its_next_start(
    settings: Settings, guard: Guard
) -> None:
    async with Observer(settings) as observer:
        guard.deny(ResourceType.TOPIC, topics.FEATURES.name, AclOperation.READ)

        async def look() -> None:
            while True:
                await observer.positions(AGENTS_GROUP, topics.FEATURES.name)

        with pytest.raises(UnknownTopicOrPartitionError):
            await look()
    with pytest.raises(TopicAuthorizationFailedError):
        async with Observer(settings):
            pass
