"""What a worker tells Prometheus while it works on a real broker."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from schemas import topics
from schemas.settings import Settings
from tests.integration.test_worker import CheapStage, caught_up, event, upload, working
from tests.servers import Broker
from workers.instruments import REGISTRY

STAGE = {"stage": "acoustic"}


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"undertone_{name}", {**STAGE, **labels}) or 0.0


@pytest.fixture
def settings(broker: Broker) -> Settings:
    broker.create(*(topic.name for topic in topics.TOPICS))
    return Settings.load(kafka_bootstrap=broker.bootstrap, session_timeout_s=6.0, batch_audio_s=10.0)


def lags(kind: str) -> list[float]:
    topic = topics.UPLOADED.name
    found = [
        REGISTRY.get_sample_value(f"undertone_lag_{kind}", {**STAGE, "topic": topic, "partition": str(n)})
        for n in range(4)
    ]
    return [lag for lag in found if lag is not None]


async def test_a_worker_tells_what_it_did_and_how_late(settings: Settings) -> None:
    counted = ("records_in_total", "records_out_total", "records_failed_total", "audio_seconds_total")
    before = {name: sample(name) for name in counted}
    observed = {n: sample(f"{n}_latency_seconds_sum") for n in ("upload", "recording")}
    committed = sample("commits_total", outcome="ok")
    now = datetime.now(UTC)
    memos = [
        replace(event(f"memo-{n}"), uploaded_at=now - timedelta(seconds=30), recorded_at=now - timedelta(days=1))
        for n in range(10)
    ]
    await upload(settings, *memos, b"garbage")
    async with working(settings, CheapStage()):
        await caught_up(settings)
        assert sample("partitions_assigned") == 4
    assert {name: sample(name) - before[name] for name in counted} == {
        "records_in_total": 11,
        "records_out_total": 11,
        "records_failed_total": 1,
        "audio_seconds_total": 10,
    }
    assert sample("upload_latency_seconds_sum") - observed["upload"] == pytest.approx(300, abs=120)
    assert sample("recording_latency_seconds_sum") - observed["recording"] == pytest.approx(864_000, rel=0.01)
    assert sample("commits_total", outcome="ok") > committed
    assert abs(sample("last_progress_timestamp_seconds") - time.time()) < 10
    assert lags("records")
    assert set(lags("records")) == set(lags("seconds")) == {0.0}
    assert sample("dead_letter_ratio") == pytest.approx(1 / 11)


async def test_a_worker_that_cannot_keep_up_tells_how_far_behind_it_is(settings: Settings) -> None:
    slow = settings.model_copy(update={"batch_audio_s": 1.0})
    await upload(settings, *(event(f"memo-{n}") for n in range(60)))
    behind: list[float] = []
    async with working(slow, CheapStage(lambda _: time.sleep(0.05))):
        while not behind:
            await asyncio.sleep(0.02)
            behind = [lag for lag in lags("records") if lag]
        assert max(lags("seconds")) > 0
        await caught_up(settings)
    assert max(behind) <= 60
