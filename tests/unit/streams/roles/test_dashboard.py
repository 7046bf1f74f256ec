"""The dashboard as a role: it serves while it runs, and ends when it is asked to."""

import asyncio
import logging
import re
from pathlib import Path

import httpx
import pytest

from schemas import topics
from schemas.errors import ConfigurationError
from schemas.settings import Settings
from streams.local.embedded import EmbeddedKafka
from streams.roles.dashboard import run_dashboard


async def test_it_serves_until_it_is_asked_to_stop(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.INFO, "streams.roles.dashboard")
    stop = asyncio.Event()
    with EmbeddedKafka([topics.UPLOADED.name]) as kafka:
        redis = "redis://127.0.0.1:1"
        settings = Settings(kafka_bootstrap=kafka.bootstrap, redis_url=redis, home=tmp_path, dashboard_port=0)
        running = asyncio.create_task(run_dashboard(settings, stop))
        while not (ready := re.search(r"ready, port=(\d+)", caplog.text)):
            assert not running.done(), running
            await asyncio.sleep(0.01)
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{ready[1]}/api/v1/openapi.json")
        assert answer.json()["info"]["title"] == "Undertone"
        stop.set()
        await running


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "dashboard.example"])
async def test_without_sign_in_no_other_machine_may_reach_it(host: str) -> None:
    with pytest.raises(ConfigurationError, match="UNDERTONE_DASHBOARD_HOST"):
        await run_dashboard(Settings(dashboard_host=host, kafka_bootstrap="127.0.0.1:1"), asyncio.Event())
