"""Commits: only what is finished, on partitions that are ours, again after a failure."""

import asyncio
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
from aiokafka.structs import OffsetAndMetadata

from tests.samples import sample
from workers.consumer import commit
from workers.consumer.attempts import DEADLY, GROUP
from workers.consumer.commit import COMMIT_INTERVAL_S, Committer
from workers.consumer.offset_tracker import OffsetTracker

FIRST, SECOND = TopicPartition("memos.uploaded", 0), TopicPartition("memos.uploaded", 1)


@dataclass
class Consumer:
    """Takes commits; those in `errors` fail, one after the other."""

    errors: list[Exception] = field(default_factory=list)
    commits: list[dict[TopicPartition, int]] = field(default_factory=list)
    metadata: dict[TopicPartition, OffsetAndMetadata] = field(default_factory=dict)
    positions: dict[TopicPartition, int] = field(default_factory=dict)

    async def commit(self, positions: dict[TopicPartition, OffsetAndMetadata]) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.commits.append({partition: each.offset for partition, each in positions.items()})
        self.metadata |= positions

    async def fetch_committed_offsets(
        self, partitions: list[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        return {partition: self.metadata[partition] for partition in partitions if partition in self.metadata}

    async def position(self, partition: TopicPartition) -> int:
        if partition not in self.positions:
            await asyncio.sleep(3600)
        return self.positions[partition]

    @property
    def _coordinator(self) -> "Consumer":
        return self


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


async def test_the_records_of_a_process_that_died_are_few_at_once_until_they_are_finished(consumer: Consumer) -> None:
    died, after = Committer(consumer, "test"), Committer(consumer, "test")
    died.assigned([FIRST])
    await died.recall()
    assert died.at_once() is None
    fetched(died, FIRST, 5, 6, 7)
    await died.mark([FIRST])
    after.assigned([FIRST])
    await after.recall()
    assert after.at_once() == GROUP
    tracker = fetched(after, FIRST, 5, 6, 7)
    for offset in (5, 6, 7):
        assert after.at_once() == GROUP
        tracker.finished(offset)
    assert after.at_once() is None


async def test_a_process_that_ends_leaves_no_mark(consumer: Consumer) -> None:
    ended, after = Committer(consumer, "test"), Committer(consumer, "test")
    ended.assigned([FIRST])
    await ended.recall()
    fetched(ended, FIRST, 5, 6, 7)
    await ended.mark([FIRST])
    await ended.release()
    assert consumer.commits[-1] == {FIRST: 5}
    after.assigned([FIRST])
    await after.recall()
    assert after.at_once() is None


async def test_only_what_a_process_worked_on_when_it_died_is_suspected_more(consumer: Consumer) -> None:
    for deaths in range(1, DEADLY + 1):
        committer = Committer(consumer, "test")
        committer.assigned([FIRST, SECOND])
        await committer.recall()
        partitions = [FIRST, SECOND] if deaths == 1 else [FIRST]
        for partition in partitions:
            fetched(committer, partition, 5)
        await committer.mark(partitions)
    last = Committer(consumer, "test")
    last.assigned([FIRST, SECOND])
    await last.recall()
    assert last.condemns(FIRST, 5)
    assert not last.condemns(SECOND, 5)


async def test_what_was_finished_before_the_record_that_kills_is_not_suspected(consumer: Consumer) -> None:
    """One at a time, but not yet committed: without a commit before the next record, both would be condemned."""
    for _ in range(DEADLY - 1):
        committer = Committer(consumer, "test")
        committer.assigned([FIRST, SECOND])
        await committer.recall()
        fetched(committer, FIRST, 5)
        fetched(committer, SECOND, 8)
        await committer.mark([FIRST, SECOND])
    last = Committer(consumer, "test")
    last.assigned([FIRST, SECOND])
    await last.recall()
    tracker = fetched(last, FIRST, 5)
    await last.mark([FIRST])
    tracker.finished(5)
    fetched(last, SECOND, 8)
    await last.mark([SECOND])
    after = Committer(consumer, "test")
    after.assigned([FIRST, SECOND])
    await after.recall()
    assert not after.condemns(FIRST, 5)
    assert after.condemns(SECOND, 8)


async def test_the_broker_is_asked_once_for_the_mark_of_a_busy_partition(consumer: Consumer) -> None:
    committer = Committer(consumer, "test")
    committer.assigned([FIRST])
    await committer.recall()
    fetched(committer, FIRST, 5)
    await committer.mark([FIRST])
    fetched(committer, FIRST, 6)
    await committer.mark([FIRST])
    assert consumer.commits == [{FIRST: 5}]


async def test_markers_behind_the_last_record_are_passed(committer: Committer, consumer: Consumer) -> None:
    tracker = fetched(committer, FIRST, 5, 7)
    consumer.positions[FIRST] = 9
    tracker.finished(5)
    await committer.commit()
    assert consumer.commits[-1] == {FIRST: 6}
    tracker.finished(7)
    await committer.commit()
    assert consumer.commits[-1] == {FIRST: 9}
    fetched(committer, FIRST, 9)
    await committer.commit()
    assert len(consumer.commits) == 2


async def test_a_partition_with_nothing_but_markers_is_passed_and_one_that_was_rewound_is_not(
    consumer: Consumer,
) -> None:
    consumer.metadata = {FIRST: OffsetAndMetadata(5, ""), SECOND: OffsetAndMetadata(5, "")}
    consumer.positions = {FIRST: 6, SECOND: 0}
    committer = Committer(consumer, "test")
    committer.assigned([FIRST, SECOND])
    await committer.recall()
    await committer.commit()
    assert consumer.commits == [{FIRST: 6}]
    fetched(committer, SECOND, 0)
