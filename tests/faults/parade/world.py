"""Where a parade marches: real Kafka, real Redis, one process of every role, a receiver behind the bridge."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import urlopen

from confluent_kafka import Producer
from kafka import KafkaProducer
from redis import Redis

from deploy.kafka.server import KafkaServer
from schemas.codec import Codec
from schemas.events import MemoUploaded
from tests.faults.parade.judge import Day, Footprint, outcomes
from tests.faults.parade.topics import Place, Topics, Written
from tests.faults.poisons.poison import Poison, RawKey, Sent
from tests.faults.roles import Command, Roles
from tests.receivers import receiving
from tests.servers import RedisServer, free_port

ROLES = ("acoustic-0", "embedding-0", "agents-0", "bridge-0")
PARTITIONS = 4
LARGEST = 1 << 29
"""Bytes of a request: more than any topic takes."""
COMMANDS = (
    ("dead-letters", "list"),
    ("dead-letters", "redrive", "--dry-run"),
    ("topics", "describe"),
    ("alerts", "mutes"),
)
"""What operators ask when they are called."""
SETTINGS = {
    "UNDERTONE_ALERTS_PER_USER_YEAR": "0.25",
    "UNDERTONE_AUDIO_RETRY_S": "0.05",
    "UNDERTONE_SESSION_TIMEOUT_S": "6",
    # A parade is what the cap on the share of dead letters is for; that on a run keeps its default.
    "UNDERTONE_DEAD_LETTER_MAX_SHARE": "1",
}


def hearing(kind: str) -> Sequence[str]:
    """The roles of production, but for stages that cost nothing."""
    whole = {"agents": ["-m", "streams.cli", "agents"], "bridge": ["-m", "streams.cli", "bridge", "webhook"]}
    return whole.get(kind, ["-m", "tests.faults.parade.hearing", kind])


class World:
    """Servers and roles while the context is open.

    folder: for logs; audio: the folder of the memos' audio; settings: of the roles, beside SETTINGS.
    """

    def __init__(self, folder: Path, audio: Path, settings: Mapping[str, str], command: Command = hearing) -> None:
        self._folder, self._audio, self._command = folder, audio, command
        self._settings = {**SETTINGS, **settings}
        self.places: dict[Place, Sent] = {}
        """Where every record of a poison lies."""
        self._names: dict[Place, str] = {}
        self.good: set[Place] = set()
        self._withdrawn: set[Place] = set()
        self._producers: dict[str, Producer] = {}
        self._codec = Codec()

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            self._folder.mkdir(parents=True)
            self._kafka = exits.enter_context(KafkaServer())
            self._redis = exits.enter_context(RedisServer(durable=False))
            self.receiver = exits.enter_context(receiving())
            environment = {
                "KAFKA_BOOTSTRAP": self._kafka.bootstrap,
                "REDIS_URL": self._redis.url,
                "UNDERTONE_AUDIO_PREFIXES": self._audio.as_uri(),
                "UNDERTONE_WEBHOOK_URL": self.receiver.url,
                "UNDERTONE_WEBHOOK_SECRET": "the secret of a webhook in a test",
                "UNDERTONE_PARTITIONS": str(PARTITIONS),
                **self._settings,
            }
            create = [sys.executable, "-m", "streams.cli", "topics", "create"]
            subprocess.run(create, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)
            sealed = self._settings.get("UNDERTONE_SEAL") == "on"
            self.topics = Topics(self._kafka.bootstrap, Path(self._settings["UNDERTONE_HOME"]) if sealed else None)
            exits.callback(self.topics.close)
            self._raw = KafkaProducer(bootstrap_servers=self._kafka.bootstrap)
            exits.callback(self._raw.close)
            self._client: Redis = exits.enter_context(Redis.from_url(self._redis.url))
            self._environment = {**os.environ, **environment}
            self._ports = {name.split("-")[0]: free_port() for name in ROLES}
            self.roles = Roles(
                self._folder,
                self._command,
                lambda kind: {**environment, "UNDERTONE_METRICS_PORT": str(self._ports[kind])},
            )
            exits.callback(self.roles.end_all)
            for name in ROLES:
                self.roles.begin(name)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._exits.close()

    def upload(self, memo: MemoUploaded) -> None:
        """Send a good memo."""
        self.produce("memos.uploaded", memo.user_id.encode(), self._codec.encode(memo))

    def produce(self, topic: str, key: bytes, value: bytes) -> None:
        """Send a good record."""
        producer, noted = self._producer("none", ""), self._noted(self.good.add)
        producer.produce(topic, value, key, on_delivery=noted)
        producer.poll(0)

    def send(self, poison: Poison) -> None:
        """Send a poison: it is on its way, as what was sent before."""
        if poison.before:
            poison.before(self._client)
        producer = self._producer(poison.codec, poison.transaction)
        if poison.transaction:
            producer.begin_transaction()
        for each in poison.records:
            note = partial(self._placed, poison, each)
            if any(isinstance(name, RawKey) for name, _ in each.headers):
                made = self._raw.send(each.topic, each.value, each.key, headers=list(each.headers)).get(30)
                note((made.topic, made.partition, made.offset))
                continue
            headers, noted = list(each.headers), self._noted(note)
            producer.produce(
                each.topic, each.value, each.key, headers=headers, timestamp=each.at_ms, on_delivery=noted
            )  # fmt: skip
        producer.poll(0)
        if poison.transaction == "abort":
            producer.flush(30)
            producer.abort_transaction(30)
        elif poison.transaction:
            producer.commit_transaction(30)

    def flush(self) -> None:
        """Return when the broker has all that was sent."""
        for producer in self._producers.values():
            producer.flush(60)

    def wait_until(self, condition: Callable[[], bool], patience_s: float) -> bool:
        """Wait, and start again what ends meanwhile; whether the condition came to hold."""
        deadline = time.monotonic() + patience_s
        while not condition():
            self.roles.tend()
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def scored(self) -> set[tuple[str, str]]:
        """User and memo of every score so far."""
        return {(score["user_id"], score["memo_id"]) for score in self._read().scores}

    def settled(self, memos: Collection[tuple[str, str]]) -> bool:
        """Whether these memos are scored, and every group has passed all that good memos led to."""
        self.flush()
        return self.scored() >= set(memos) and self.topics.passed(self.good)

    def met(self) -> bool:
        """Whether every record of a poison has an outcome that is documented, and every group has passed all."""
        self.flush()
        found = outcomes(self._read(), self.places)
        met = all(any(o.matches(found[place]) for o in sent.outcomes) for place, sent in self.places.items())
        return met and not self._behind()

    def _behind(self) -> list[str]:
        return self.topics.behind({*self.good, *self.places} - self._withdrawn)

    def day(self, good_s: float, footprint: Footprint) -> Day:
        """What it all came to, once the roles have ended."""
        posted = {request.headers.get("webhook-id", "") for request in self.receiver.requests}
        ended = self.roles.chronicle.ended_by_themselves
        return Day(self._read(), self.places, self._names, posted, ended, good_s, footprint, self._behind())

    def footprint(self) -> Footprint:
        """What the roles take that run now, and what operators are told."""
        peaks = {name: _peak_mb(self.roles.pid(name)) for name in self.roles.running}
        series = {kind: _samples(port) for kind, port in self._ports.items()}
        return Footprint(peaks, series, [fault for command in COMMANDS if (fault := self._complaint(command))])

    def _complaint(self, command: Sequence[str]) -> str:
        """What is wrong with the answer of a command; empty if nothing is."""
        run = [sys.executable, "-m", "streams.cli", *command]
        done = subprocess.run(run, env=self._environment, capture_output=True, check=False)
        text = done.stdout.decode("utf-8", "replace")
        if done.returncode:
            return f"{' '.join(command)} ends with {done.returncode}: {done.stderr[-500:]!r}"
        return "" if text.replace("\n", "").isprintable() else f"{' '.join(command)} prints control characters"

    def leave(self, patience_s: float) -> None:
        """End all roles in good order."""
        self.roles.tend()
        for name in self.roles.running:
            self.roles.leave(name, patience_s)

    def _read(self) -> Written:
        return self.topics.read({*self.places, *self.good})

    def _placed(self, poison: Poison, sent: Sent, place: Place) -> None:
        self.places[place], self._names[place] = sent, poison.name
        if poison.transaction == "abort":
            self._withdrawn.add(place)

    def _producer(self, codec: str, transaction: str) -> Producer:
        name = f"{codec} {transaction}"
        if name not in self._producers:
            options: dict[str, Any] = {
                "bootstrap.servers": self._kafka.bootstrap, "compression.type": codec, "linger.ms": 5,
                "message.max.bytes": LARGEST, "log_level": 0, "queue.buffering.max.messages": 1_000_000,
            }  # fmt: skip
            self._producers[name] = Producer(options | ({"transactional.id": name} if transaction else {}))
            if transaction:
                self._producers[name].init_transactions(30)
        return self._producers[name]

    @staticmethod
    def _noted(note: Callable[[Place], object]) -> Callable[[Any, Any], None]:
        def delivered(error: Any, message: Any) -> None:
            assert error is None, str(error)
            note((message.topic(), message.partition(), message.offset()))

        return delivered


def _samples(port: int) -> int:
    """How many series a process exports."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return sum(not line.startswith(b"#") for line in answer.read().splitlines())


def _peak_mb(pid: int) -> float:
    """The most resident memory that a process and those of its children that live have taken, each at its own time."""
    status = Path(f"/proc/{pid}/status").read_text()
    own = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    children = (task / "children" for task in Path(f"/proc/{pid}/task").iterdir())  # any thread may have started one
    return own / 1024 + sum(_peak_mb(int(child)) for each in children for child in each.read_text().split())
