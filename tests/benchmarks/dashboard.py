"""Live subscribers and requests on one dashboard: `python -m tests.benchmarks.dashboard`, about four minutes.

Kafka, Redis, `undertone dashboard` and `undertone agents` run as in production, each in a process of its own; another
stores events as history does, and this one is the clients. Afterwards the agents work through scores, by turns with
the dashboard at rest and under the same load.
"""

import asyncio
import contextlib
import multiprocessing
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from schemas import topics
from schemas.settings import Settings
from streams.history.database import Database
from tests.benchmarks.dashboard_clients import Requests, Subscriber, asking, following
from tests.benchmarks.figures import RESULTS
from tests.benchmarks.machine import provenance
from tests.benchmarks.pipeline_measure import cpu_s, resident_mib
from tests.benchmarks.pipeline_records import fill, scores
from tests.benchmarks.pipeline_system import System
from tests.dashboards import people, recent, store
from tests.history import score
from tests.servers import free_port

SUBSCRIBERS, REQUESTS_S, EVENTS_S, SECONDS = 200, 100, 10, 60.0
USERS = tuple(f"north-{number}" for number in range(50))
PATHS = ("/api/v1/people?limit=50", "/api/v1/people/north-1/scores", "/api/v1/people/north-2", "/api/v1/system")
PATIENCE_S = 60.0
ROLES = {"dashboard": ("-m", "streams.cli", "dashboard"), "agents": ("-m", "streams.cli", "agents")}
FOLLOWED_USERS, FOLLOWED_DAYS = 500, 20
"""Of the scores that the agents work through in one turn."""
TURNS = 3
AT_REST_S = 0.1
"""CPU seconds in one second that a process uses that is asked nothing."""


class History:
    """A process that stores events in the database of the dashboard, EVENTS_S a second while it is `storing`."""

    def __init__(self, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_keep, args=(folder, theirs), daemon=True)
        self.process.start()
        self._pipe.recv()

    @asynccontextmanager
    async def storing(self) -> AsyncIterator[list[str]]:
        """Store while the context is open; afterwards the ids of the stored records are in the list."""
        stored = list[str]()
        self._pipe.send("begin")
        try:
            yield stored
        finally:
            self._pipe.send("end")
            stored += await asyncio.to_thread(self._pipe.recv)


def _keep(folder: Path, pipe: Connection) -> None:
    database = Database.open(Settings(home=folder))

    def put(*records: Any) -> None:
        with database.engine.begin() as connection:
            store(connection, records)

    put(*people(*USERS))
    pipe.send("ready")
    number = 10
    with contextlib.suppress(EOFError):  # the other process has ended
        while pipe.recv():
            stored, began = list[str](), time.monotonic()
            while not pipe.poll(max(began + len(stored) / EVENTS_S - time.monotonic(), 0)):
                record = recent(score(USERS[number % len(USERS)], float(number)))
                put(record)
                stored.append(record.score_id)
                number += 1
            pipe.recv()
            pipe.send(stored)


@dataclass
class Load:
    """What the clients of one load saw."""

    subscribers: list[Subscriber]
    requests: Requests
    stored: list[str] = field(default_factory=list)


@asynccontextmanager
async def loaded(port: int, history: History) -> AsyncIterator[Load]:
    """Subscribers, requests and events while the context is open; it ends once every subscriber has every event."""
    requests = Requests(port, REQUESTS_S, PATHS)
    async with following(port, SUBSCRIBERS) as subscribers:
        load = Load(subscribers, requests)
        async with asking(requests), history.storing() as load.stored:
            yield load
        ends_at = time.monotonic() + PATIENCE_S
        while any(len(each.ids) < len(load.stored) for each in subscribers) and time.monotonic() < ends_at:
            await asyncio.sleep(0.2)


async def measure(system: System, port: int, history: History) -> str:
    """The result as text."""
    pids = {
        "dashboard": system.roles["dashboard"].pid,
        "clients": multiprocessing.current_process().pid or 0,
        "history": history.process.pid or 0,
        "Kafka": system.kafka.pid,
        "agents, idle": system.roles["agents"].pid,
    }
    memory = list[float]()
    async with loaded(port, history) as load:
        began, before = time.monotonic(), {name: cpu_s(pid) for name, pid in pids.items()}
        while time.monotonic() < began + SECONDS:
            memory.append(resident_mib(pids["dashboard"]))
            await asyncio.sleep(0.5)
        took_s = time.monotonic() - began
        cores = {name: (cpu_s(pid) - before[name]) / took_s for name, pid in pids.items()}
    used = ", ".join(f"{name} {share:.2f}" for name, share in cores.items())
    return "\n".join((*_seen(load, took_s), *_memory(memory), f"cores used: {used}", ""))


