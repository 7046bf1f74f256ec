"""Real Prometheus and Alertmanager for tests, each in a folder of its own that goes with it.

Debian's packages `prometheus` and `prometheus-alertmanager` bring them; `make servers` installs them where it can.
"""

import json
import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from deploy.kafka.server import dies_with_parent
from tests.servers import required

START_S = 30.0
BRING = "`make servers` installs it from Debian's packages, or install prometheus and prometheus-alertmanager"


def program(*names: str) -> str:
    """Path of the first of these that is here; skips the test, or fails it when UNDERTONE_REQUIRE says `monitoring`."""
    for name in names:
        if found := shutil.which(name):
            return found
    if required("monitoring"):
        pytest.fail(f"UNDERTONE_REQUIRE names monitoring, and there is no {names[0]}: {BRING}")
    pytest.skip(f"no {names[0]} here: {BRING}")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Server(ABC):
    """A server with an HTTP port and data in a folder; it can be killed and started again with its data."""

    ready = "/-/ready"

    def __init__(self, configuration: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="undertone-monitoring-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (self.folder / "config.yml").write_text(configuration)
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it, its folder and port included."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._remove()

    def _remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start and wait until it is ready."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*dies_with_parent(), *self.command()], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_S
        while not self._is_ready():
            told = (self.folder / "log").read_text()[-2000:]
            assert self._process.poll() is None, told
            assert time.monotonic() < deadline, told
            time.sleep(0.05)

    def stop(self) -> None:
        """End it in good order; its data stays."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _is_ready(self) -> bool:
        try:
            with urlopen(self.url + self.ready, timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def get(self, path: str, **query: str) -> Any:
        """The answer to a GET, read as JSON."""
        with urlopen(f"{self.url}{path}?{urlencode(query)}", timeout=10) as answer:
            return json.load(answer)


class AlertmanagerServer(Server):
    """Alertmanager alone, no cluster."""

    def command(self) -> list[str]:
        return [
            program("prometheus-alertmanager", "alertmanager"),
            f"--config.file={self.folder}/config.yml",
            f"--storage.path={self.folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
            "--data.retention=2400h",
        ]

    def alerts(self) -> list[dict[str, Any]]:
        """What fires now."""
        found: list[dict[str, Any]] = self.get("/api/v2/alerts")
        return found


class PrometheusServer(Server):
    """Prometheus with a given configuration."""

    def command(self) -> list[str]:
        return [
            program("prometheus"),
            f"--config.file={self.folder}/config.yml",
            f"--storage.tsdb.path={self.folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The vector that an expression gives now."""
        answer = self.get("/api/v1/query", query=expression)
        assert answer["status"] == "success", answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found
