"""A worker that is away for longer than a timer: every memo gets its score all the same, on a broker and a Redis."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from redis import Redis
from typer.testing import CliRunner

from schemas import topics
from schemas.events import Band, MemoFeatures, MemoUploaded, Modality, RiskScored
from schemas.pipeline import ACOUSTIC, AGENTS_GROUP, EMBEDDING
from schemas.settings import Settings
from streams.cli.application import app
from streams.roles.agents import _run_agents
from tests.integration.test_worker import CODEC, CheapStage, everything, upload, working
from tests.json_output import validated
from tests.servers import Broker, RedisServer
from tests.unit.streams.mortal_world import CountingScorer
from workers.audio.memo import Memo
from workers.consumer.stage import Outcome
from workers.kafka.consumer_lag import Observer
from workers.scoring.scorer import Scorer
from workers.service import prometheus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MEMOS = 24
TIMEOUT_S = 1.0


class EmbeddingStage(CheapStage):
    """The other worker."""

    name = "embedding"

    def process(self, batch: Sequence[Memo]) -> Sequence[Outcome[MemoFeatures]]:
        outcomes = super().process(batch)
        return [
            [replace(each, modality=Modality.EMBEDDING) for each in cast("list[MemoFeatures]", o)] for o in outcomes
        ]


@pytest.fixture
def settings(broker: Broker, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    broker.create(*(topic.name for topic in topics.TOPICS))
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    monkeypatch.setenv("KAFKA_BOOTSTRAP", broker.bootstrap)
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    return Settings.load(join_timeout_s=TIMEOUT_S, session_timeout_s=6.0, stop_deadline_s=5.0)


@asynccontextmanager
async def agents(settings: Settings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(_run_agents(settings, CODEC, cast("Scorer", CountingScorer()), stop))
    try:
        yield
        assert not running.done(), running
    finally:
        stop.set()
        await running


def memos() -> list[MemoUploaded]:
    """One memo a day of each of a few users, all of whom recorded within the reorder window."""
    now = datetime.now(UTC)
    return [
        MemoUploaded(f"m{n}", f"user-{n % 5}", now - timedelta(hours=MEMOS - n), now, "memory://a")
        for n in range(MEMOS)
    ]


async def until(settings: Settings, most: str, count: int) -> list[RiskScored]:
    """All scores, once so many memos have a full one (`low`) or an indeterminate one."""
    while True:
        scores: list[RiskScored] = await everything(settings, topics.SCORED)
        if len({(s.user_id, s.memo_id) for s in scores if s.band == most}) >= count:
            return scores
        await asyncio.sleep(0.2)


async def waiting(settings: Settings) -> None:
    """Wait until every join has been open for several timeouts."""
    sample = prometheus.JOIN_OLDEST.collect
    while next(iter(sample())).samples[0].value < 8 * TIMEOUT_S:
        await asyncio.sleep(0.2)


async def followed(settings: Settings) -> None:
    """Wait until the drift agent has read every score."""
    async with Observer(settings) as observer:
        while await observer.backlog(AGENTS_GROUP, topics.SCORED.name):
            await asyncio.sleep(0.2)


def drift_updates(outcome: str) -> float:
    return float(prometheus.DRIFT_UPDATES.labels(outcome=outcome)._value.get())


async def test_a_worker_away_for_longer_than_the_timeout_costs_no_score(settings: Settings) -> None:
    async with agents(settings), working(settings, CheapStage()):
        await upload(settings, *memos())
        await waiting(settings)
        assert await everything(settings, topics.SCORED) == []
        async with working(settings, EmbeddingStage(), owns_input=False):
            scores = await until(settings, Band.LOW, MEMOS)
    assert Counter(s.memo_id for s in scores) == Counter(f"m{n}" for n in range(MEMOS))


async def rescore(*arguments: str) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, app, ["rescore", "--since", "1h", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


async def test_memos_that_were_given_up_are_scored_again_and_followed(settings: Settings) -> None:
    """A worker commits uploads without a part for any of them, as after a wrong setting."""
    blind = settings.model_copy(update={"modalities": (Modality.ACOUSTIC,)})
    charted = drift_updates("charted")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(agents(settings))
        await stack.enter_async_context(working(settings, CheapStage()))
        async with working(blind, EmbeddingStage(), owns_input=False):
            await upload(settings, *memos())
            given_up = await until(settings, Band.INDETERMINATE, MEMOS)
        assert {s.reasons for s in given_up} == {("missing:embedding",)}
        assert await rescore("--dry-run") == f"{MEMOS} memos would be resubmitted\n"
        (told,) = validated("rescore", await rescore("--dry-run", "--json"))
        assert (told["dry_run"], told["resubmitted"]) == (True, MEMOS)
        assert len(await everything(settings, topics.UPLOADED)) == MEMOS

        assert await rescore() == f"{MEMOS} memos resubmitted\n"
        left = f"0 memos resubmitted\n{MEMOS} left alone: a worker has yet to process their uploads\n"
        assert await rescore() == left
        async with working(settings, EmbeddingStage(), owns_input=False):
            scores = await until(settings, Band.LOW, MEMOS)
            await followed(settings)
            assert await rescore() == "0 memos resubmitted\n"
    assert len(scores) == len({s.score_id for s in scores}) == 2 * MEMOS
    assert drift_updates("charted") - charted == MEMOS
    async with Observer(settings) as observer:
        for stage in (ACOUSTIC, EMBEDDING):
            assert await observer.backlog(stage.group, topics.UPLOADED.name) == 0
