"""A whole system for the pipeline's benchmarks: real Kafka, real Redis, and roles as processes of their own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from deploy.kafka.server import KafkaServer, dies_with_parent
from schemas import topics
from schemas.events import MemoUploaded
from schemas.pipeline import AGENTS_GROUP
from tests.benchmarks.pipeline_measure import NO_COORDINATOR, PARTITIONS, Topics, cpu_s, resident_mib
from tests.benchmarks.pipeline_records import CODEC
from tests.servers import RedisServer

REAL = {
    "acoustic": ("-m", "streams.cli", "worker", "acoustic"),
    "embedding": ("-m", "streams.cli", "worker", "embedding"),
    "agents": ("-m", "streams.cli", "agents"),
}
CHEAP = {
    **REAL,
    "acoustic": ("-m", "tests.faults.cheap_worker", "acoustic"),
    "embedding": ("-m", "tests.faults.cheap_worker", "embedding"),
}
"""The real roles, only that hearing costs next to nothing."""
LOOK_EVERY_S = 0.05
PATIENCE_S = 300.0


class System:
    """Runs while the context is open. roles: commands by name; settings: of their environment."""

    def __init__(
        self, roles: Mapping[str, Sequence[str]], settings: Mapping[str, str], partitions: int = PARTITIONS
    ) -> None:
        self._commands, self._settings, self._partitions = roles, settings, partitions
        self.roles: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            self.kafka = exits.enter_context(KafkaServer())
            redis = exits.enter_context(RedisServer())
            environment = {
                **os.environ,
                "KAFKA_BOOTSTRAP": self.kafka.bootstrap,
                "REDIS_URL": redis.url,
                "UNDERTONE_PARTITIONS": str(self._partitions),
                "UNDERTONE_LOG_LEVEL": "ERROR",
                **self._settings,
            }
            subprocess.run(
                [sys.executable, "-m", "streams.cli", "topics", "create"],
                env=environment, check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            self.beside = Topics(self.kafka.bootstrap, self._partitions)
            self._producer = Producer(
                {"bootstrap.servers": self.kafka.bootstrap, "enable.idempotence": True, "linger.ms": 2, "log_level": 0}
            )
            for name, command in self._commands.items():
                self.roles[name] = subprocess.Popen(
                    [*dies_with_parent(), sys.executable, *command], env=environment,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )  # fmt: skip
                exits.callback(self._end, name)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._exits.close()

    def _end(self, name: str) -> None:
        self.roles[name].terminate()
        try:
            self.roles[name].wait(20)
        except subprocess.TimeoutExpired:
            self.roles[name].kill()

    def upload(self, memos: Iterable[MemoUploaded], per_second: float = float("inf")) -> None:
        """Upload memos, evenly so many a second, each with the time of its upload; returns when the broker has them."""
        began = time.monotonic()
        for number, memo in enumerate(memos):
            while (early_s := began + number / per_second - time.monotonic()) > 0:
                self._producer.poll(min(early_s, 0.01))
            self._producer.produce(topics.UPLOADED.name, CODEC.encode(memo), memo.user_id.encode())
            self._producer.poll(0)
        self._producer.flush()

    def scored(self) -> int:
        """Scores written so far."""
        return self.beside.size(topics.SCORED.name)

    def followed(self) -> int:
        """Scores that drift is done with."""
        return self.beside.committed(topics.SCORED.name, AGENTS_GROUP)

    def until(self, wanted: int, done: Callable[[], int]) -> float:
        """Wait until so many memos are done; the time of a steady clock then. Raises RuntimeError when a role ends."""
        deadline = time.monotonic() + PATIENCE_S
        while (count := done()) < wanted:
            ended = [name for name, process in self.roles.items() if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"{count} of {wanted} memos are through; ended: {', '.join(ended) or 'none'}")
            time.sleep(LOOK_EVERY_S)
        return time.monotonic()

    def until_shared(self, group: str, members: int) -> None:
        """Wait until so many members of a group have partitions."""
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap, "log_level": 0})

        def sharing() -> int:
            try:
                found = admin.describe_consumer_groups([group])[group].result()
            except KafkaException as error:
                if error.args[0].code() not in NO_COORDINATOR:
                    raise
                return 0
            return sum(bool(member.assignment.topic_partitions) for member in found.members)

        self.until(members, sharing)

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of every role so far, with those of its children."""
        return {name: sum(map(cpu_s, family(process.pid))) for name, process in self.roles.items()}

    def resident_mib(self) -> dict[str, float]:
        """Memory of every role's own process."""
        return {name: resident_mib(process.pid) for name, process in self.roles.items()}


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found
