"""What docs/asyncapi.yaml promises to other teams is what they find on Apache Kafka."""

import asyncio
import json
import struct
import time
from collections.abc import Iterator
from importlib import resources
from io import BytesIO
from typing import Any
from uuid import UUID

import fastavro
import pytest
import yaml
from confluent_kafka import Consumer, Message
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from deploy.kafka.server import KafkaServer
from schemas import topics
from schemas.codec import Codec
from schemas.events import DeadLetter, MemoFeatures
from schemas.generate_docs import DOCS
from schemas.pipeline import ACOUSTIC
from schemas.schema_registry import HttpRegistry
from schemas.settings import Settings
from tests.integration.test_worker import CheapStage, event, load, upload
from tests.servers import Broker
from tests.unit.schemas.registry_server import RegistryServer, registry_server
from workers.consumer.worker import Worker
from workers.kafka.admin import create_topics
from workers.kafka.consumer_lag import Observer

MOST = topics.MAX_RECORD_BYTES - 1024
"""Bytes of a value that fills a record, but for its key and the batch around it."""


@pytest.fixture
def settings(broker: Broker) -> Settings:
    settings = Settings.load(kafka_bootstrap=broker.bootstrap, session_timeout_s=6.0, partitions=2)
    if broker.real:
        asyncio.run(create_topics(settings))
    else:
        broker.create(*(topic.name for topic in topics.TOPICS))
    return settings


@pytest.fixture
def real_settings(kafka: KafkaServer) -> Settings:
    """For what does not depend on the broker."""
    broker = Broker(kafka.bootstrap, real=True)
    broker.empty()
    broker.create(*(topic.name for topic in topics.TOPICS))
    return Settings.load(kafka_bootstrap=broker.bootstrap, session_timeout_s=6.0)


@pytest.fixture
def contract() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((DOCS / "asyncapi.yaml").read_text())
    return document


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with registry_server() as server:
        yield server


async def work(settings: Settings, codec: Codec, *values: Any) -> None:
    """Upload, let a cheap worker do everything, and stop it."""
    await upload(settings, *values)
    async with Worker(settings, CheapStage(), load, codec, owns_input=True) as worker:
        run = asyncio.create_task(worker.run())
        async with Observer(settings) as observer:
            while await observer.backlog(ACOUSTIC.group, topics.UPLOADED.name):
                if run.done():
                    run.result()
                await asyncio.sleep(0.05)
        worker.stop()
        await run


