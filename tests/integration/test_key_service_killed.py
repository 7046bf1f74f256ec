"""A bridge that delivers sealed alerts while the process of the key server is killed, comes back, and hangs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from schemas import topics
from schemas.json_records import to_plain
from schemas.settings import Settings
from streams.local.embedded import EmbeddedKafka
from streams.notify.webhook import Webhook
from tests.bridging import bridging, publish, until
from tests.key_services import KeyServices, accepts
from tests.receivers import receiving
from tests.unit.streams.alerts import episode_of
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.sealing import close_all
from workers.privacy.sources import service_source
from workers.service.health import HEALTH

PATIENCE_S = 60.0
USERS = ("before", "killed", "hanging")

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("UNDERTONE_LONG_TESTS"), reason="half a minute: UNDERTONE_LONG_TESTS=1 runs it"
    ),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@contextmanager
def process(served: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`undertone keys serve`, which takes connections."""
    with log.open("ab") as written:
        command = [sys.executable, "-m", "streams.cli", "keys", "serve"]
        with subprocess.Popen(command, env=served.child_environment(), stdout=written, stderr=written) as running:
            deadline = time.monotonic() + PATIENCE_S
            while not accepts(served):
                assert running.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            try:
                yield running
            finally:
                running.kill()


async def test_a_server_that_is_killed_and_hangs_in_mid_flow_loses_no_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_source, "ANSWER_S", 0.5)
    services, log = KeyServices(tmp_path), tmp_path / "log"
    KeyDirectory.init(services.home)
    directory = KeyDirectory.open(services.home)
    directory.enrol(USERS)
    directory.close()
    episodes = {user: episode_of(user) for user in USERS}
    with EmbeddedKafka([topic.name for topic in topics.TOPICS]) as kafka, receiving() as receiver, ExitStack() as exits:
        own: dict[str, Any] = {"kafka_bootstrap": kafka.bootstrap}
        writing = services.home.model_copy(update=own)
        live = services.asking("bridge", webhook_url=receiver.url, webhook_secret="s" * 32, **own)
        first = exits.enter_context(process(services.served, log))

        def came(user: str) -> list[object]:
            return [each.json for each in list(receiver.requests) if each.json["user_id"] == user]

        async with bridging(live, Webhook(live)):
            await publish(writing, *episodes["before"])
            await until(lambda: len(came("before")) == len(episodes["before"]))

            first.send_signal(signal.SIGKILL)
            await publish(writing, *episodes["killed"])
            await until(lambda: "the key server does not answer" in HEALTH.lacking().get("keys", ""))
            assert came("killed") == []
            second = exits.enter_context(process(services.served, log))
            await until(lambda: len(came("killed")) == len(episodes["killed"]))
            assert "keys" not in HEALTH.lacking()

            second.send_signal(signal.SIGSTOP)
            await publish(writing, *episodes["hanging"])
            await until(lambda: "takes too long" in HEALTH.lacking().get("keys", ""))
            assert came("hanging") == []
            second.send_signal(signal.SIGCONT)
            await until(lambda: len(came("hanging")) == len(episodes["hanging"]))
    for user, episode in episodes.items():
        assert came(user) == [to_plain(step) for step in episode], "each once, in order"
    close_all()
