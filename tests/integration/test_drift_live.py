"""Drift as an operator sees it, on a real broker and a real Redis: pictures of a live user, and mutes."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis
from typer.testing import CliRunner, Result

from schemas import topics
from schemas.codec import Codec
from schemas.events import RiskAlert
from schemas.settings import Settings
from schemas.state_keys import DRIFT
from streams.cli.application import app
from streams.drift.agent import DriftAgent
from streams.drift.rules import Rules
from streams.local.embedded import EmbeddedKafka
from tests.json_output import validated
from tests.servers import RedisServer
from tests.unit.streams.drift.test_agent import way_of
from workers.kafka.clients import make_producer
from workers.kafka.producer import Delivery
from workers.kafka.record import Batch, Source
from workers.kafka.topic_reader import follow_alerts
from workers.state.redis_store import RedisStore

CODEC = Codec()


@dataclass(frozen=True, slots=True)
class Live:
    """A broker and a Redis, and the drift agent's hop between them."""

    settings: Settings

    def publish(self, way: Sequence[Source]) -> None:
        """Put scores on their topic and let the hop follow them, a batch of 25 at a time."""
        asyncio.run(self._publish(way))

    async def _publish(self, way: Sequence[Source]) -> None:
        async with RedisStore(self.settings.redis_url or "") as store, make_producer(self.settings) as producer:
            for source in way:
                await producer.send_and_wait(topics.SCORED.name, source.value, key=source.key)
            rules = Rules.from_settings(self.settings)
            hop = DriftAgent(
                rules, self.settings.state_ttl_s, store, Delivery(producer, CODEC, "drift"), lambda: datetime.now(UTC)
            )
            for start in range(0, len(way), 25):
                await hop.process(Batch(way[start : start + 25]))

    def published(self) -> list[RiskAlert]:
        async def alerts() -> list[RiskAlert]:
            return [alert async for alert in follow_alerts(self.settings, CODEC, from_start=True, once=True)]

        return asyncio.run(alerts())

    def undertone(self, *arguments: str) -> Result:
        known = {"KAFKA_BOOTSTRAP": self.settings.kafka_bootstrap, "REDIS_URL": self.settings.redis_url}
        return CliRunner().invoke(app, arguments, env=known | {"COLUMNS": "200"})


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with EmbeddedKafka([topic.name for topic in topics.TOPICS]) as kafka, RedisServer() as redis:
        yield Live(Settings.load(kafka_bootstrap=kafka.bootstrap, redis_url=redis.url))


def test_a_live_user_is_drawn_from_the_topics_and_redis(live: Live, tmp_path: Path) -> None:
    live.publish(way_of("drawn", 60, 45, seed=1))
    picture = tmp_path / "drawn.png"
    told = live.undertone("drift", "plot", "--user", "drawn", "--out", str(picture))
    assert told.exit_code == 0, told.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "days of baseline" in told.stdout
    assert "an open episode" in told.stdout
    raised = [alert for alert in live.published() if alert.user_id == "drawn"]
    assert raised
    assert live.undertone("drift", "plot", "--user", "nobody").exit_code == 1
    with Redis.from_url(live.settings.redis_url or "") as redis:
        (key,) = redis.scan_iter(f"*{DRIFT.key('drawn')}")
        redis.set(key, b"no state")
    told = live.undertone("drift", "plot", "--user", "drawn", "--out", str(picture))
    assert told.exit_code == 0, told.output
    assert "cannot be read" in told.stdout


def test_a_cohort_is_muted_as_it_is_typed(live: Live) -> None:
    for arguments in (
        ("alerts", "mute", "clinic-7-", "--cohort", "--for", "2d", "--reason", "new microphones"),
        ("alerts", "mute", "someone", "--until", (datetime.now(UTC) + timedelta(hours=1)).isoformat()),
    ):
        assert "--even-if-unknown" in live.undertone(*arguments).stderr
        assert live.undertone(*arguments, "--even-if-unknown").exit_code == 0
    live.publish(way_of("clinic-7-a", 40, 30, seed=1) + way_of("clinic-8-a", 40, 30, seed=1))
    assert {alert.user_id for alert in live.published()} >= {"clinic-8-a"}
    assert "clinic-7-a" not in {alert.user_id for alert in live.published()}
    mutes = validated("alerts mutes", live.undertone("alerts", "mutes", "--json").stdout)
    listed = next(mute for mute in mutes if mute["name"] == "clinic-7-")
    assert (listed["scope"], listed["reason"]) == ("cohort", "new microphones")
    assert listed["withheld"] >= 1
    assert live.undertone("alerts", "unmute", "clinic-7-", "--cohort").exit_code == 0
    live.publish(way_of("clinic-7-b", 40, 30, seed=1))
    assert "clinic-7-b" in {alert.user_id for alert in live.published()}
