from collections.abc import Sequence

import pytest

from schemas.errors import Poison, Transient
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


def test_a_stage_that_breaks_its_promise_is_a_defect() -> None:
    class Forgetful(Halves):
        def process(self, batch: Sequence[int]) -> Sequence[Outcome[int]]:
            return super().process(batch)[:-1]

    with pytest.raises(ValueError, match="returned 1 outcomes for 2 records"):
        settle(Forgetful(raises=False), [2, 4])


def test_a_transient_failure_passes_through() -> None:
    class Away(Halves):
        def process(self, batch: Sequence[int]) -> Sequence[Outcome[int]]:
            raise Transient("storage is away")

    with pytest.raises(Transient):
        settle(Away(raises=False), [2])
