"""What the routes share, opened against a broker."""

import asyncio
from pathlib import Path

import pytest

from schemas import topics
from schemas.settings import Settings
from streams.api import services as module
from streams.api.live import LiveEvents
from streams.api.services import Services
from streams.local.embedded import EmbeddedKafka


async def test_services_are_connected_while_they_are_open(tmp_path: Path) -> None:
    with EmbeddedKafka([topics.UPLOADED.name]) as kafka:
        # Redis is asked when it is needed.
        settings = Settings(kafka_bootstrap=kafka.bootstrap, redis_url="redis://127.0.0.1:1", home=tmp_path)
        async with Services.open(settings) as services:
            assert not services.closing.is_set()
            sent = await services.producer.send_and_wait(topics.UPLOADED.name, b"value", b"key")
    assert sent.offset == 0


async def test_live_events_go_on_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures, again = [RuntimeError("a defect")], asyncio.Event()

    async def run(_: LiveEvents) -> None:
        if failures:
            raise failures.pop()
        again.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(LiveEvents, "run", run)
    monkeypatch.setattr(module, "AGAIN_S", 0.0)
    with EmbeddedKafka([topics.UPLOADED.name]) as kafka:
        settings = Settings(kafka_bootstrap=kafka.bootstrap, redis_url="redis://127.0.0.1:1", home=tmp_path)
        async with Services.open(settings):
            await asyncio.wait_for(again.wait(), 20)
