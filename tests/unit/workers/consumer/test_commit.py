"""Commits: only what is finished, on partitions that are ours, again after a failure."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaConnectionError,
    TopicAuthorizationFailedError,
)

from tests.samples import sample
from workers.consumer import commit
from workers.consumer.commit import COMMIT_INTERVAL_S, Committer
from workers.consumer.offset_tracker import OffsetTracker

FIRST, SECOND = TopicPartition("memos.uploaded", 0), TopicPartition("memos.uploaded", 1)


@dataclass
class Consumer:
    """Takes commits; those in `errors` fail, one after the other."""

    errors: list[Exception] = field(default_factory=list)
    commits: list[dict[TopicPartition, int]] = field(default_factory=list)

    async def commit(self, positions: dict[TopicPartition, int]) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.commits.append(dict(positions))


def fetched(committer: Committer, partition: TopicPartition, *offsets: int) -> OffsetTracker:
    tracker = committer.started(partition, offsets)
    assert tracker is not None
    return tracker


def counted(outcome: str) -> float:
    return sample("commits_total", stage="test", outcome=outcome)


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


@pytest.fixture
def committer(consumer: Consumer) -> Committer:
    """Of a consumer that has both partitions."""
    committer = Committer(consumer, "test")
    committer.assigned([FIRST, SECOND])
    return committer


async def test_only_what_is_finished_from_the_start_on_is_committed(committer: Committer, consumer: Consumer) -> None:
    first, second = fetched(committer, FIRST, 5, 6, 7), fetched(committer, SECOND, 0)
    first.finished(5)
    first.finished(7)
    await committer.commit()
    assert consumer.commits == [{FIRST: 6}]
    first.finished(6)
    second.finished(0)
    await committer.commit()
    assert consumer.commits[1:] == [{FIRST: 8, SECOND: 1}]


async def test_nothing_new_asks_the_broker_for_nothing(committer: Committer, consumer: Consumer) -> None:
    before = counted("ok")
    await committer.commit()
    fetched(committer, FIRST, 5).finished(5)
    await committer.commit()
    await committer.commit()
    assert consumer.commits == [{FIRST: 6}]
    assert counted("ok") == before + 1


def test_records_under_way_are_those_that_hold_a_position_back(committer: Committer) -> None:
    first = fetched(committer, FIRST, 5, 6)
    fetched(committer, SECOND, 9)
    first.finished(6)
    assert committer.under_way == 3
    first.finished(5)
    assert committer.under_way == 1


async def test_a_partition_that_was_taken_away_is_not_committed(committer: Committer, consumer: Consumer) -> None:
    lost, kept = fetched(committer, FIRST, 5), fetched(committer, SECOND, 0)
    committer.revoked([FIRST])
    lost.finished(5)
    kept.finished(0)
    await committer.commit()
    assert consumer.commits == [{SECOND: 1}]
    assert committer.started(FIRST, [6]) is None
    committer.revoked([FIRST])


async def test_a_partition_that_comes_back_starts_from_what_was_committed(
    committer: Committer, consumer: Consumer
) -> None:
    fetched(committer, FIRST, 5, 6)
    committer.revoked([FIRST])
    committer.assigned([FIRST])
    fetched(committer, FIRST, 5).finished(5)
    await committer.commit()
    assert consumer.commits == [{FIRST: 6}]


@pytest.mark.parametrize("error", [CommitFailedError(), IllegalStateError(), KafkaConnectionError("away")])
async def test_a_commit_that_failed_stays_due(committer: Committer, consumer: Consumer, error: Exception) -> None:
    before = counted("failed")
    consumer.errors.append(error)
    fetched(committer, FIRST, 5).finished(5)
    await committer.commit()
    assert (consumer.commits, counted("failed")) == ([], before + 1)
    await committer.commit()
    assert consumer.commits == [{FIRST: 6}]


@pytest.mark.parametrize("error", [TopicAuthorizationFailedError("memos.uploaded"), ZeroDivisionError()])
async def test_what_the_broker_refuses_is_raised(committer: Committer, consumer: Consumer, error: Exception) -> None:
    consumer.errors.append(error)
    fetched(committer, FIRST, 5).finished(5)
    with pytest.raises(type(error)):
        await committer.commit()


async def test_commits_in_time_are_half_a_second_apart(
    committer: Committer, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(commit, "time", SimpleNamespace(monotonic=lambda: now))
    tracker = fetched(committer, FIRST, 0, 1, 2)
    for offset, passed_s in ((0, 0.0), (1, 0.9 * COMMIT_INTERVAL_S), (2, 0.2 * COMMIT_INTERVAL_S)):
        now += passed_s
        tracker.finished(offset)
        await committer.commit_in_time()
    assert consumer.commits == [{FIRST: 1}, {FIRST: 3}]
