"""A bridge as a process of its own: what it has loaded by the end of its life, and how much memory it takes."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from schemas import topics
from schemas.settings import Settings
from streams.local.embedded import EmbeddedKafka
from tests.bridging import delivered, publish
from tests.loaded import BRIDGE_MB, FOREIGN, Loaded
from tests.receivers import receiving
from tests.unit.streams.alerts import episode_of

PATIENCE_S = 60.0
ROOT = Path(__file__).parent.parent.parent


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_bridge_stays_light_while_it_delivers(tmp_path: Path) -> None:
    alerts = episode_of()
    with receiving() as receiver, EmbeddedKafka(topic.name for topic in topics.TOPICS) as broker:
        settings = Settings.load(
            kafka_bootstrap=broker.bootstrap,
            redis_url="redis://127.0.0.1:9",
            webhook_url=receiver.url,
            webhook_secret="a secret of twenty-four bytes",
        )
        asyncio.run(publish(settings, *alerts))
        command = [sys.executable, "-m", "tests.loaded", str(tmp_path / "loaded.json"), "bridge", "webhook"]
        with subprocess.Popen(command, env=settings.child_environment(), cwd=ROOT) as bridge:
            try:
                asyncio.run(delivered(settings, "webhook"))
                bridge.terminate()
                assert bridge.wait(PATIENCE_S) == 0
            finally:
                bridge.kill()
    assert [request.json["alert_id"] for request in receiver.requests] == [alert.alert_id for alert in alerts]
    loaded = Loaded.read(tmp_path / "loaded.json")
    assert loaded.modules & FOREIGN["bridge"] == set()
    assert loaded.resident_mb <= BRIDGE_MB, f"{loaded.resident_mb:.0f} MB"
