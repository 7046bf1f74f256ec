"""Where processes are ended: a broker and a Redis behind links, a receiver, and records that never run out."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
from confluent_kafka import OFFSET_END, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from redis import Redis

from deploy.kafka.server import KafkaServer, dies_with_parent
from tests.faults.parade.crowd import noise
from tests.faults.parade.world import hearing
from tests.faults.poisons import avro
from tests.faults.proxy import Link
from tests.receivers import Request, receiving
from tests.servers import RedisServer, free_port

READS = {"acoustic": "memos.uploaded", "agents": "memos.features", "bridge": "risk.alerts"}
"""The roles that are ended, and the topic that each reads."""
DEADLINE_S = 3.0
READY_S = 60.0
AT_ONCE = 5
"""Records of every topic in one helping."""
AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}


@dataclass(slots=True)
class Process:
    """One role. port: of its health."""

    role: str
    port: int
    log: Path
    process: "subprocess.Popen[bytes]"

    def page(self, name: str) -> int:
        """The status of a page; 0 where nobody answers."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/{name}", timeout=2) as answer:
                return int(answer.status)
        except (URLError, TimeoutError, ConnectionError) as error:
            return int(getattr(error, "code", 0))


class Stand:
    """Servers while the context is open. folder: for logs and audio."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.receiver_hangs = folder, Event()
        self._numbers, self._exits = count(), ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            (self.folder / "audio").mkdir()
            behind = free_port()
            self.broker_link = exits.enter_context(Link(behind))
            self.kafka = exits.enter_context(KafkaServer(properties=AUTHORIZER, links={behind: self.broker_link.port}))
            self.redis = exits.enter_context(RedisServer(durable=False))
            self.redis_link = exits.enter_context(Link(self.redis.port))
            receiver = exits.enter_context(receiving(self._answer))
            self.environment = {
                **os.environ,
                "TF_CPP_MIN_LOG_LEVEL": "3",
                "KAFKA_BOOTSTRAP": f"127.0.0.1:{self.broker_link.port}",
                "REDIS_URL": f"redis://127.0.0.1:{self.redis_link.port}/0",
                "UNDERTONE_AUDIO_PREFIXES": (self.folder / "audio").as_uri(),
                "UNDERTONE_WEBHOOK_URL": receiver.url,
                "UNDERTONE_WEBHOOK_SECRET": "the secret of a webhook in a test",
                "UNDERTONE_STOP_DEADLINE_S": str(DEADLINE_S),
                "UNDERTONE_SESSION_TIMEOUT_S": "6",
                "UNDERTONE_DEAD_LETTER_BACK_OFF_S": "0.5",
                "UNDERTONE_DEAD_LETTER_WINDOW": "20",
            }
            create = [sys.executable, "-m", "streams.cli", "topics", "create"]
            inside = {**self.environment, "KAFKA_BOOTSTRAP": self.kafka.bootstrap}
            subprocess.run(create, env=inside, check=True, stdout=subprocess.DEVNULL)
            self.admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap, "log_level": 0})
            self._producer = self._new_producer()
            self._sound = self._audio("memo.wav", noise(np.random.default_rng(0)))
            self._rotten, self._parts = self._audio("rotten.wav", b"no sound"), list(avro.parts("nobody", "none"))
            self._exits = exits.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.receiver_hangs.clear()
        self._exits.close()

    def begin(self, role: str) -> Process:
        """Start a role."""
        port, log = free_port(), self.folder / f"{role}-{next(self._numbers)}.log"
        environment = {**self.environment, "UNDERTONE_METRICS_PORT": str(port)}
        with log.open("wb") as out:
            command = [*dies_with_parent(), sys.executable, *hearing(role)]
            return Process(role, port, log, subprocess.Popen(command, env=environment, stdout=out, stderr=out))

    def ready(self, process: Process) -> None:
        """Return when it reads, with records behind and before it."""
        deadline = time.monotonic() + READY_S
        while process.page("readyz") != 200:
            assert process.process.poll() is None, process.log.read_text()[-2000:]
            assert time.monotonic() < deadline, process.log.read_text()[-2000:]
            self.feed()
            time.sleep(0.1)

    def feed(self) -> None:
        """A helping of good records for every role."""
        for _ in range(AT_ONCE):
            number = next(self._numbers)
            user, memo = f"user-{number % 7}", f"memo-{number}"
            self.produce("memos.uploaded", user, avro.upload(user, memo, self._sound))
            for part in self._parts:
                self.produce("memos.features", user, {**part, "user_id": user, "memo_id": memo})
            self.produce("risk.alerts", user, avro.alert(user, f"alert-{number}"))
        self._producer.poll(0)

    def spoil(self) -> None:
        """Records of many users that fail, as after a bad deployment."""
        for _ in range(40):
            user = f"user-of-{next(self._numbers)}"
            self.produce("memos.uploaded", user, avro.upload(user, "memo", self._rotten))
            for part in self._parts:
                extractor = {"name": "another", "version": "0", "weights_hash": "0"}
                self.produce("memos.features", user, {**part, "user_id": user, "extractor": extractor})
        self._producer.flush(10)

    def forget(self) -> None:
        """Take away all that still waits for workers and agents."""
        self._producer.flush(10)
        topics = self.admin.list_topics(timeout=10).topics
        waiting = [TopicPartition(topic, p, OFFSET_END) for topic in READS.values() for p in topics[topic].partitions]
        for future in self.admin.delete_records(waiting).values():
            future.result(10)

    def produce(self, topic: str, user: str, content: Mapping[str, object]) -> None:
        """Send one record, unless the topic is refused or the broker is away."""
        with suppress(KafkaException, BufferError):
            self._producer.produce(topic, avro.framed(avro.KINDS[topic], dict(content)), user.encode())

    def refuse(self, topic: str) -> None:
        """Take the right to read a topic from everybody."""
        for future in self.admin.create_acls([_denied(topic)]).values():
            future.result(10)

    def allow(self) -> None:
        """Give back all rights."""
        everything = AclBindingFilter(
            ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
        )
        for future in self.admin.delete_acls([everything]).values():
            future.result(10)
        self._producer = self._new_producer()  # the one before remembers for a while that topics were refused

    def lock_redis(self) -> None:
        """Redis asks for a password from now on, of those who are connected as well."""
        with Redis.from_url(self.redis.url) as client:
            client.config_set("requirepass", "another password")
            client.client_kill_filter(_type="normal", skipme=True)

    def unlock_redis(self) -> None:
        """Redis asks for none again."""
        with Redis.from_url(self.redis.url, password="another password") as client:
            client.config_set("requirepass", "")

    def _new_producer(self) -> Producer:
        return Producer({"bootstrap.servers": self.kafka.bootstrap, "linger.ms": 5, "log_level": 0})

    def _audio(self, name: str, data: bytes) -> str:
        path = self.folder / "audio" / name
        path.write_bytes(data)
        return path.as_uri()

    def _answer(self, _request: Request, _number: int) -> int | None:
        if not self.receiver_hangs.is_set():
            return 200
        while self.receiver_hangs.is_set():
            time.sleep(0.1)
        return None


def _denied(topic: str) -> AclBinding:
    return AclBinding(
        ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", AclOperation.READ,
        AclPermissionType.DENY,
    )  # fmt: skip
