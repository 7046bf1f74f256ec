"""Lag of stages: from one look, from several, and while the broker does not answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from schemas.pipeline import HISTORY_STAGES, STAGES
from schemas.settings import Settings
from streams.web.system.stage_lag import Health, Positions, Sample, StageLags, lags_of, sampled


def sample(at_s: float, position: int, records: int) -> Sample:
    return Sample(at_s, {"drift": position}, {"drift": records}, {"drift": 4.0})


@pytest.mark.parametrize(
    ("samples", "health", "per_minute"),
    [
        ([sample(0, 5, 0)], Health.CURRENT, None),
        ([sample(0, 5, 3)], Health.WAITING, None),
        ([sample(0, 5, 3), sample(30, 65, 3)], Health.READING, 120.0),
        ([sample(0, 5, 3), sample(200, 205, 3)], Health.READING, 60.0),
        ([sample(0, 5, 3), sample(30, 5, 3)], Health.STOPPED, 0.0),
        ([sample(0, 1, 3), sample(30, 5, 3), sample(60, 5, 3)], Health.STOPPED, 4.0),
    ],
)
def test_a_stage_is_judged_by_whether_it_reads_what_waits(
    samples: list[Sample], health: Health, per_minute: float | None
) -> None:
    (found,) = lags_of(samples)
    assert (found.health, found.per_minute) == (health, per_minute)
    assert found.behind_s == 4.0


class Broker:
    """Two partitions; the second one has two records waiting, the oldest of them written at 90."""

    def __init__(self) -> None:
        self.looks = 0

    async def waiting(self, group: str, topic: str) -> dict[TopicPartition, tuple[int, int]]:
        self.looks += 1
        return {TopicPartition(topic, 0): (7, 0), TopicPartition(topic, 1): (3, 2)}

    async def written_at(self, at: TopicPartition, offset: int) -> float | None:
        assert (at.partition, offset) == (1, 3)
        return 90.0


async def test_a_look_sums_partitions_and_takes_the_oldest_record() -> None:
    found = await sampled(Broker(), STAGES[:1], 100.0)
    assert found == Sample(100.0, {"acoustic": 10}, {"acoustic": 2}, {"acoustic": 10.0})


async def test_stages_of_one_process_count_together() -> None:
    found = await sampled(Broker(), HISTORY_STAGES[:2], 100.0)
    assert found == Sample(100.0, {"history": 20}, {"history": 4}, {"history": 10.0})


async def test_many_looks_within_some_seconds_ask_the_broker_once() -> None:
    broker = Broker()

    @asynccontextmanager
    async def observing(settings: Settings) -> AsyncIterator[Positions]:
        yield broker

    lags = StageLags(Settings(), observing)
    first, second = await lags.lags(), await lags.lags()
    assert first == second
    assert first is not None
    assert [lag.stage for lag in first] == list(dict.fromkeys(stage.name for stage in STAGES))
    assert broker.looks == len(STAGES)


async def test_while_the_broker_does_not_answer_the_lag_is_unknown() -> None:
    @asynccontextmanager
    async def observing(settings: Settings) -> AsyncIterator[Positions]:
        raise KafkaConnectionError
        yield Broker()

    assert await StageLags(Settings(), observing).lags() is None