def messages(bootstrap: str, topic: str, count: int) -> list[Message]:
    """What a client of another team reads."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "others", "auto.offset.reset": "earliest", "log_level": 0}
    )
    consumer.subscribe([topic])
    found: list[Message] = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            found.append(message)
    consumer.close()
    return found


async def test_topics_are_created_as_the_contract_says(
    settings: Settings, broker: Broker, contract: dict[str, Any]
) -> None:
    if not broker.real:
        pytest.skip("the embedded broker keeps no configuration of topics")
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    found = admin.list_topics(timeout=10).topics
    for channel in contract["channels"].values():
        resource = ConfigResource(ResourceType.TOPIC, channel["address"])
        (future,) = admin.describe_configs([resource]).values()
        config = {name: entry.value for name, entry in future.result(timeout=10).items()}
        for name, value in channel["bindings"]["kafka"]["topicConfiguration"].items():
            assert config[name] == (",".join(value) if isinstance(value, list) else str(value))
        assert len(found[channel["address"]].partitions) == 2
    assert await create_topics(settings) == {topic.name: False for topic in topics.TOPICS}


async def test_a_reader_with_the_contract_alone_reads_records_and_headers(
    settings: Settings, contract: dict[str, Any]
) -> None:
    await work(settings, Codec(), event("memo-1", "user-0"))
    (message,) = await asyncio.to_thread(messages, settings.kafka_bootstrap or "", "memos.features", 1)
    promised = contract["components"]["messages"]["MemoFeatures"]
    headers = dict(message.headers() or [])
    described = contract["components"]["messageTraits"]["cloudEvent"]["headers"]
    assert set(described["required"]) <= set(headers) <= set(described["properties"])
    assert headers["ce_type"] == promised["name"].encode()
    value = message.value()
    assert value is not None
    assert value[:2] == b"\xc3\x01"
    body = fastavro.schemaless_reader(BytesIO(value[10:]), fastavro.parse_schema(promised["payload"]["schema"]), None)
    assert isinstance(body, dict)
    assert body["memo_id"] == "memo-1"
    assert message.key() == b"user-0"
    assert struct.unpack("<f", body["summary"]["data"]) == (1.0,)


async def test_with_a_registry_values_are_framed_for_its_readers(
    real_settings: Settings, registry: RegistryServer
) -> None:
    client = HttpRegistry(registry.url)
    await work(real_settings, Codec(client), event("memo-1"), b"garbage")
    assert registry.subjects == {"memos.features-value", "memos.dead-value"}
    (message,) = await asyncio.to_thread(messages, real_settings.kafka_bootstrap or "", "memos.features", 1)
    value = message.value()
    assert value is not None
    magic, number = struct.unpack(">bI", value[:5])
    assert magic == 0
    assert json.loads(registry.schemas[number - 1]["schema"])["name"] == "MemoFeatures"


async def test_a_registry_that_is_away_delays_and_loses_nothing(
    real_settings: Settings, registry: RegistryServer
) -> None:
    async def recover() -> None:
        while len(registry.requests) < 3:
            await asyncio.sleep(0.05)
        registry.fails_with = None

    client, uploader = HttpRegistry(registry.url), HttpRegistry(registry.url)
    framed = Codec(uploader).encode(event("memo-1"), "memos.uploaded-value")
    registry.fails_with = 503
    recovery = asyncio.create_task(recover())
    await work(real_settings, Codec(client), framed)
    await recovery
    assert len(await asyncio.to_thread(messages, real_settings.kafka_bootstrap or "", "memos.features", 1)) == 1


def uploaded_schema(**types: Any) -> dict[str, Any]:
    """The schema of memos.uploaded with other types of these fields."""
    schema: dict[str, Any] = json.loads((resources.files("schemas.avro") / "memo_uploaded.avsc").read_text())
    for field in schema["fields"]:
        field["type"] = types.pop(field["name"], field["type"])
    return schema | {"fields": schema["fields"] + [{"name": name, "type": node} for name, node in types.items()]}


async def test_schemas_of_a_registry_that_lie_cost_their_own_records_only(
    real_settings: Settings, registry: RegistryServer
) -> None:
    deep: Any = "int"
    for _ in range(300):
        deep = {"type": "array", "items": deep}
    node = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
    body = Codec().encode(event("memo-1"))[10:]
    lies = [
        uploaded_schema(last=deep),
        uploaded_schema(last=node),
        uploaded_schema(last={"type": "array", "items": "null"}),
        uploaded_schema() | {"name": "Order"},
    ]
    registry.schemas += [{"schema": json.dumps(schema)} for schema in lies]
    framed = [struct.pack(">bI", 0, number) + body + b"\xfe" * 5 + b"\x7f" for number in range(1, len(lies) + 1)]
    named = event(str(UUID(int=7)))
    registry.schemas.append({"schema": json.dumps(uploaded_schema(memo_id={"type": "string", "logicalType": "uuid"}))})
    framed.append(struct.pack(">bI", 0, len(registry.schemas)) + Codec().encode(named)[10:])
    client = HttpRegistry(registry.url)
    await work(real_settings, Codec(client), *framed, event("memo-2"))
    found = await asyncio.to_thread(messages, real_settings.kafka_bootstrap or "", "memos.features", 2)
    features = [Codec(client).decode(message.value(), MemoFeatures) for message in found]
    dead = await asyncio.to_thread(messages, real_settings.kafka_bootstrap or "", "memos.dead", len(lies))
    letters = [Codec(client).decode(message.value(), DeadLetter) for message in dead]
    assert sorted(each.memo_id for each in features) == sorted([named.memo_id, "memo-2"])
    assert [each.reason for each in letters] == ["event:undecodable"] * len(lies)
    assert all("Avro schema cannot be used" in each.detail for each in letters)


async def test_the_largest_garbage_becomes_a_dead_letter_whole(settings: Settings) -> None:
    garbage = bytes(range(256)) * (MOST // 256)
    await work(settings, Codec(), garbage, event("memo-1"))
    (message,) = await asyncio.to_thread(messages, settings.kafka_bootstrap or "", "memos.dead", 1)
    letter = Codec().decode(message.value(), DeadLetter)
    assert letter.value == garbage
    assert letter.reason == "event:undecodable"
