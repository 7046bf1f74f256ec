"""A record that kills its process is found in three deaths, whatever is processed beside it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.consumer.attempts import DEADLY, EXACT_S, GROUP, Attempts


class Topic:
    """A partition with `records` of which `deadly` kills every process that has it in work.

    A process takes what it may, up to `most` records at once, commits after each batch, and before one that is due.
    """

    def __init__(self, records: int, deadly: int, most: int) -> None:
        self.records, self.deadly, self.most = records, deadly, most
        self.committed: tuple[int, str] = (0, "")
        self.dead_letters: list[int] = []
        self.processed: list[int] = []

    def run(self) -> bool:
        """Run one process; False when it died."""
        attempts, (position, metadata) = Attempts(), self.committed
        attempts.recall("p", position, metadata)
        while position < self.records:
            most = attempts.at_once([("p", position)]) or self.most
            batch = range(position, min(position + most, self.records))
            if attempts.due({"p"}):
                self.commit(attempts, position, batch[-1])
            condemned = [offset for offset in batch if attempts.condemns("p", offset)]
            if self.deadly in set(batch) - set(condemned):
                return False
            self.dead_letters += condemned
            self.processed += set(batch) - set(condemned)
            position = batch.stop
            self.commit(attempts, position, None)
        return True

    def commit(self, attempts: Attempts, position: int, to: int | None) -> None:
        self.committed = position, attempts.metadata("p", position, to)
        attempts.committed("p", self.committed[1])


@given(st.integers(1, 60), st.integers(0, 59), st.integers(1, 40))
def test_one_record_kills_three_processes_and_costs_itself_alone(records: int, deadly: int, most: int) -> None:
    topic = Topic(records, deadly, most)
    deaths = 0
    while not topic.run():
        deaths += 1
        assert deaths <= DEADLY
    if deadly < records:
        assert deaths == DEADLY
        assert topic.dead_letters == [deadly]
    assert sorted({*topic.processed, *topic.dead_letters}) == list(range(records))


def test_a_process_that_hands_over_leaves_no_suspect() -> None:
    before, after = Attempts(), Attempts()
    before.recall("p", 0, "")
    after.recall("p", 5, before.metadata("p", 5, None))
    assert after.at_once([("p", 5)]) is None


def test_what_was_not_in_work_is_no_suspect() -> None:
    attempts = Attempts()
    attempts.recall("p", 5, "undertone/1 deaths=0 to=7")
    assert attempts.at_once([("p", 7)]) == GROUP
    assert attempts.at_once([("p", 8)]) is None


def test_one_suspect_in_any_partition_limits_all() -> None:
    attempts = Attempts()
    attempts.recall("p", 5, "undertone/1 deaths=1 to=7")
    attempts.recall("q", 5, "")
    assert attempts.at_once([("p", 5), ("q", 5)]) == 1


def test_among_several_no_record_is_condemned() -> None:
    attempts = Attempts()
    attempts.recall("p", 5, "undertone/1 deaths=7 to=6")
    assert not attempts.condemns("p", 5)
    assert attempts.at_once([("p", 5)]) == 1


def test_after_a_death_every_batch_is_marked_for_a_time() -> None:
    clock = [0.0]
    attempts = Attempts(lambda: clock[0])
    attempts.recall("p", 5, "undertone/1 deaths=0 to=7")
    attempts.committed("p", attempts.metadata("p", 5, 7))
    assert attempts.due({"p"}) == {"p"}
    clock[0] = EXACT_S
    assert not attempts.due({"p"})


@pytest.mark.parametrize("metadata", ["", "aiokafka", "undertone/2 x", "undertone/1 deaths=-1 to=7", "x" * 4096])
def test_metadata_of_others_is_no_mark(metadata: str) -> None:
    attempts = Attempts()
    attempts.recall("p", 5, metadata)
    assert attempts.at_once([("p", 5)]) is None


def test_suspects_wait_until_they_are_worked_on_and_their_deaths_stay() -> None:
    attempts, after = Attempts(), Attempts()
    assert attempts.recall("p", 5, "undertone/1 deaths=1 to=7")
    waiting = attempts.metadata("p", 6, None)
    assert waiting == "undertone/1 deaths=2 to=7 waiting"
    after.recall("p", 6, waiting)
    assert after.metadata("p", 6, 6).startswith("undertone/1 deaths=2 to=6 by=")
    assert after.metadata("p", 8, None) == ""


def test_suspects_that_never_come_again_limit_nothing_for_ever() -> None:
    clock = [0.0]
    attempts = Attempts(lambda: clock[0])
    attempts.recall("p", 5, "undertone/1 deaths=1 to=7")
    clock[0] = EXACT_S
    assert attempts.at_once([("p", 5)]) is None


def test_an_end_on_purpose_is_no_death() -> None:
    ended = {"0000000a"}
    for mark, deaths in (("by=0000000a", 1), ("by=0000000b", 2), ("by=0000000a waiting", 1)):
        attempts = Attempts(ended_on_purpose=ended.__contains__)
        assert attempts.recall("p", 5, f"undertone/1 deaths=1 to=7 {mark}")
        assert attempts.metadata("p", 5, None) == f"undertone/1 deaths={deaths} to=7 waiting"


def test_after_an_end_on_purpose_nothing_is_suspected_and_the_mark_is_taken_back() -> None:
    attempts = Attempts(ended_on_purpose=lambda _: True)
    assert attempts.recall("p", 5, "undertone/1 deaths=0 to=7 by=0000000a")
    assert attempts.at_once([("p", 5)]) is None
    assert attempts.metadata("p", 5, None) == ""
