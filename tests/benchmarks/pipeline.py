"""The agents alone on prepared features: memos a second of one process, beside bare Faust and bare aiokafka.

`python -m tests.benchmarks.pipeline [--memos N]`: real Kafka and Redis. Every rate is told of wall clock and of the
process's own CPU, from a tenth of the way to its end; the second compares where something else keeps the cores busy.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from deploy.kafka.server import KafkaServer
from schemas import topics
from schemas.events import MemoFeatures, Record, RiskScored
from schemas.settings import Settings
from streams.backlog import AGENTS_GROUP
from tests.benchmarks.drift_throughput import machine
from tests.benchmarks.pipeline_records import CODEC, examples, fill, prepared
from tests.servers import RedisServer

RESULTS = Path(__file__).parent / "results" / "pipeline.md"
USERS = 500
PATIENCE_S = 600.0
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Rate:
    """Memos a second of wall clock, and of the process's CPU; its memory (MiB) at a tenth and at the end."""

    wall: float
    cpu: float
    memory: tuple[float, float]


class Topics:
    """Sizes and positions, asked from beside every group."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def size(self, topic: str) -> int:
        client = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "beside"})
        try:
            parts = [TopicPartition(topic, p) for p in range(4)]
            return int(sum(client.get_watermark_offsets(part, timeout=10)[1] for part in parts))
        finally:
            client.close()

    def committed(self, topic: str, group: str) -> int:
        client = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group})
        try:
            found = client.committed([TopicPartition(topic, p) for p in range(4)], timeout=10)
            return int(sum(max(part.offset, 0) for part in found))
        finally:
            client.close()

    def scores(self) -> Iterator[RiskScored]:
        """Everything on risk.scored that is a score."""
        options = {"bootstrap.servers": self.bootstrap, "group.id": "scores", "auto.offset.reset": "earliest"}
        client = Consumer(options)
        client.subscribe([topics.SCORED.name])
        left = self.size(topics.SCORED.name)
        while left:
            for message in client.consume(500, timeout=5):
                left -= 1
                yield CODEC.decode(message.value(), RiskScored)
        client.close()


def measured(command: list[str], environment: dict[str, str], done: Callable[[], int], memos: int) -> Rate:
    """Run a process until `done` reaches `memos`."""
    before = done()
    process = subprocess.Popen(
        [sys.executable, *command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        start = _when(done, process, before + memos // 10)
        end = _when(done, process, before + memos)
    finally:
        process.kill()
        process.wait()
    (t0, cpu0, count0, memory0), (t1, cpu1, count1, memory1) = start, end
    count = count1 - count0
    print(f"{command[1:]}: {count / (cpu1 - cpu0):,.0f} memos a second of CPU", flush=True)
    return Rate(count / (t1 - t0), count / max(cpu1 - cpu0, 1e-9), (memory0, memory1))


def _when(done: Callable[[], int], process: "subprocess.Popen[bytes]", wanted: int) -> tuple[float, float, int, float]:
    deadline = time.monotonic() + PATIENCE_S
    while (count := done()) < wanted:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the process stopped at {count} of {wanted}")
        time.sleep(0.1)
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    status = Path(f"/proc/{process.pid}/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return time.monotonic(), (int(fields[11]) + int(fields[12])) / TICKS, count, int(kib) / 1024


def _user(record: Record) -> str:
    return record.user_id if isinstance(record, MemoFeatures | RiskScored) else ""


def one_broker(memos: int) -> dict[str, Rate]:
    """Every reader over the same topics of one broker, one after the other."""
    with KafkaServer() as kafka, RedisServer() as redis:
        environment = {**os.environ, "KAFKA_BOOTSTRAP": kafka.bootstrap, "REDIS_URL": redis.url}
        subprocess.run([sys.executable, "-m", "streams.cli", "topics", "create"], env=environment, check=True)
        beside = Topics(kafka.bootstrap)
        parts = prepared(examples(Settings.load(), 4), USERS, memos // USERS)
        fill(kafka.bootstrap, topics.FEATURES.name, chain.from_iterable(parts), _user)

        def scored() -> int:
            return beside.size(topics.SCORED.name)

        agents = ["-m", "streams.cli", "agents"]
        rates = {"fusion and drift": measured(agents, environment, scored, memos)}
        scores = list(beside.scores())
        for name in ("faust", "aiokafka"):
            bare = ["-m", "tests.benchmarks.pipeline_bare", name]
            rates[f"bare {name}"] = measured(bare, environment, scored, memos)
    with KafkaServer() as kafka, RedisServer() as redis:
        environment |= {"KAFKA_BOOTSTRAP": kafka.bootstrap, "REDIS_URL": redis.url}
        subprocess.run([sys.executable, "-m", "streams.cli", "topics", "create"], env=environment, check=True)
        beside = Topics(kafka.bootstrap)
        fill(kafka.bootstrap, topics.SCORED.name, iter(scores), _user)
        rates["drift alone"] = measured(
            agents, environment, lambda: beside.committed(topics.SCORED.name, AGENTS_GROUP), memos
        )
    return rates


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--memos", type=int, default=20_000)
    memos = parser.parse_args().memos // USERS * USERS
    load = os.getloadavg()[0]
    rates = one_broker(memos)
    lines = [
        "# The pipeline",
        "",
        f"{machine()}; load before {load:.1f}, after {os.getloadavg()[0]:.1f};",
        f"`python -m tests.benchmarks.pipeline --memos {memos}`",
        "",
        "## Agents alone, one process",
        "",
        f"{memos} memos of {USERS} users: two features in (as the real stages make them), one score out and followed.",
        "The bare readers do nothing but read the same records and write as many of a score's size.",
        "",
        "process | memos/s of wall clock | memos/s of its CPU | of bare Faust, by CPU | MiB at a tenth | at the end",
        "---|---|---|---|---|---",
    ]
    for name, rate in rates.items():
        share = rate.cpu / rates["bare faust"].cpu
        memory = " | ".join(f"{mib:.0f}" for mib in rate.memory)
        lines.append(f"{name} | {rate.wall:,.0f} | {rate.cpu:,.0f} | {share:.2f} | {memory}")
    RESULTS.write_text("\n".join(lines) + "\n")
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
