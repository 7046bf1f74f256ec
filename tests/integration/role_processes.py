"""The production roles as processes: each with its user, its port and its own way to prove who it is."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from deploy.kafka.secured import SecuredKafka
from schemas.metrics import PREFIX
from tests.guarded import access
from tests.otlp import Collector
from tests.receivers import Receiver
from tests.servers import free_port

ROLES = {
    "acoustic": ("worker", "acoustic"),
    "embedding": ("worker", "embedding"),
    "agents": ("agents",),
    "bridge": ("bridge", "webhook"),
}
PATIENCE_S = 180.0


class Roles:
    """The three roles, each with a port and an environment of its own. environments: by role, and by CLI user."""

    def __init__(
        self, environments: Mapping[str, dict[str, str]], folder: Path, collector: Collector, subscriber: Receiver
    ) -> None:
        self.environments, self.folder = environments, folder
        self.collector, self.subscriber = collector, subscriber
        self.ports = {name: free_port() for name in ROLES}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, role: str, *arguments: str) -> str:
        command = [sys.executable, "-m", "streams.cli", *arguments]
        done = subprocess.run(command, env=self.environments[role], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, exits: ExitStack) -> None:
        for name, arguments in ROLES.items():
            log = exits.enter_context((self.folder / f"{name}.log").open("wb"))
            environment = {**self.environments[name], "UNDERTONE_METRICS_PORT": str(self.ports[name])}
            command = [sys.executable, "-m", "tests.loaded", str(self.folder / f"{name}.json"), *arguments]
            self.processes[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def told(self) -> str:
        return "\n".join((self.folder / f"{name}.log").read_text()[-1500:] for name in ROLES)

    def wait_until(self, condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, self.told()
            assert all(process.poll() is None for process in self.processes.values()), self.told()
            time.sleep(0.2)

    def metrics(self, role: str) -> dict[str, float]:
        """Samples with a stage, and those without labels, by name; empty while the role does not serve."""
        samples = [s for f in text_string_to_metric_families(self.asked(role, "/metrics")[1]) for s in f.samples]
        return {f"{s.name} {s.labels.get('stage', '')}".strip(): s.value for s in samples}

    def lag(self, stage: str) -> dict[str, float]:
        """What the agents tell of a stage: its lag over all partitions."""
        families = text_string_to_metric_families(self.asked("agents", "/metrics")[1])
        samples = [s for f in families for s in f.samples if s.labels.get("stage") == stage]
        return {
            kind: sum(s.value for s in samples if s.name == f"{PREFIX}lag_{kind}") for kind in ("records", "seconds")
        }

    def asked(self, role: str, page: str) -> tuple[int, str]:
        """Status and text of a page of a role; status 0 when it does not answer within the time of a probe."""
        try:
            with urlopen(f"http://127.0.0.1:{self.ports[role]}{page}", timeout=3) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (URLError, TimeoutError, ConnectionError):
            return 0, ""

    def lines(self) -> list[dict[str, Any]]:
        """All that the roles have logged."""
        return [json.loads(line) for name in ROLES for line in (self.folder / f"{name}.log").read_text().splitlines()]


def proofs(guarded: SecuredKafka, secrets: Path) -> dict[str, dict[str, str]]:
    """How each role says who it is: every way that there is, by one of them."""
    password = access(guarded, "acoustic")
    (secrets / "undertone_kafka_password").write_text(password.pop("UNDERTONE_KAFKA_PASSWORD"))
    token = secrets / "token"
    token.write_text(guarded.issuer.token("agents", lives_s=3600))
    certificate = guarded.authority.vouch("embedding")
    common = {name: password[f"UNDERTONE_KAFKA_{name}"] for name in ("SECURITY", "CA")}
    bearer = {
        "KAFKA_BOOTSTRAP": guarded.secured,
        **{f"UNDERTONE_KAFKA_{name}": value for name, value in common.items()},
        "UNDERTONE_KAFKA_MECHANISM": "OAUTHBEARER",
    }
    return {
        "topics": access(guarded, "topics", "PLAIN"),
        "submit": access(guarded, "submit", "SCRAM-SHA-256"),
        "acoustic": {**password, "UNDERTONE_SECRETS_DIR": str(secrets)},
        "embedding": {
            "KAFKA_BOOTSTRAP": guarded.mutual,
            "UNDERTONE_KAFKA_SECURITY": "SSL",
            "UNDERTONE_KAFKA_CA": str(guarded.authority.certificate),
            "UNDERTONE_KAFKA_CERTIFICATE": str(certificate.certificate),
            "UNDERTONE_KAFKA_KEY": str(certificate.key),
        },
        "agents": {**bearer, "UNDERTONE_KAFKA_TOKEN_FILE": str(token)},
        "bridge": access(guarded, "bridge"),
        "dead-letters": access(guarded, "dead-letters"),
        "views": access(guarded, "views"),
        "alerts": {
            **bearer,
            "UNDERTONE_KAFKA_CLIENT_ID": "alerts",
            "UNDERTONE_KAFKA_CLIENT_SECRET": "secret of a client",
        },
    }
