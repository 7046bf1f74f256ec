"""What a worker tells Prometheus while it works on a real broker."""

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from schemas import topics
from schemas.settings import Settings
from streams.agents.lag_exporter import LagExporter, forget
from tests import samples
from tests.integration.test_worker import CheapStage, caught_up, event, upload, working
from tests.servers import Broker
from workers.audio.memo import Memo
from workers.kafka.consumer_lag import Observer
from workers.service.prometheus import REGISTRY

STAGE = {"stage": "acoustic"}


def sample(name: str, **labels: str) -> float:
    return samples.sample(name, **STAGE, **labels)


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
    assert sample("dead_letter_ratio") == pytest.approx(1 / 11)


async def looked(settings: Settings) -> None:
    """Lag as an agents' process would tell it now."""
    async with Observer(settings) as observer:
        await LagExporter(settings).look(observer)


async def test_lag_is_told_of_workers_that_are_dead_stuck_or_done(settings: Settings) -> None:
    long_ago = int((time.time() - 600) * 1000)
    await upload(settings, *(event(f"memo-{n}") for n in range(60)), timestamp_ms=long_ago)
    await looked(settings)  # no worker ever ran
    assert sum(lags("records")) == 60
    assert 600 <= max(lags("seconds")) < 660

    begun, unblock = threading.Event(), threading.Event()

    def stuck(_: Sequence[Memo]) -> None:
        begun.set()
        unblock.wait(30)

    async with working(settings, CheapStage(stuck)):
        await asyncio.to_thread(begun.wait)
        await looked(settings)
        assert sum(lags("records")) == 60
        unblock.set()
        await caught_up(settings)
        await looked(settings)
        assert set(lags("records")) == set(lags("seconds")) == {0.0}
    await upload(settings, event("later"))
    await looked(settings)  # the worker is gone; its old records are no part of the lag in seconds
    assert sum(lags("records")) == 1
    assert max(lags("seconds")) < 60
    assert abs((REGISTRY.get_sample_value("undertone_lag_observed_timestamp_seconds") or 0) - time.time()) < 30


async def test_a_lag_that_is_not_known_is_not_told(settings: Settings) -> None:
    await upload(settings, event("memo"))
    await looked(settings)
    assert lags("records")
    forget()
    assert lags("records") == lags("seconds") == []
