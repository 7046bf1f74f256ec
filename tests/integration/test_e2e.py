"""The whole system beside real servers: memos in, metrics scraped, one drift alert in Alertmanager, resolved later.

Then the embedding worker dies silently, and somebody is called.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from deploy.grafana.tables.overview import OVERVIEW
from deploy.kafka.server import KafkaServer
from schemas import topics
from schemas.codec import Codec
from schemas.events import AlertState, RiskScored
from schemas.settings import Settings
from streams.drift.rules import Rules
from streams.drift.user_state import follow_in_detail
from tests.monitoring import AlertmanagerServer, PrometheusServer
from tests.receivers import Receiver, receiving
from tests.servers import Broker, RedisServer
from tests.unit.streams.scores import daily
from workers.audio.memo import SAMPLING_RATE
from workers.kafka.clients import make_producer
from workers.simulation.cohort import random_voice
from workers.simulation.source_filter import speak

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
ROLES = ("acoustic", "embedding", "agents", "bridge")
PATIENCE_S = 180.0
MEMOS = 3


class Platform:
    """`undertone up` on real Kafka and Redis, Prometheus, Alertmanager, and the two receivers of its notifications."""

    def __init__(self, kafka: KafkaServer, redis: RedisServer, folder: Path, exits: ExitStack) -> None:
        self.folder, self.exits = folder, exits
        self.clinicians, self.operators = exits.enter_context(receiving()), exits.enter_context(receiving())
        self.alertmanager = exits.enter_context(AlertmanagerServer(self._routes()))
        first = free_ports(len(ROLES))
        self.prometheus = exits.enter_context(PrometheusServer(self._scrapes(first)))
        self.environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP": kafka.bootstrap,
            "REDIS_URL": redis.url,
            "UNDERTONE_ALERTMANAGER_URL": self.alertmanager.url,
            "UNDERTONE_METRICS_PORT": str(first),
            "UNDERTONE_HOME": str(folder / "home"),
            "UNDERTONE_PARTITIONS": "2",
            "UNDERTONE_ACOUSTIC_PROCESSES": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }

    def _routes(self) -> str:
        """The shipped routes, with addresses, and without the patience of real life."""
        config = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
        for receiver in config["receivers"]:
            url = getattr(self, receiver["name"]).url
            receiver["webhook_configs"] = [{"url": url, "send_resolved": True}]
        config["route"]["group_wait"] = "1s"
        config["route"]["routes"][0]["group_interval"] = "1s"
        return yaml.safe_dump(config)

    def _scrapes(self, first: int) -> str:
        """The shipped rules, and the roles of `up` on the ports that it gives them."""
        shipped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
        targets = [
            {"targets": [f"127.0.0.1:{first + place}"], "labels": {"role": role}} for place, role in enumerate(ROLES)
        ]
        shipped["global"]["scrape_interval"] = "1s"
        shipped["rule_files"] = [str(DEPLOY / "prometheus" / "rules" / "*.yml")]
        shipped["alerting"]["alertmanagers"] = [
            {"static_configs": [{"targets": [self.alertmanager.url.removeprefix("http://")]}]}
        ]
        shipped["scrape_configs"] = [{"job_name": "undertone", "static_configs": targets}]
        return yaml.safe_dump(shipped)

    def start(self) -> None:
        log = self.exits.enter_context((self.folder / "up.log").open("wb"))
        self.up = subprocess.Popen([*self._command(), "up"], env=self.environment, stdout=log, stderr=log)
        self.exits.callback(self._end)

    def _end(self) -> None:
        self.up.terminate()
        try:
            self.up.wait(40)
        except subprocess.TimeoutExpired:
            self.up.kill()
            self.up.wait()

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "streams.cli"]

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command(), *arguments], env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wait_until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            told = (self.folder / "up.log").read_text()[-3000:]
            assert time.monotonic() < deadline, told
            assert self.up.poll() is None, told
            time.sleep(0.2)

    def wait_for(self, expression: str, value: float) -> None:
        """Until Prometheus, which looks every second, has this number for an expression."""

        def seen() -> bool:
            return [float(one["value"][1]) for one in self.prometheus.query(expression)] == [value]

        self.wait_until(seen)

    def child(self, words: str) -> int:
        """Process id of the child of `up` whose command line has these words."""
        for pid in Path(f"/proc/{self.up.pid}/task/{self.up.pid}/children").read_text().split():
            if words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "):
                return int(pid)
        raise AssertionError(f"no child runs {words}")

    async def _send_scores(self, scores: list[RiskScored]) -> None:
        producer = make_producer(Settings.load(kafka_bootstrap=self.environment["KAFKA_BOOTSTRAP"]))
        await producer.start()
        try:
            for score in scores:
                value = Codec().encode(score, f"{topics.SCORED.name}-value")
                await producer.send_and_wait(topics.SCORED.name, value, score.user_id.encode())
        finally:
            await producer.stop()

    def send_scores(self, scores: list[RiskScored]) -> None:
        """Scores onto their topic, as the fusion agent would have put them there over weeks."""
        asyncio.run(self._send_scores(scores))


def free_ports(count: int) -> int:
    """The first of so many free ports in a row."""
    while True:
        with ExitStack() as held:
            one = held.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            first = int(one.getsockname()[1])
            try:
                for port in range(first + 1, first + count):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except (OSError, OverflowError):
                continue
            return first


@pytest.fixture
def platform(kafka: KafkaServer, redis_server: RedisServer, tmp_path: Path) -> Iterator[Platform]:
    Broker(kafka.bootstrap, real=True).empty()
    with ExitStack() as exits:
        yield Platform(kafka, redis_server, tmp_path, exits)


def somebody_who_changes_and_recovers() -> tuple[list[RiskScored], list[RiskScored]]:
    """Weeks of scores up to an alert, and those in which it is resolved, as the drift core itself sees them."""
    rng = np.random.default_rng(5)
    calm, low = rng.normal(-1.0, 0.5, 45), rng.normal(1.5, 0.5, 12)
    changing = [replace(s, user_id="somebody") for s in daily([*map(float, calm), *map(float, low)])]
    back = [float(x) for x in rng.normal(-1.0, 0.5, 40)]
    recovering = [replace(s, user_id="somebody") for s in daily(back, first_day=57)]
    rules = Rules.from_settings(Settings())
    before = follow_in_detail(None, changing, rules)
    after = follow_in_detail(before.state, recovering, rules)
    states = [alert.state for alert in after.alerts]
    assert [alert.state for alert in before.alerts][:1] == [AlertState.RAISED] == states[:1]
    assert (states[-1], states.count(AlertState.RAISED)) == (AlertState.RESOLVED, 1)
    return changing, recovering


def statuses(receiver: Receiver, **labels: str) -> list[str]:
    """Status of every notification about alerts with these labels or annotations, as they came."""
    told = [alert for request in receiver.requests for alert in request.json["alerts"]]
    return [a["status"] for a in told if labels.items() <= {**a["annotations"], **a["labels"]}.items()]


def test_memos_in_alert_out_and_somebody_is_called_when_a_worker_dies(platform: Platform, tmp_path: Path) -> None:
    changing, recovering = somebody_who_changes_and_recovers()
    audio = tmp_path / "memos"
    audio.mkdir()
    for number in range(MEMOS + 1):
        rng = np.random.default_rng(number)
        soundfile.write(audio / f"{number}.wav", speak(random_voice(rng), 5.0, rng)[0], SAMPLING_RATE)
    last = audio / f"{MEMOS}.wav"
    platform.run("topics", "create")
    platform.start()

    # Memos in, metrics scraped.
    platform.wait_for('sum(up{job="undertone"})', len(ROLES))
    platform.run("submit", *(str(audio / f"{n}.wav") for n in range(MEMOS)), "--user", "speaker", "--json")
    platform.wait_for("sum(undertone_scores_total)", MEMOS)
    for stage in ("acoustic", "embedding", "fusion"):
        platform.wait_for(f'sum(undertone_records_out_total{{stage="{stage}"}})', MEMOS)
    platform.wait_for("sum(undertone_lag_records)", 0)

    # The worker dies so that nobody notices: its process is there and answers nothing. A memo waits for it.
    worker = platform.child("worker embedding")
    os.kill(worker, signal.SIGSTOP)
    platform.exits.callback(os.kill, worker, signal.SIGCONT)
    platform.run("submit", str(last), "--user", "speaker", "--json")

    # Meanwhile somebody changes: one alert, told of once; they recover: resolved, told of once.
    platform.send_scores(changing)
    platform.wait_until(lambda: statuses(platform.clinicians, user="somebody"))
    (alert,) = [a for a in platform.alertmanager.alerts() if a["annotations"].get("user") == "somebody"]
    assert (alert["labels"]["alertname"], alert["status"]["state"]) == ("UndertoneRiskDrift", "active")
    platform.wait_for("sum(undertone_episodes_open)", 1)
    platform.send_scores(recovering)
    platform.wait_until(lambda: len(statuses(platform.clinicians, user="somebody")) > 1)
    assert statuses(platform.clinicians, user="somebody") == ["firing", "resolved"]
    assert [a for a in platform.alertmanager.alerts() if a["annotations"].get("user") == "somebody"] == []

    # The operators are called; that two minutes are enough is shown in tests/unit/test_alert_rules.py, on scrape time.
    called: dict[str, Any] = {"alertname": "UndertoneLagHigh", "stage": "embedding"}
    platform.wait_until(lambda: statuses(platform.operators, **called))
    assert statuses(platform.clinicians, **called) == []

    # What a board asks is answered.
    asked = [query for row in OVERVIEW.values() for panel in row for query in panel.queries]
    silent = [q for q in asked if not platform.prometheus.query(q.replace("$__rate_interval", "2m"))]
    unlikely = ("dead_letters_total", "retries_total", "storage_latency")
    assert [query for query in silent if not any(word in query for word in unlikely)] == []
    rules = platform.prometheus.get("/api/v1/rules")["data"]["groups"]
    assert [rule["lastError"] for group in rules for rule in group["rules"] if rule.get("lastError")] == []
