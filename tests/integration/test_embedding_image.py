"""The image `embedding` has what its worker needs: with its requirements alone a memo is embedded, sealed or not."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from schemas import topics
from schemas.codec import Codec
from schemas.errors import ConfigurationError
from schemas.settings import Settings
from streams.local.embedded import EmbeddedKafka
from streams.local.submit import Submitter, event_of, uri_maker
from tests.audio_files import sndfile, spoken
from tests.installed_alone import hidden, required
from workers.kafka.consumer_lag import Observer
from workers.privacy.sealing import close_all

ROOT = Path(__file__).parent.parent.parent
REQUIREMENTS = ROOT / "deploy" / "requirements" / "embedding.txt"
WITHIN_S = 120

pytest.importorskip("openvino")


def test_it_lacks_what_other_roles_run() -> None:
    assert hidden(REQUIREMENTS) >= {
        "tensorflow",
        "keras",
        "opensmile",
        "faust",
        "transformers",
        "sklearn",
        "matplotlib",
    }
    assert "openvino" in required(REQUIREMENTS)


def test_every_pin_is_that_of_the_other_images() -> None:
    assert pins(REQUIREMENTS)
    assert pins(REQUIREMENTS) <= pins(REQUIREMENTS.with_name("run.txt"))


def pins(requirements: Path) -> set[str]:
    return set(re.findall(r"^[\w.-]+==[^\s;]+", requirements.read_text(), re.MULTILINE))


@pytest.fixture
def memo(tmp_path: Path) -> Path:
    """An audio file in a folder of its own."""
    path = tmp_path / "audio" / "memo.wav"
    path.parent.mkdir()
    path.write_bytes(sndfile(spoken(5.0)))
    return path


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder over HTTP: its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize(("seal", "by_http"), [("off", True), ("on", False)], ids=["by HTTP", "sealed"])
def test_a_worker_with_these_requirements_alone_embeds_a_memo(
    seal: str, by_http: bool, memo: Path, tmp_path: Path
) -> None:
    with EmbeddedKafka(topic.name for topic in topics.TOPICS) as broker, served(memo.parent) as address:
        settings = Settings.load(
            kafka_bootstrap=broker.bootstrap,
            redis_url="redis://127.0.0.1:9",
            home=tmp_path / "home",
            seal=seal,
            audio_prefixes=(memo.parent.as_uri() + "/", address),
        )
        command = [sys.executable, "-m", "tests.installed_alone", str(REQUIREMENTS), "worker", "embedding"]
        environment = {**os.environ, **settings.child_environment()}
        with subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True) as worker:
            try:
                asyncio.run(_embedded(settings, memo, address if by_http else None, worker))
                worker.terminate()
                _, log = worker.communicate(timeout=WITHIN_S)
            finally:
                worker.kill()
    close_all()
    assert worker.returncode == 0, log
    assert "openvino" in log


def test_it_refuses_tensorflow_by_name() -> None:
    command = [sys.executable, "-m", "tests.installed_alone", str(REQUIREMENTS), "worker", "embedding"]
    environment = {**os.environ, "UNDERTONE_ENGINE": "xla", "KAFKA_BOOTSTRAP": "127.0.0.1:9"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == ConfigurationError.exit_code, done.stderr
    assert "UNDERTONE_ENGINE=xla needs tensorflow, which is not installed" in done.stderr
    assert "Traceback" not in done.stderr


async def _embedded(settings: Settings, memo: Path, address: str | None, worker: "subprocess.Popen[str]") -> None:
    """Return when the features of the memo are there."""
    event = event_of(memo, "user-1", None, uri_maker(settings, None))
    if address is not None:
        event = replace(event, audio_uri=f"{address}{memo.name}")
    async with Submitter.open(settings, Codec(), None) as submitter:
        await submitter.send_all([event])
    async with asyncio.timeout(WITHIN_S), Observer(settings) as observer:
        while not (await observer.size(topics.FEATURES.name))[1]:
            assert not (await observer.size(topics.DEAD.name))[1]
            assert worker.poll() is None
            await asyncio.sleep(0.2)
