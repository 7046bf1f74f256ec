"""(c), (d), (e): how long a memo takes under load, what more processes bring, and what a burst does.

Hearing costs next to nothing here (`tests.faults.cheap_worker`) or a fixed time (`sleeping_worker`): what is left is
the way itself, with both workers, the agents, Kafka and Redis on one machine's cores.
"""

import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import numpy as np
from confluent_kafka import Consumer

from schemas import topics
from schemas.events import MemoUploaded, RiskAlert, RiskScored
from schemas.pipeline import ACOUSTIC
from tests.benchmarks.pipeline_records import CODEC
from tests.benchmarks.pipeline_system import CHEAP, System
from tests.faults.cohort import Cohort

USERS, CHANGING = 200, 100
FLAT_OUT_MEMOS = 2000
MOST = 40_000
LOADS = (0.3, 0.7, 0.9)
LOAD_S = 20.0
ALERTING = {"UNDERTONE_ALERTS_PER_USER_YEAR": "12"}
"""Many alerts, so that their latency can be told."""
PROCESSES = (1, 2, 4)
SLEEP_S = 0.05
SLEEPING = ("-m", "tests.benchmarks.sleeping_worker", str(SLEEP_S))
BURST, BURST_S, CALM_S = 10, 8.0, 8.0
CALM_SHARE = 0.25
"""Of what the system can do: ten times that is more than it can."""


