"""Live subscribers and requests on one dashboard: `python -m tests.benchmarks.dashboard`, about two minutes.

A process serves the dashboard and stores events into its history; this one is the clients. Each subscriber is cut off
at random and resumes with the id of its last event.
"""

import asyncio
import multiprocessing
import random
import resource
import tempfile
import time
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import numpy as np

from tests.benchmarks.figures import RESULTS
from tests.benchmarks.machine import provenance
from tests.dashboards import dashboard, over_http, people, recent
from tests.history import score

SUBSCRIBERS, REQUESTS_S, EVENTS_S, SECONDS = 200, 100, 10, 60.0
CUT_EVERY_S = 15.0
"""Mean seconds between two cuts of one subscriber."""
USERS = tuple(f"north-{number}" for number in range(50))
PATHS = ("/api/v1/people?limit=50", "/api/v1/people/north-1/scores", "/api/v1/people/north-2", "/api/v1/system")
PAGE_BYTES = 4096
PATIENCE_S = 60.0


def serve(folder: str, pipe: Connection) -> None:
    """The process of the server: sends its address, then its memory in MiB and the events so far, twice a second."""
    asyncio.run(_serve(Path(folder), pipe))


async def _serve(folder: Path, pipe: Connection) -> None:
    async with dashboard(folder) as here:
        await here.store(*people(*USERS))
        async with over_http(here) as client:
            pipe.send(str(client.base_url).rstrip("/"))
            await asyncio.to_thread(pipe.recv)
            reporting = asyncio.create_task(_report(pipe))
            ends_at = time.monotonic() + SECONDS
            for number in count(10):
                if time.monotonic() >= ends_at:
                    break
                await here.store(recent(score(USERS[number % len(USERS)], float(number))))
                await asyncio.sleep(1 / EVENTS_S)
            reporting.cancel()
            pipe.send(number - 10)
            await asyncio.to_thread(pipe.recv)


async def _report(pipe: Connection) -> None:
    while True:
        pipe.send(("memory", _memory_mib()))
        await asyncio.sleep(0.5)


def _memory_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES / 2**20


@dataclass
class Client:
    """One subscriber: the ids of the events that it got, and how often it was cut off."""

    address: str
    chance: random.Random
    ids: list[str] = field(default_factory=list)
    last: str | None = None
    cuts: int = -1
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            self.cuts += 1
            try:
                async with asyncio.timeout(self.chance.expovariate(1 / CUT_EVERY_S) + 0.2):
                    await self._follow()
            except (TimeoutError, OSError):
                continue

    async def _follow(self) -> None:
        host, port = self.address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            last = "" if self.last is None else f"Last-Event-ID: {self.last}\r\n"
            path = "/api/v1/events?topics=risk.scored"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{last}\r\n".encode())
            event_id = None
            while line := (await reader.readline()).decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name == "id":
                    event_id = value
                elif name == "data":
                    self.ids.append(value.partition('"id": "')[2].partition('"')[0])
                elif line == "\n" and event_id is not None:
                    self.last, event_id = event_id, None
                    self.opened.set()
        finally:
            writer.close()


async def request(address: str, seconds: list[float], statuses: list[int]) -> None:
    """REQUESTS_S requests a second until cancelled."""
    limits = httpx.Limits(max_connections=50, max_keepalive_connections=50)
    pending = set[asyncio.Task[None]]()
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=30) as client:

        async def ask(path: str) -> None:
            began = time.perf_counter()
            try:
                status = (await client.get(path)).status_code
            except httpx.HTTPError:
                status = 0
            seconds.append(time.perf_counter() - began)
            statuses.append(status)

        next_at = time.monotonic()
        for number in count():
            task = asyncio.create_task(ask(PATHS[number % len(PATHS)]))
            pending.add(task)
            task.add_done_callback(pending.discard)
            next_at += 1 / REQUESTS_S
            await asyncio.sleep(max(next_at - time.monotonic(), 0))


async def measure(address: str, pipe: Connection) -> str:
    """The result as text."""
    clients = [Client(address, random.Random(number)) for number in range(SUBSCRIBERS)]
    following = [asyncio.create_task(client.run()) for client in clients]
    await asyncio.gather(*(client.opened.wait() for client in clients))
    seconds, statuses, memory = list[float](), list[int](), list[float]()
    asking = asyncio.create_task(request(address, seconds, statuses))
    pipe.send("begin")
    while not isinstance(said := await asyncio.to_thread(pipe.recv), int):
        memory.append(said[1])
    asking.cancel()
    wanted = [recent(score(USERS[number % len(USERS)], float(number))).score_id for number in range(10, 10 + said)]
    ends_at = time.monotonic() + PATIENCE_S
    while any(len(client.ids) < said for client in clients) and time.monotonic() < ends_at:
        await asyncio.sleep(0.2)
    for task in following:
        task.cancel()
    await asyncio.gather(*following, asking, return_exceptions=True)
    pipe.send("end")
    lost = sum(len(set(wanted) - set(client.ids)) for client in clients)
    doubled = sum(len(client.ids) - len(set(client.ids)) for client in clients)
    ordered = sum(client.ids == wanted for client in clients)
    early, late = np.median(memory[len(memory) // 4 : len(memory) // 2]), np.median(memory[-len(memory) // 4 :])
    p50, p95, p99 = np.percentile(np.array(seconds) * 1000, (50, 95, 99))
    ok = sum(status == 200 for status in statuses)
    return (
        f"{SUBSCRIBERS} subscribers, {said} events in {SECONDS:.0f} s, {sum(client.cuts for client in clients)} cuts: "
        f"{lost} lost, {doubled} doubled, {ordered} subscribers got all in order\n"
        f"requests: {len(statuses) / SECONDS:.0f} a second, {ok} of {len(statuses)} answered 200; "
        f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms\n"
        f"memory of the server: {early:.0f} MiB in the second quarter, {late:.0f} MiB in the last\n"
    )


def main() -> None:
    """Measure, and write the result file."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        server = context.Process(target=serve, args=(folder, theirs))
        server.start()
        result = asyncio.run(measure(ours.recv(), ours))
        server.join(30)
    text = f"{TITLE}\n\n{provenance('python -m tests.benchmarks.dashboard')}\n\n```\n{result}```\n"
    (RESULTS / "dashboard.md").write_text(text)
    print(text)


TITLE = "# Live subscribers and requests on one dashboard"

if __name__ == "__main__":
    main()
