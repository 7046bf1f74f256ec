"""One system with a dashboard for all browser tests: `undertone up`, fed with the memos of simulated users.

Two of six users change, as in the demo, on fewer and shorter memos; one memo is broken. The fixture `dashboard` returns
once every memo has its outcome and the pages show it.
"""

import asyncio
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import soundfile
from playwright.async_api import Page, expect

from schemas import topics
from schemas.codec import Codec
from schemas.events import AlertState, MemoUploaded, RiskAlert
from schemas.ids import memo_id
from schemas.settings import Settings
from streams.local.discover import Running
from streams.local.submit import Submitter
from tests.browser import need_browser
from workers.audio.memo import SAMPLING_RATE
from workers.kafka.topic_reader import follow
from workers.simulation.cohort import ScriptedMemo, ScriptedUser, cohort, sound_of

CODEC = Codec()
DAYS, CHANGING, MEMO_S = 28, 2, 4.0
FEW = 4
"""Memos of each user who does not change."""
PATIENCE_S = 240.0
"""Longer than anything here takes on a busy machine."""
SETTINGS = {
    "UNDERTONE_DASHBOARD_PORT": "0",
    "UNDERTONE_ALERTS_PER_USER_YEAR": "12",  # changes are found after few memos
    "UNDERTONE_COHORTS": "north=synthetic-01,south=synthetic",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


@dataclass
class Dashboard:
    """A running system. address: of its dashboard; settings: with its Kafka and Redis; users: who speak."""

    address: str
    settings: Settings
    log: Path
    process: subprocess.Popen[bytes]
    users: tuple[ScriptedUser, ...] = ()

    async def until(self, condition: Callable[[], Awaitable[object]]) -> None:
        """Return once a condition holds. Fails with the end of the log when the system ends, or it never does."""
        deadline = time.monotonic() + PATIENCE_S
        while not await condition():
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            await asyncio.sleep(0.2)

    async def get(self, path: str) -> httpx.Response:
        """What the dashboard answers a program."""
        async with httpx.AsyncClient(base_url=self.address, trust_env=False, timeout=30) as client:
            return await client.get(path, headers={"Accept": "text/html" if not path.startswith("/api") else "*/*"})

    async def read(self, topic: topics.Topic) -> list[Any]:
        """Every record of a topic."""
        records = follow(self.settings, CODEC, topic, topic.record, from_start=True, once=True)
        return [record async for record in records]

    async def open_episode(self) -> RiskAlert:
        """The newest alert of an episode that is open."""
        newest: dict[str, RiskAlert] = {}
        for alert in await self.read(topics.ALERTS):
            newest[alert.dedup_key] = alert
        still = [alert for alert in newest.values() if alert.state is not AlertState.RESOLVED]
        assert still, "no episode is open: the simulated users raised none"
        return max(still, key=lambda alert: alert.at)


@pytest.fixture(scope="session")
async def dashboard(anyio_backend: str) -> AsyncIterator[Dashboard]:
    """The system, for all browser tests of a run."""
    need_browser()
    with tempfile.TemporaryDirectory(prefix="undertone-dashboard-", ignore_cleanup_errors=True) as folder:
        running = await started(Path(folder))
        try:
            await feed(running)
            yield running
        finally:
            running.process.terminate()
            running.process.wait(60)


async def started(folder: Path, settings: Mapping[str, str] = SETTINGS) -> Dashboard:
    """`undertone up` in a folder, whose dashboard answers. Its caller ends the process."""
    home, log = folder / "home", folder / "up.log"
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("UNDERTONE_", "KAFKA_", "REDIS_"))
    }
    process = launched({**kept, **settings, "UNDERTONE_HOME": str(home)}, log)
    running = Dashboard("", Settings(), log, process)

    async def answers() -> bool:
        lines = [line for line in log.read_text().splitlines() if line.startswith("dashboard: ")]
        running.address = lines[-1].removeprefix("dashboard: ") if lines else ""
        return bool(lines)

    try:
        await running.until(answers)
    except BaseException:
        process.kill()
        raise
    found = Running(**json.loads((home / "up.json").read_text()))
    running.settings = Settings(home=home, kafka_bootstrap=found.bootstrap, redis_url=found.redis_url)
    return running


def launched(environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """`undertone up` with this environment; what it says goes to a file."""
    command = [sys.executable, "-m", "streams.cli", "up"]
    with log.open("ab") as output:
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


async def feed(running: Dashboard) -> None:
    """Let the users speak, and wait for what comes of it."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    running.users = cohort(1, 6, DAYS, midnight - timedelta(days=DAYS))
    wanted = 0
    async with Submitter.open(running.settings, CODEC, None) as submitter:
        for recorded_at, user_id, data in script(running.users):
            await submitter.send(await asyncio.to_thread(event, running, user_id, recorded_at, data))
            wanted += 1

    async def settled() -> bool:
        outcomes = len(await running.read(topics.SCORED)) + len(await running.read(topics.DEAD))
        return outcomes >= wanted

    await running.until(settled)


def alert_of(episode: RiskAlert, user: str) -> RiskAlert:
    """An alert that begins another person's episode, like this one."""
    now = datetime.now(UTC).replace(microsecond=0)
    return replace(
        episode,
        alert_id=f"alert-{user}",
        dedup_key=f"episode-{user}",
        user_id=user,
        state=AlertState.RAISED,
        at=now,
        since=now,
    )


def pages_of(episode: RiskAlert) -> dict[str, str]:
    """Paths of all pages, with the person and the episode of an alert."""
    return {
        "caseload": "/",
        "nobody": "/?q=nobody-is-called-so",
        "person": f"/people/{quote(episode.user_id, safe='')}",
        "episode": f"/episodes/{quote(episode.dedup_key, safe='')}",
        "system": "/system",
        "try": "/try",
        "choices": "/choices",
    }


PAGES = ("caseload", "nobody", "person", "episode", "system", "try", "choices")
"""Names of all pages."""


async def drawn(page: Page) -> None:
    """Return once a page is loaded and its charts are there, if it has any."""
    await page.wait_for_load_state("load")
    charts = page.locator("[data-chart]")
    for number in range(await charts.count()):
        await expect(charts.nth(number).locator("canvas").first).to_be_attached(timeout=PATIENCE_S * 1000)


def script(users: tuple[ScriptedUser, ...]) -> Iterator[tuple[datetime, str, bytes]]:
    """The memos by their time: pseudonym and audio."""
    spoken = [(memo, user) for user in users[:CHANGING] for memo in user.memos]
    spoken += [(memo, user) for user in users[CHANGING:] for memo in user.memos[-FEW:]]
    for memo, user in sorted(spoken, key=lambda each: each[0].recorded_at):
        yield memo.recorded_at, user.user_id, wav(user, memo)
    yield users[-1].memos[-1].recorded_at + timedelta(minutes=5), users[-1].user_id, b"a shopping list, not a recording"


def wav(user: ScriptedUser, memo: ScriptedMemo) -> bytes:
    """The memo's audio, shorter than in the demo."""
    signal, _ = sound_of(user, replace(memo, seconds=MEMO_S))
    file = io.BytesIO()
    soundfile.write(file, signal, SAMPLING_RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def event(running: Dashboard, user_id: str, recorded_at: datetime, data: bytes) -> MemoUploaded:
    """The event of a memo whose audio is put where the workers may read it."""
    digest = sha256(data).hexdigest()
    path = running.settings.home / "audio" / f"{digest}.wav"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    identity = memo_id(user_id, digest, recorded_at)
    return MemoUploaded(identity, user_id, recorded_at, datetime.now(UTC), path.as_uri(), digest)
