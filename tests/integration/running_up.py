"""One `undertone up` as a user runs it, and the commands that talk to it."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from schemas import topics
from schemas.codec import Codec
from schemas.events import MemoUploaded
from schemas.settings import Settings
from streams.cli.application import app
from streams.local.discover import Running, connected
from streams.local.submit import Submitter
from tests.json_output import validated
from workers.kafka.consumer_lag import Observer
from workers.kafka.topic_reader import follow

PATIENCE_S = 240.0
CODEC = Codec()
SECRET = "a secret of twenty-four bytes"
"""Of a bridge that is not started."""
LOG_KEY = "a key that lies in a file"
"""Every role reads it."""


class Up:
    """One `undertone up` and the commands that talk to it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {**os.environ, "UNDERTONE_HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3", "COLUMNS": "200"}
        self.environment["UNDERTONE_WEBHOOK_SECRET"] = SECRET
        self.environment["UNDERTONE_DASHBOARD_PORT"] = "0"
        secrets = home.parent / "mounted"
        secrets.mkdir(exist_ok=True)
        (secrets / "undertone_log_key").write_text(f"{LOG_KEY}\n")
        self.environment["UNDERTONE_SECRETS_DIR"] = str(secrets)
        for name in ("KAFKA_BOOTSTRAP", "REDIS_URL", "UNDERTONE_AUDIO_PREFIXES", "UNDERTONE_SEAL"):
            self.environment.pop(name, None)

    def start(self) -> None:
        with (self.home.parent / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streams.cli", "up"], env=self.environment, stdout=log, stderr=log
            )
        self.wait_until(lambda: (self.home / "up.json").exists())

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def wait_until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, (self.home.parent / "up.log").read_text()[-3000:]
            assert self.process.poll() is None, (self.home.parent / "up.log").read_text()[-3000:]
            time.sleep(0.2)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "streams.cli", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)

    def call(self, *arguments: str) -> Result:
        """As `run`, within this process, which has imported everything."""
        changes = {name: self.environment.get(name) for name in os.environ.keys() | self.environment.keys()}
        return CliRunner().invoke(app, arguments, env=changes)

    def submit(self, *paths: Path, user: str, at: datetime) -> list[str]:
        """Submit and give the memo ids."""
        names = [str(path) for path in paths]
        done = self.run("submit", *names, "--user", user, "--recorded-at", at.isoformat(), "--json")
        assert done.returncode == 0, done.stderr
        return [line["memo_id"] for line in validated("submit", done.stdout)]

    def upload(self, *events: MemoUploaded) -> None:
        """Send events as a platform does."""

        async def send() -> None:
            async with Submitter.open(self.settings, CODEC, None) as submitter:
                await submitter.send_all(events)

        asyncio.run(send())

    @property
    def settings(self) -> Settings:
        running = Running(**json.loads((self.home / "up.json").read_text()))
        given = Settings.load(home=self.home, kafka_bootstrap=running.bootstrap, redis_url=running.redis_url)
        return connected(given)

    def read(self, topic: topics.Topic) -> list[Any]:
        async def read() -> list[Any]:
            return [r async for r in follow(self.settings, CODEC, topic, topic.record, from_start=True, once=True)]

        return asyncio.run(read())

    def scores(self) -> Counter[str]:
        """Records of risk.scored by memo."""
        return Counter(score.memo_id for score in self.read(topics.SCORED))

    def backlog(self) -> int:
        async def ask() -> int:
            async with Observer(self.settings) as observer:
                return await observer.memos_under_way()

        return asyncio.run(ask())

    def children(self) -> list[int]:
        """Process ids."""
        parent = self.process.pid
        return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]

    def child(self, words: str) -> int:
        """Process id of the child whose command line ends with these words."""
        for pid in self.children():
            if words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "):
                return pid
        raise AssertionError(f"no child runs {words}")
