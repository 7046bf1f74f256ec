"""The servers that other tests stand on do what they promise."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer
from redis import Redis

from deploy.kafka.server import KafkaServer, version
from tests.servers import Broker, RedisServer, required

ROOT = Path(__file__).parent.parent.parent


def write(bootstrap: str, topic: str, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0, "acks": "all"})
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(30) == 0


def read(bootstrap: str, topic: str, count: int, group: str) -> list[bytes]:
    """Read `count` values as a member of a group and commit them."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    consumer.subscribe([topic])
    values: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(values) < count and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            values.append(message.value() or b"")
    consumer.commit(asynchronous=False)
    consumer.close()
    return values


def test_records_go_through_both_brokers(broker: Broker) -> None:
    broker.create("a.topic", "another")
    write(broker.bootstrap, "a.topic", b"one", b"two")
    assert read(broker.bootstrap, "a.topic", 2, "group") == [b"one", b"two"]


def test_a_test_on_a_shared_broker_starts_empty(broker: Broker) -> None:
    broker.create("a.topic")
    write(broker.bootstrap, "a.topic", b"three")
    assert read(broker.bootstrap, "a.topic", 1, "group") == [b"three"]


def test_a_topic_that_nobody_created_is_an_error(kafka: KafkaServer) -> None:
    failed: list[object] = []
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "log_level": 0, "message.timeout.ms": 2000})
    producer.produce(f"nobody.{uuid4()}", b"value", on_delivery=lambda error, _: failed.append(error))
    producer.flush(20)
    assert failed[0] is not None


def test_records_and_offsets_outlive_a_killed_broker() -> None:
    with KafkaServer() as server:
        Broker(server.bootstrap, real=True).create("kept")
        write(server.bootstrap, "kept", b"before")
        assert read(server.bootstrap, "kept", 1, "group") == [b"before"]
        server.kill()
        server.start()
        write(server.bootstrap, "kept", b"after")
        assert read(server.bootstrap, "kept", 1, "group") == [b"after"]
        folder = server.log.parent
    assert not folder.exists()


@pytest.mark.kafka
def test_the_command_says_how_to_reach_it_and_leaves_nothing(kafka: KafkaServer) -> None:
    command = [sys.executable, str(ROOT / "deploy" / "kafka" / "server.py")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        export = process.stdout.readline()
        assert export.startswith("export KAFKA_BOOTSTRAP=127.0.0.1:")
        Broker(export.strip().partition("=")[2], real=True).create("a.topic")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        broker = int(children.read_text().split()[0]) if children.exists() else None
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"Apache Kafka {version()} runs" in told
    assert broker is None or not Path(f"/proc/{broker}").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends children with their parent")
def test_a_killed_test_run_leaves_no_broker(kafka: KafkaServer, tmp_path: Path) -> None:
    code = "from deploy.kafka.server import KafkaServer as K; s = K(); s.__enter__(); print(s.pid, flush=True); input()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        broker = int(process.stdout.readline())
        assert Path(f"/proc/{broker}").exists()
        process.kill()
        process.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{broker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{broker}").exists()


def test_redis_keeps_what_it_answered_for_and_can_lose_it() -> None:
    with RedisServer() as server:
        with Redis.from_url(server.url) as client:
            client.set("key", "value")
        server.kill()
        server.start()
        with Redis.from_url(server.url) as client:
            assert client.get("key") == b"value"
        server.kill()
        server.lose_data()
        server.start()
        with Redis.from_url(server.url) as client:
            assert client.get("key") is None


def test_redis_is_there(redis_server: RedisServer) -> None:
    with Redis.from_url(redis_server.url) as client:
        assert client.ping()


def test_a_run_can_require_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_REQUIRE", "kafka, redis")
    assert required("kafka")
    assert required("redis")
    monkeypatch.delenv("UNDERTONE_REQUIRE")
    assert not required("kafka")


def test_where_kafka_is_lacking_the_tests_say_so(tmp_path: Path) -> None:
    """Run a test of Kafka's in a place without Java and Maven: skipped with the cure, or failed when required."""
    environment = {**os.environ, "PATH": str(tmp_path), "PYTHONPATH": str(ROOT), "UNDERTONE_REQUIRE": ""}
    name = "tests/integration/test_servers.py::test_a_topic_that_nobody_created_is_an_error"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name]
    skipped = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "1 skipped" in skipped.stdout
    assert "install Java 17 or newer and Maven" in skipped.stdout
    environment["UNDERTONE_REQUIRE"] = "kafka"
    failed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "UNDERTONE_REQUIRE names kafka" in failed.stdout


def test_maven_is_told_names_and_no_addresses() -> None:
    pom = (ROOT / "deploy" / "kafka" / "pom.xml").read_text()
    assert "<repositor" not in pom
    assert json.dumps(version()) != '""'
