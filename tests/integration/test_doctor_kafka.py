"""`undertone doctor` beside a Kafka whose topics, permissions or producers are at fault: it names each."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from deploy.kafka.acls import Right, give, rights, take
from deploy.kafka.secured import SecuredKafka
from deploy.kafka.server import KafkaServer
from schemas import topics
from schemas.settings import Settings
from streams.doctor.finding import Status
from streams.local.embedded import EmbeddedKafka
from tests.guarded import access, password
from tests.integration.examinations import command, looked, only
from tests.servers import Broker
from workers.kafka.admin import create_topics

# Topics on Apache Kafka


@pytest.fixture(scope="module")
def broken_topics(kafka: KafkaServer) -> Settings:
    """The topics, each with another fault, and one of them missing."""
    Broker(kafka.bootstrap, real=True).empty()
    settings = Settings.load(kafka_bootstrap=kafka.bootstrap)
    asyncio.run(create_topics(settings))
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    until(lambda: all(partitions(admin, topic.name) and configured(admin, topic.name) for topic in topics.TOPICS))
    for future in admin.delete_topics([topics.FEATURES.name, topics.ALERTS.name]).values():
        future.result(30)
    gone = {topics.FEATURES.name, topics.ALERTS.name}
    until(lambda: not gone & set(admin.list_topics(timeout=10).topics))
    alter(admin, topics.UPLOADED.name, {"retention.ms": "3600000"})
    alter(admin, topics.SCORED.name, {"max.message.bytes": "1000000", "cleanup.policy": "compact"})
    alter(admin, topics.DEAD.name, {"min.insync.replicas": "2"})
    for future in admin.create_topics([NewTopic(topics.FEATURES.name, 3, 1)]).values():
        future.result(30)
    until(lambda: partitions(admin, topics.FEATURES.name) == 3)
    return settings


def until(state: Callable[[], bool]) -> None:
    """Return when a broker shows what was changed."""
    deadline = time.monotonic() + 30
    while not state():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def partitions(admin: AdminClient, topic: str) -> int:
    """How many a broker shows; none of a topic that it was told to create and does not know yet."""
    shown = admin.list_topics(timeout=10).topics.get(topic)
    return 0 if shown is None else len(shown.partitions)


def alter(admin: AdminClient, topic: str, values: Mapping[str, str]) -> None:
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in values.items()]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)
    until(lambda: values.items() <= configured(admin, topic).items())


def configured(admin: AdminClient, topic: str) -> dict[str, str]:
    """Settings of a topic; none of one that a broker was told to create and does not know yet."""
    (future,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    try:
        return {name: entry.value for name, entry in future.result(30).items()}
    except KafkaException as error:
        if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise
        return {}


TOPIC_FAULTS = {
    "topics": "risk.alerts does not exist",
    "partitions": "partitions are unequal: memos.uploaded 4, memos.features 3",
    "retention": "memos.uploaded keeps records for 0.0417 days, not 7",
    "cleanup policy": "risk.scored is compacted",
    "message sizes": "risk.scored takes messages of 1,000,000 bytes, and its records may have 4,194,304",
    "replicas": "memos.dead has 1 replicas in sync of 1, and min.insync.replicas=2",
}


def test_every_fault_of_topics_is_named_beside_the_others(broken_topics: Settings) -> None:
    found = looked(kafka_bootstrap=broken_topics.kafka_bootstrap)
    for check, words in TOPIC_FAULTS.items():
        assert found[check].status is Status.FAILED, check
        assert words in found[check].text
        assert found[check].fix
    assert found["record time"].status is Status.WARNING, "a topic that somebody created by hand"
    assert found["permissions"].status is Status.OK
    assert found["Kafka listeners"].status is Status.OK


def test_a_topic_that_keeps_records_longer_than_the_settings_say_is_named(broken_topics: Settings) -> None:
    found = looked(kafka_bootstrap=broken_topics.kafka_bootstrap, dead_letters_retention_s=86400.0)["retention"]
    assert found.status is Status.FAILED
    assert "memos.dead keeps records for longer than UNDERTONE_DEAD_LETTERS_RETENTION_S says, 1 days" in found.text
    assert "retention.ms=86400000 on memos.dead" in found.fix


def test_it_creates_no_topic(broken_topics: Settings) -> None:
    admin = AdminClient({"bootstrap.servers": str(broken_topics.kafka_bootstrap), "log_level": 0})
    assert topics.ALERTS.name not in admin.list_topics(timeout=10).topics


# Permissions and passwords


@pytest.fixture(scope="module")
def guarded_topics(guarded: SecuredKafka) -> SecuredKafka:
    known = guarded.admin.list_topics(timeout=10).topics
    missing = [NewTopic(topic.name, 2, 1) for topic in topics.TOPICS if topic.name not in known]
    for future in guarded.admin.create_topics(missing).values() if missing else ():
        future.result(timeout=30)
    return guarded


def guarded_settings(guarded: SecuredKafka, role: str, **changes: object) -> dict[str, Any]:
    return {
        "kafka_bootstrap": guarded.secured,
        "kafka_security": "SASL_SSL",
        "kafka_ca": guarded.authority.certificate,
        "kafka_mechanism": "SCRAM-SHA-512",
        "kafka_user": role,
        "kafka_password": password(role),
        **changes,
    }


@pytest.mark.parametrize("named", ["acoustic", None])
def test_a_permission_that_is_missing(guarded_topics: SecuredKafka, named: str | None) -> None:
    missing = [Right("acoustic", "topic", topics.FEATURES.name, "Write")]
    take(guarded_topics.admin, missing)
    try:
        found = looked(role=named, **guarded_settings(guarded_topics, "acoustic"))
    finally:
        give(guarded_topics.admin, missing)
    text = only("permissions", found).text
    assert "not do all that acoustic needs; missing: Write on topic memos.features" in text
    assert "may not see the configuration" in found["topic configurations"].text


def test_a_missing_permission_on_a_group(guarded_topics: SecuredKafka) -> None:
    missing = [right for right in rights() if right.role == "acoustic" and right.resource == "group"]
    take(guarded_topics.admin, missing)
    try:
        found = looked(**guarded_settings(guarded_topics, "acoustic"))
    finally:
        give(guarded_topics.admin, missing)
    assert "missing: Read on group undertone-acoustic" in only("permissions", found).text


@pytest.mark.parametrize("role", ["acoustic", "agents", "bridge"])
def test_a_role_with_its_permissions_may_do_its_work(guarded_topics: SecuredKafka, role: str) -> None:
    found = looked(role=role, alertmanager_url=None, **guarded_settings(guarded_topics, role))
    assert found["permissions"].status is Status.OK, found["permissions"]


def test_the_user_of_the_doctor_sees_everything(guarded_topics: SecuredKafka) -> None:
    found = looked(role="doctor", **guarded_settings(guarded_topics, "doctor"))
    assert found["permissions"].status is Status.OK
    assert found["topic configurations"].status is Status.OK


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "a wrong password": ({"kafka_password": "hunter2"}, "SaslAuthenticationFailed"),
    "an authority that is not trusted": ({"kafka_ca": None}, "certificate"),
    "a listener that wants encryption": (
        {"kafka_security": "PLAINTEXT", "kafka_mechanism": None, "kafka_ca": None},
        "UNDERTONE_KAFKA_SECURITY is PLAINTEXT",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_who_is_not_let_in(fault: str, guarded_topics: SecuredKafka) -> None:
    changes, words = REFUSED[fault]
    found = only("Kafka connection", looked(**guarded_settings(guarded_topics, "acoustic", **changes)))
    assert words in found.text or words in found.fix


# Producers


def write(bootstrap: str, keys: list[bytes | None], **options: object) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0, **options})
    for key in keys:
        producer.produce(topics.UPLOADED.name, b"any", key=key)
    assert producer.flush(30) == 0


def test_a_producer_with_librdkafkas_partitioner() -> None:
    keys: list[bytes | None] = [f"user-{number}".encode() for number in range(40)]
    with EmbeddedKafka([topics.UPLOADED.name]) as broker:
        write(broker.bootstrap, keys, partitioner="murmur2_random")
        good = looked(kafka_bootstrap=broker.bootstrap)["partitioner"]
        write(broker.bootstrap, keys)
        bad = looked(kafka_bootstrap=broker.bootstrap)["partitioner"]
    assert good.status is Status.OK
    assert bad.status is Status.FAILED
    assert "CRC32, the default of librdkafka" in bad.text
    assert "murmur2_random" in bad.fix


def test_a_producer_without_keys() -> None:
    with EmbeddedKafka(topic.name for topic in topics.TOPICS) as broker:
        write(broker.bootstrap, [b"user", None])
        found = looked(kafka_bootstrap=broker.bootstrap)
    assert "1 of the 2 newest records on memos.uploaded have no key" in only("partitioner", found).text


def test_the_command_prints_no_secret_and_imports_no_model(guarded_topics: SecuredKafka, tmp_path: Path) -> None:
    environment = access(guarded_topics, "acoustic", UNDERTONE_KAFKA_PASSWORD="hunter2", UNDERTONE_HOME=str(tmp_path))
    code, found, errors = command(**environment, PYTHONPROFILEIMPORTTIME="1")
    assert code == 1
    assert "SaslAuthenticationFailed" in found["Kafka connection"]["text"]
    assert "hunter2" not in json.dumps(found)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in errors.splitlines()}
    assert not loaded & {"tensorflow", "keras", "opensmile", "faust", "av"}
