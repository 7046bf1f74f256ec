from collections.abc import Sequence

import pytest
from aiokafka.errors import NotLeaderForPartitionError

from schemas.errors import ConfigurationError, Poison, Transient
from workers.consumer.isolation import of_record
from workers.consumer.stage import Outcome, settle


class Halves:
    """Halves even numbers; odd ones are poison, told by value or, when `raises`, by raising."""

    name = "halves"

    def __init__(self, *, raises: bool) -> None:
        self.raises = raises
        self.calls = 0

    def process(self, batch: Sequence[int]) -> Sequence[Outcome[int]]:
        self.calls += 1
        odd = Poison("odd", "an odd number has no half")
        if self.raises and any(n % 2 for n in batch):
            raise odd
        return [odd if n % 2 else [n // 2] for n in batch]

    def close(self) -> None: ...


@pytest.mark.parametrize("raises", [False, True])
def test_poison_stays_with_its_record(raises: bool) -> None:
    first, second, third = settle(Halves(raises=raises), [2, 3, 4])
    assert (first, third) == ([1], [2])
    assert isinstance(second, Poison)
    assert second.reason == "odd"


def test_poison_told_by_value_costs_its_neighbours_nothing() -> None:
    stage = Halves(raises=False)
    settle(stage, [2, 3, 4])
    assert stage.calls == 1


def test_an_empty_batch_does_not_reach_the_stage() -> None:
    stage = Halves(raises=False)
    assert settle(stage, []) == []
    assert stage.calls == 0


def test_a_stage_that_breaks_its_promise_is_a_defect_of_every_record() -> None:
    class Forgetful(Halves):
        def process(self, batch: Sequence[int]) -> Sequence[Outcome[int]]:
            return super().process(batch)[:-1]

    outcomes = settle(Forgetful(raises=False), [2, 4])
    assert [each.reason for each in outcomes if isinstance(each, Poison)] == ["defect:ValueError"] * 2


@pytest.mark.parametrize("bad", range(7))
def test_a_record_that_the_stage_fails_on_is_found_among_its_neighbours(bad: int) -> None:
    class Fragile(Halves):
        def process(self, batch: Sequence[int]) -> Sequence[Outcome[int]]:
            if bad in batch:
                raise RecursionError
            self.calls += len(batch)
            return [[n] for n in batch]

    stage = Fragile(raises=False)
    outcomes = settle(stage, range(7))
    assert [each for n, each in enumerate(outcomes) if n != bad] == [[n] for n in range(7) if n != bad]
    assert isinstance(poison := outcomes[bad], Poison)
    assert poison.reason == "defect:RecursionError"
    assert stage.calls == 6, "the others are processed once"


def test_a_record_that_fails_in_company_only_is_processed_alone() -> None:
    class Crowded(Halves):
        def process(self, batch: Sequence[int]) -> Sequence[Outcome[int]]:
            if len(batch) > 1:
                raise MemoryError
            return super().process(batch)

    assert settle(Crowded(raises=False), [2, 4, 6]) == [[1], [2], [3]]


def test_a_fault_of_the_program_or_its_servers_is_no_record_s() -> None:
    for error in (ConfigurationError("no such model"), NotLeaderForPartitionError()):

        class Broken(Halves):
            def process(self, batch: Sequence[int], error: Exception = error) -> Sequence[Outcome[int]]:
                raise error

        with pytest.raises(type(error)):
            settle(Broken(raises=False), [2, 4], of_record)


def test_a_transient_failure_passes_through() -> None:
    class Away(Halves):
        def process(self, batch: Sequence[int]) -> Sequence[Outcome[int]]:
            raise Transient("storage is away")

    with pytest.raises(Transient):
        settle(Away(raises=False), [2])
