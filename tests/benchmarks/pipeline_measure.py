"""What the pipeline's benchmarks measure with: positions on topics, and what a process costs on its way."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

PARTITIONS = 4
PATIENCE_S = 600.0
LOOK_EVERY_S = 0.1
TICKS = os.sysconf("SC_CLK_TCK")
NO_COORDINATOR = (
    KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moment:
    """A process at one time. at_s: of a steady clock; cpu_s: used so far; count: memos done; mib: resident memory."""

    at_s: float
    cpu_s: float
    count: int
    mib: float

    @classmethod
    def of(cls, pid: int, count: int) -> "Moment":
        """Now. The process must run."""
        return cls(time.monotonic(), cpu_s(pid), count, resident_mib(pid))


@dataclass(frozen=True, slots=True)
class Rate:
    """Memos a second of wall clock, and of the process's CPU; its memory (MiB) at a tenth, half and the whole."""

    wall: float
    cpu: float
    memory: tuple[float, ...]


class Topics:
    """Sizes and positions, asked from beside every group."""

    def __init__(self, bootstrap: str, partitions: int = PARTITIONS) -> None:
        self._bootstrap, self._partitions = bootstrap, partitions

    def size(self, topic: str) -> int:
        """Records that were ever written."""
        client = self._client("beside")
        try:
            return sum(client.get_watermark_offsets(part, timeout=10)[1] for part in self._parts(topic))
        finally:
            client.close()

    def committed(self, topic: str, group: str) -> int:
        """Records behind a group; none while the broker has only just begun and knows no groups."""
        client = self._client(group)
        try:
            return sum(max(part.offset, 0) for part in client.committed(self._parts(topic), timeout=10))
        except KafkaException as error:
            if error.args[0].code() not in NO_COORDINATOR:
                raise
            return 0
        finally:
            client.close()

    def _client(self, group: str) -> Consumer:
        return Consumer({"bootstrap.servers": self._bootstrap, "group.id": group, "log_level": 0})

    def _parts(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in range(self._partitions)]


def measured(command: Sequence[str], environment: Mapping[str, str], done: Callable[[], int], memos: int) -> Rate:
    """Run a process of Python until `done` has grown by `memos`. Rates are from a tenth of the way to its end.

    Raises RuntimeError when the process ends before, or takes longer than PATIENCE_S.
    """
    before = done()
    process = subprocess.Popen(
        [sys.executable, *command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        first, half, last = (_when(done, process, before + memos * part // 10) for part in (1, 5, 10))
    finally:
        process.kill()
        process.wait()
    count, cpu = last.count - first.count, max(last.cpu_s - first.cpu_s, 1 / TICKS)
    rate = Rate(count / (last.at_s - first.at_s), count / cpu, (first.mib, half.mib, last.mib))
    print(f"{' '.join(command)}: {rate.wall:,.0f} memos a second, {rate.cpu:,.0f} of CPU", flush=True)
    return rate


def _when(done: Callable[[], int], process: "subprocess.Popen[bytes]", wanted: int) -> Moment:
    deadline = time.monotonic() + PATIENCE_S
    while (count := done()) < wanted:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the process stopped at {count} of {wanted}")
        time.sleep(LOOK_EVERY_S)
    return Moment.of(process.pid, count)


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mib(pid: int) -> float:
    """Memory of a process that lies in RAM."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024
