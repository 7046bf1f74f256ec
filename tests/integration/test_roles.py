"""The production roles as images run them: processes of their own, beside a real Kafka and a real Redis."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import numpy as np
import pytest
import soundfile
from prometheus_client.parser import text_string_to_metric_families

from deploy.kafka.server import KafkaServer
from schemas import topics
from schemas.codec import Codec
from schemas.events import RiskScored
from schemas.metrics import METRICS, PREFIX
from schemas.settings import Settings
from streams.reading import follow
from tests.servers import Broker, RedisServer
from workers.memo import SAMPLING_RATE
from workers.training.synthetic import random_voice
from workers.training.voice import speak

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ROLES = {"acoustic": ("worker", "acoustic"), "embedding": ("worker", "embedding"), "agents": ("agents",)}
PATIENCE_S = 120.0
MEMOS = 3


class Roles:
    """The three roles, each with a port for its metrics."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.environment, self.folder = environment, folder
        self.ports = {name: free_port() for name in ROLES}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "streams.cli", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, exits: ExitStack) -> None:
        for name, arguments in ROLES.items():
            log = exits.enter_context((self.folder / f"{name}.log").open("wb"))
            environment = {**self.environment, "UNDERTONE_METRICS_PORT": str(self.ports[name])}
            command = [sys.executable, "-m", "streams.cli", *arguments]
            self.processes[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def told(self) -> str:
        return "\n".join((self.folder / f"{name}.log").read_text()[-1500:] for name in ROLES)

    def wait_until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self.told()
            assert all(process.poll() is None for process in self.processes.values()), self.told()
            time.sleep(0.2)

    def metrics(self, role: str) -> dict[str, float]:
        """Samples with a stage, and those without labels, by name; empty while the role does not serve."""
        try:
            with urlopen(f"http://127.0.0.1:{self.ports[role]}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except URLError:
            return {}
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return {f"{s.name} {s.labels.get('stage', '')}".strip(): s.value for s in samples}

    def asked(self, role: str, page: str) -> tuple[int, str]:
        """Status and text of a page of a role; status 0 when it does not answer within the time of a probe."""
        try:
            with urlopen(f"http://127.0.0.1:{self.ports[role]}{page}", timeout=3) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (URLError, TimeoutError):
            return 0, ""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def roles(kafka: KafkaServer, redis_server: RedisServer, tmp_path: Path) -> Iterator[Roles]:
    Broker(kafka.bootstrap, real=True).empty()
    audio = tmp_path / "audio"
    audio.mkdir()
    for number in range(MEMOS):
        rng = np.random.default_rng(number)
        soundfile.write(audio / f"memo-{number}.wav", speak(random_voice(rng), 5.0, rng)[0], SAMPLING_RATE)
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP": kafka.bootstrap,
        "REDIS_URL": redis_server.url,
        "UNDERTONE_AUDIO_PREFIXES": f"file://{audio}/",
        "UNDERTONE_HOME": str(tmp_path / "home"),
        "UNDERTONE_PARTITIONS": "2",
        "UNDERTONE_ACOUSTIC_PROCESSES": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    roles = Roles(environment, tmp_path)
    with ExitStack() as exits:
        try:
            yield roles
        finally:
            for process in roles.processes.values():
                process.kill()
                process.wait()
            exits.close()


def scores(settings: Settings) -> list[RiskScored]:
    async def read() -> list[RiskScored]:
        return [s async for s in follow(settings, Codec(), topics.SCORED, RiskScored, from_start=True, once=True)]

    return asyncio.run(read())


def test_production_roles_score_memos_tell_prometheus_and_stop_in_time(
    roles: Roles, kafka: KafkaServer, tmp_path: Path
) -> None:
    created = roles.run("topics", "create").splitlines()
    assert created == [f"{topic.name}: created" for topic in topics.TOPICS]
    settings = Settings.load(kafka_bootstrap=kafka.bootstrap)
    with ExitStack() as exits:
        roles.start(exits)
        roles.wait_until(lambda: all(roles.asked(role, "/healthz")[0] == 200 for role in ROLES))
        roles.run("submit", str(tmp_path / "audio"), "--user", "user-1", "--json")
        roles.wait_until(lambda: len(scores(settings)) == MEMOS)
        assert {score.user_id for score in scores(settings)} == {"user-1"}
        roles.wait_until(lambda: all(roles.asked(role, "/readyz")[0] == 200 for role in ROLES))
        for role in ("acoustic", "embedding"):
            roles.wait_until(lambda role=role: roles.metrics("agents").get(f"{PREFIX}lag_records {role}") == 0)  # type: ignore[misc]
            told = roles.metrics(role)
            assert told[f"{PREFIX}records_out_total {role}"] == MEMOS
            assert told[f"{PREFIX}audio_seconds_total {role}"] == pytest.approx(5.0 * MEMOS, abs=MEMOS)
            assert told[f"{PREFIX}upload_latency_seconds_count {role}"] == MEMOS
        roles.wait_until(lambda: roles.metrics("agents").get(f"{PREFIX}records_in_total drift") == MEMOS)
        agents = roles.metrics("agents")
        assert agents[f"{PREFIX}build_info"] == 1
        assert agents[f"{PREFIX}records_out_total fusion"] == MEMOS
        roles.wait_until(lambda: roles.metrics("agents").get(f"{PREFIX}lag_records fusion") == 0)
        assert agents[f"{PREFIX}upload_latency_seconds_count drift"] == MEMOS
        assert agents[f"{PREFIX}partitions_assigned fusion"] == 2
        assert agents[f"{PREFIX}bundle_info"] == 1
        assert agents[f"{PREFIX}redis_latency_seconds_count"] > 0
        names = {name.split(" ")[0].removesuffix("_total") for name in agents if name.startswith(PREFIX)}
        known = {metric.name.removesuffix("_total") for metric in METRICS}
        assert {next((k for k in known if name.startswith(k)), None) for name in names} <= known
        secrets = ["user-1", str(tmp_path / "audio"), *(score.memo_id for score in scores(settings))]
        began = time.monotonic()
        for process in roles.processes.values():
            process.terminate()
        assert [process.wait(30) for process in roles.processes.values()] == [0, 0, 0], roles.told()
        assert time.monotonic() - began < 10
        logs = "".join((tmp_path / f"{name}.log").read_text() for name in ROLES)
        assert not [secret for secret in secrets if secret in logs]