def _seen(load: Load, took_s: float) -> Iterator[str]:
    wanted, clients = load.stored, load.subscribers
    lost = sum(len(set(wanted) - set(client.ids)) for client in clients)
    doubled = sum(len(client.ids) - len(set(client.ids)) for client in clients)
    ordered = sum(client.ids == wanted for client in clients)
    yield (
        f"{len(clients)} subscribers, {len(wanted)} events in {took_s:.0f} s, {sum(each.cuts for each in clients)} "
        f"cuts: {lost} lost, {doubled} doubled, {ordered} subscribers got all in order"
    )
    seconds, statuses = load.requests.seconds, load.requests.statuses
    p50, p95, p99 = np.percentile(np.array(seconds) * 1000, (50, 95, 99))
    answered = sum(status == 200 for status in statuses)
    yield (
        f"requests: {len(statuses) / took_s:.0f} a second, {answered} of {len(statuses)} answered 200; "
        f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms"
    )


def _memory(mib: Sequence[float]) -> Iterator[str]:
    early, late = np.median(mib[len(mib) // 4 : len(mib) // 2]), np.median(mib[-len(mib) // 4 :])
    yield f"memory of the dashboard: {early:.0f} MiB in the second quarter, {late:.0f} MiB in the last"


@dataclass
class Pace:
    """Scores that the agents follow, in one turn: a second of wall clock, and of their own CPU."""

    wall: float
    cpu: float


async def beside(system: System, port: int, history: History) -> str:
    """How fast the agents are with the dashboard at rest and under load, by turns, as text."""
    waiting = scores(FOLLOWED_USERS, FOLLOWED_DAYS * (2 * TURNS + 1))

    def turn() -> Pace:
        batch = list(islice(waiting, FOLLOWED_USERS * FOLLOWED_DAYS))
        agents, before = system.roles["agents"].pid, system.followed()
        began, used_s = time.monotonic(), cpu_s(system.roles["agents"].pid)
        fill(system.kafka.bootstrap, topics.SCORED.name, batch)
        took_s = system.until(before + len(batch), system.followed) - began
        return Pace(len(batch) / took_s, len(batch) / (cpu_s(agents) - used_s))

    await asyncio.to_thread(turn)  # the first one loads what the agents need
    rest, load = list[Pace](), list[Pace]()
    for _ in range(TURNS):
        rest.append(await asyncio.to_thread(turn))
        async with loaded(port, history):
            load.append(await asyncio.to_thread(turn))
    cpu, cpu_loaded = (float(np.median([each.cpu for each in paces])) for paces in (rest, load))
    wall, wall_loaded = (float(np.median([each.wall for each in paces])) for paces in (rest, load))
    return (
        f"dashboard at rest: {cpu:,.0f} scores a second of the agents' CPU, {wall:,.0f} of wall clock\n"
        f"dashboard under load: {cpu_loaded:,.0f} and {wall_loaded:,.0f}\n"
        f"under load / at rest: {cpu_loaded / cpu:.2f} of CPU, {wall_loaded / wall:.2f} of wall clock\n"
    )


async def run(folder: Path) -> str:
    """Start everything, and measure."""
    history, port = History(folder), free_port()
    settings = {"UNDERTONE_HOME": str(folder), "UNDERTONE_DASHBOARD_PORT": str(port)}
    try:
        with System(ROLES, settings) as system:
            await _answering(system, port)
            return await measure(system, port, history) + await beside(system, port, history)
    finally:
        history.process.kill()


async def _answering(system: System, port: int) -> None:
    """Wait until the dashboard serves, and has done what it does once at its start."""
    process = system.roles["dashboard"]
    while not await _connects(port):
        if process.poll() is not None:
            raise RuntimeError("the dashboard ended before it served")
        await asyncio.sleep(0.1)
    used_s = -1.0
    while (now_s := cpu_s(process.pid)) > used_s + AT_REST_S:
        used_s = now_s
        await asyncio.sleep(1.0)


async def _connects(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def main() -> None:
    """Measure, and write the result file."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        result = asyncio.run(run(Path(folder)))
    text = f"{TITLE}\n\n{provenance('python -m tests.benchmarks.dashboard')}\n\n{WHERE}\n\n```\n{result}```\n"
    (RESULTS / "dashboard.md").write_text(text)
    print(text)


TITLE = "# Live subscribers and requests on one dashboard"
WHERE = """Everything shares the cores of this machine, and each is a process of its own: Apache Kafka, Redis,
`undertone dashboard` with its history in SQLite, `undertone agents`, one that stores events as history does, and the
clients. Every subscriber is cut off at random and resumes with the id of its last event. A request counts from the
time when it was due, whatever became of earlier ones; three of four are looks at persons, each with an audit event
that Kafka acknowledges before the answer.

The dashboard shares nothing with the agents but Kafka, Redis and, here, the cores. So what is said of them is scores a
second of their own CPU, which the dashboard can only change through those, and beside it those of wall clock, which
here also say that two cores are fewer than all these processes could use. Turns at rest and under load alternate."""

if __name__ == "__main__":
    main()
