"""The clients of `docs/clients`, built and run: they produce what Undertone reads and read what it publishes."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka.partitioner import murmur2
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from deploy.kafka.registry import RegistryServer
from deploy.kafka.server import KafkaServer, dies_with_parent
from schemas import topics
from schemas.events import MemoUploaded
from schemas.schema_registry import make_codec
from schemas.settings import Settings
from tests.bridging import publish
from tests.programs import need, version
from tests.servers import Broker
from tests.unit.streams.alerts import episode_of

ROOT = Path(__file__).parent.parent.parent
SCHEMAS = ROOT / "schemas" / "avro"
CLIENTS = ROOT / "docs" / "clients"
PARTITIONS = 6
"""No power of two: there a partitioner that keeps the sign bit differs from Kafka's."""
RECORDED = datetime(2026, 5, 1, 8, 30, tzinfo=UTC)
CONSUMED_S = 60.0

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True, slots=True)
class Client:
    """The programs of one language, as commands without their arguments."""

    produce: tuple[str, ...]
    subscribe: tuple[str, ...]


def run(command: Sequence[str], folder: Path, **environment: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def java(folder: Path) -> Client:
    need("java", (17,), version("java", "-version"))
    need("mvn", (3,), version("mvn", "-v"))
    copied = folder / "java"
    shutil.copytree(CLIENTS / "java", copied, ignore=shutil.ignore_patterns("target"))
    copying = ["dependency:copy-dependencies", "-DoutputDirectory=target/jars"]
    run(["mvn", "--quiet", "--batch-mode", "compile", *copying], copied)
    program = ("java", "-XX:TieredStopAtLevel=1", "-cp", f"{copied}/target/classes:{copied}/target/jars/*")
    return Client((*program, "undertone.ProduceMemo"), (*program, "undertone.SubscribeAlerts"))


def go(folder: Path) -> Client:
    need("go", (1, 26), version("go", "version"))
    run(["go", "build", "-o", str(folder), "./..."], CLIENTS / "go")
    return Client((str(folder / "produce"),), (str(folder / "subscribe"),))


def typescript(folder: Path) -> Client:
    need("node", (20, 19, 4), version("node", "--version"))
    copied = folder / "typescript"
    shutil.copytree(CLIENTS / "typescript", copied, ignore=shutil.ignore_patterns("node_modules", "dist"))
    run(["npm", "ci", "--no-audit", "--no-fund"], copied)
    run(["npm", "run", "build"], copied)
    return Client(("node", f"{copied}/dist/produce.js"), ("node", f"{copied}/dist/subscribe.js"))


LANGUAGES: dict[str, Callable[[Path], Client]] = {"java": java, "go": go, "typescript": typescript}


@pytest.fixture(scope="module", params=LANGUAGES)
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """The programs of a language, built as the page says."""
    return LANGUAGES[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def without_registry(kafka: KafkaServer) -> Settings:
    """A broker with empty topics."""
    Broker(kafka.bootstrap, real=True).empty()
    return created(Settings.load(kafka_bootstrap=kafka.bootstrap))


@pytest.fixture(scope="module")
def with_registry(kafka: KafkaServer) -> Iterator[Settings]:
    """Another, beside a registry. Asks for Kafka first: where Java is missing, that skips."""
    with KafkaServer() as another, RegistryServer() as registry:
        yield created(Settings.load(kafka_bootstrap=another.bootstrap, schema_registry_url=registry.url))


def created(settings: Settings) -> Settings:
    """With all topics on its broker."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    for future in admin.create_topics([NewTopic(topic.name, PARTITIONS, 1) for topic in topics.TOPICS]).values():
        future.result(timeout=30)
    return settings


@pytest.fixture(params=["without_registry", "with_registry"])
def settings(request: pytest.FixtureRequest) -> Settings:
    """Where a client of any language reads and writes."""
    found: Settings = request.getfixturevalue(request.param)
    return found


def environment_of(settings: Settings) -> dict[str, str]:
    """Of a client."""
    url = settings.schema_registry_url
    assert settings.kafka_bootstrap is not None
    return {"KAFKA_BOOTSTRAP": settings.kafka_bootstrap, **({"SCHEMA_REGISTRY_URL": str(url)} if url else {})}


def test_a_subscriber_prints_every_alert_once_and_commits(client: Client, settings: Settings) -> None:
    alerts = episode_of()
    codec, group = make_codec(settings), f"readers-{uuid4()}"
    values = [codec.encode(alert, f"{topics.ALERTS.name}-value") for alert in alerts]
    asyncio.run(publish(settings, *values, *values, values[0]))
    command = [*dies_with_parent(), *client.subscribe, str(SCHEMAS), group]
    environment = {**os.environ, **environment_of(settings)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            came = [json.loads(process.stdout.readline()) for _ in alerts]
            wait_for_commit(settings, group)
        finally:
            process.kill()
        rest = process.stdout.read()
    assert [one["alert_id"] for one in came] == [alert.alert_id for alert in alerts]
    assert [one["state"] for one in came] == [alert.state.value for alert in alerts]
    assert rest == b""


def wait_for_commit(settings: Settings, group: str) -> None:
    """Until the group has committed all alerts on the topic; the test's timeout ends a wait without end."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    places = [TopicPartition(topics.ALERTS.name, number) for number in range(PARTITIONS)]
    ends = admin.list_offsets({place: OffsetSpec.latest() for place in places})
    records = sum(future.result(timeout=30).offset for future in ends.values())
    committed = 0
    while committed < records:
        (found,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
        committed = sum(max(each.offset, 0) for each in found.result(timeout=30).topic_partitions or [])


def users() -> list[str]:
    """Pseudonyms whose hash, taken as unsigned, leads elsewhere, and one that is no ASCII."""
    signed = [
        f"user-{n}" for n in range(100) if murmur2(f"user-{n}".encode()) % PARTITIONS != partition_of(f"user-{n}")
    ]
    return [signed[0], "patiëntin-7"]


def partition_of(user: str) -> int:
    """As Kafka's own partitioner has it."""
    return (int(murmur2(user.encode())) & 0x7FFFFFFF) % PARTITIONS


def test_a_producer_publishes_what_the_workers_read(client: Client, settings: Settings) -> None:
    printed = {}
    for user in users():
        arguments = [str(SCHEMAS), user, f"file:///data/{user}.wav", RECORDED.isoformat().replace("+00:00", "Z")]
        printed[user] = run([*client.produce, *arguments], ROOT, **environment_of(settings)).strip()
    consumer = Consumer({"bootstrap.servers": settings.kafka_bootstrap, "group.id": "reader"})
    consumer.assign([TopicPartition(topics.UPLOADED.name, number, 0) for number in range(PARTITIONS)])
    codec, found = make_codec(settings), dict[str, MemoUploaded]()
    while not found.keys() >= set(printed.values()):
        message = consumer.poll(CONSUMED_S)
        assert message is not None, "a memo did not come"
        memo = codec.decode(message.value(), MemoUploaded)
        assert (message.key(), message.partition()) == (memo.user_id.encode(), partition_of(memo.user_id))
        found[memo.memo_id] = memo
    consumer.close()
    for user, memo_id in printed.items():
        memo = found[memo_id]
        assert (memo.user_id, memo.audio_uri, memo.recorded_at) == (user, f"file:///data/{user}.wav", RECORDED)