def latencies(memos: int = FLAT_OUT_MEMOS) -> Iterator[str]:
    """(c), as lines of Markdown: what the system does flat out, then seconds from upload at shares of that."""
    with tempfile.TemporaryDirectory(prefix="undertone-load-") as name:
        folder = Path(name)
        written = _written(folder, MOST, memos + memos // 10)
        settings = {"UNDERTONE_AUDIO_PREFIXES": folder.as_uri(), **ALERTING}
        with System(CHEAP, settings) as system:
            capacity = _capacity(system, written, memos)
            yield f"Flat out: {capacity:,.0f} memos a second, extraction costing next to nothing; {USERS} users."
            yield from ("", "load | memos/s | memos | to score: p50, s | p99, s | alerts | to alert: p50, s | p99, s")
            yield "---|---|---|---|---|---|---|---"
            for load in LOADS:
                rate, before = load * capacity, system.followed()
                batch = [next(written) for _ in range(int(rate * LOAD_S))]
                since = time.time()
                system.upload(map(_now, batch), rate)
                system.until(before + len(batch), system.followed)
                scores, alerts = _latencies(system.kafka.bootstrap, since)
                cells = f"{rate:,.0f} | {len(batch):,} | {_quantiles(scores)} | {len(alerts)} | {_quantiles(alerts)}"
                yield f"{load:.0%} | {cells}"


def scaling(memos: int) -> Iterator[str]:
    """(d), as lines of Markdown. memos: of each process."""
    yield f"A stage that sleeps {SLEEP_S * 1000:.0f} ms for every memo; as many processes as partitions, {memos} memos"
    yield "for each of them."
    yield from ("", "partitions and processes | memos/s | of one", "---|---|---")
    first = 0.0
    for processes in PROCESSES:
        with tempfile.TemporaryDirectory(prefix="undertone-scaling-") as name:
            folder = Path(name)
            roles = {f"acoustic-{number}": SLEEPING for number in range(processes)}
            settings = {"UNDERTONE_AUDIO_PREFIXES": folder.as_uri(), "UNDERTONE_MODALITIES": "acoustic"}
            written = _written(folder, MOST)
            with System(roles, settings, processes) as system:

                def heard(system: System = system) -> int:
                    return system.beside.size(topics.FEATURES.name)

                warm = 40 * processes
                system.until_shared(ACOUSTIC.group, processes)
                system.upload(next(written) for _ in range(warm))
                system.until(warm, heard)
                began = time.monotonic()
                system.upload(next(written) for _ in range(memos * processes))
                rate = memos * processes / (system.until(warm + memos * processes, heard) - began)
        first = first or rate
        yield f"{processes} | {rate:.1f} | {rate / first:.2f}"


def burst(memos: int = FLAT_OUT_MEMOS) -> Iterator[str]:
    """(e), as lines of Markdown: what waits in Kafka and the memory of each role, before, within and after a burst."""
    with tempfile.TemporaryDirectory(prefix="undertone-burst-") as name:
        folder = Path(name)
        written = _written(folder, MOST)
        with System(CHEAP, {"UNDERTONE_AUDIO_PREFIXES": folder.as_uri()}) as system:
            capacity = _capacity(system, written, memos)
            calm = capacity * CALM_SHARE
            seen: list[tuple[str, int, dict[str, float]]] = []
            phases = (("calm", calm, CALM_S), ("burst", calm * BURST, BURST_S), ("calm again", calm, CALM_S))
            sent = system.followed()
            for phase, rate, seconds in phases:
                batch = [next(written) for _ in range(int(rate * seconds))]
                sent += len(batch)
                uploading = threading.Thread(target=system.upload, args=(batch, rate))
                uploading.start()
                while uploading.is_alive():
                    waiting = system.beside.size(topics.UPLOADED.name) - system.followed()
                    seen.append((phase, waiting, system.resident_mib()))
                    time.sleep(0.5)
                uploading.join()
            ended = time.monotonic()
            system.until(sent, system.followed)
            seen.append(("all done", 0, system.resident_mib()))
            yield f"Flat out {capacity:,.0f} memos/s; calm is {calm:,.0f}, for {BURST_S:.0f} s {BURST} times that."
            yield f"All were followed {time.monotonic() - ended:.1f} s after the last upload."
            yield from ("", f"phase | most memos waiting in Kafka | {' | '.join(f'{role}, MiB' for role in CHEAP)}")
            yield "---|---" + "|---" * len(CHEAP)
            for phase in dict.fromkeys(phase for phase, _, _ in seen):
                those = [each for each in seen if each[0] == phase]
                most = [max(memory[role] for _, _, memory in those) for role in CHEAP]
                cells = " | ".join(f"{mib:.0f}" for mib in most)
                yield f"{phase} | {max(waiting for _, waiting, _ in those):,} | {cells}"


def _written(folder: Path, most: int, calm: int = MOST) -> Iterator[MemoUploaded]:
    """Memos of users of whom some change once `calm` memos are through; audio is written when a memo is asked for."""
    days, calm_days = most // USERS, calm // USERS
    return iter(Cohort(USERS, CHANGING, calm_days, days - calm_days).write(folder))


def _capacity(system: System, written: Iterator[MemoUploaded], memos: int) -> float:
    """Memos a second of a system that has more than it can do, after the first tenth."""
    first = [next(written) for _ in range(memos // 10)]
    rest = [next(written) for _ in range(memos)]
    system.upload(first)
    began = system.until(len(first), system.followed)
    system.upload(rest)
    return memos / (system.until(len(first) + memos, system.followed) - began)


def _now(memo: MemoUploaded) -> MemoUploaded:
    """The memo, uploaded now."""
    return replace(memo, uploaded_at=datetime.now(UTC))


def _latencies(bootstrap: str, since: float) -> tuple[list[float], list[float]]:
    """Seconds from upload to the broker's having the score, and the alert, of all memos that were uploaded since."""
    uploaded: dict[str, float] = {}
    scores, alerts = [], []
    for time_s, value in _all(bootstrap, topics.SCORED):
        score = CODEC.decode(value, RiskScored)
        if score.uploaded_at.timestamp() >= since:
            uploaded[score.memo_id] = score.uploaded_at.timestamp()
            scores.append(time_s - uploaded[score.memo_id])
    for time_s, value in _all(bootstrap, topics.ALERTS):
        memo = CODEC.decode(value, RiskAlert).memo_id
        if memo in uploaded:
            alerts.append(time_s - uploaded[memo])
    return scores, alerts


def _all(bootstrap: str, topic: topics.Topic) -> Iterator[tuple[float, bytes]]:
    """Time and value of every record."""
    client = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": f"all-{next(_READERS)}", "auto.offset.reset": "earliest"}
        | {"enable.partition.eof": False, "log_level": 0}
    )
    client.subscribe([topic.name])
    misses = 0
    try:
        while misses < 2:
            messages = client.consume(1000, timeout=4.0)
            misses = 0 if messages else misses + 1
            for message in messages:
                yield message.timestamp()[1] / 1000, message.value()
    finally:
        client.close()


_READERS = count()


def _quantiles(seconds: Sequence[float]) -> str:
    """p50 and p99 as two cells; empty where there is nothing."""
    return " | ".join(f"{value:.2f}" for value in np.quantile(seconds, (0.5, 0.99))) if seconds else " | "
