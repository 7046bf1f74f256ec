"""The breaker: past the cap one record is tried again; a fault that passed costs nothing, one that stays stops all."""

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

import pytest

from schemas.errors import DeadLetterCapReached, Poison
from workers.consumer.circuit_breaker import CircuitBreaker, Settled
from workers.kafka.dead_letters import DeadLetterCap

Done: TypeAlias = Settled[str, str]


class World:
    """Records named `bad…` fail while the fault lasts, those named `rotten…` always."""

    def __init__(self, max_run: int = 3, max_share: float = 1.0, window: int = 1000) -> None:
        self.breaker = CircuitBreaker(DeadLetterCap(max_share, window, max_run), back_off_s=0.01)
        self.fault = True
        self.tried: list[list[str]] = []
        self.stopping = asyncio.Event()

    def settle(self, names: Sequence[str]) -> list[Done]:
        return [Settled(n, Poison("r", "d") if self._fails(n) else [n.upper()]) for n in names]

    async def again(self, names: Sequence[str]) -> list[Done]:
        self.tried.append(list(names))
        return self.settle(names)

    async def passed(self, *names: str) -> list[Done]:
        return await self.breaker.passed(self.settle(names), self.again, self.stopping)

    def _fails(self, name: str) -> bool:
        return name.startswith("rotten") or (self.fault and name.startswith("bad"))


async def test_within_the_cap_nothing_is_tried_again() -> None:
    world = World()
    settled = await world.passed("bad1", "good", "bad2", "bad3", "bad4", "good")
    assert [isinstance(each.outcome, Poison) for each in settled] == [True, False, True, True, True, False]
    assert world.tried == []


async def test_a_fault_that_stays_stops_after_one_record_was_tried() -> None:
    world = World()
    with pytest.raises(DeadLetterCapReached, match="4 records in a row"):
        await world.passed("good", "bad1", "bad2", "bad3", "bad4", "bad5")
    assert world.tried == [["bad4"]]


async def test_a_fault_that_passes_closes_the_breaker_and_leaves_no_dead_letter() -> None:
    world = World()
    asyncio.get_running_loop().call_later(0.001, setattr, world, "fault", False)
    settled = await world.passed("good", "bad1", "bad2", "bad3", "bad4", "bad5")
    assert [each.outcome for each in settled] == [["GOOD"], ["BAD1"], ["BAD2"], ["BAD3"], ["BAD4"], ["BAD5"]]
    assert world.tried == [["bad4"], ["bad1", "bad2", "bad3", "bad4", "bad5"]]
    assert world.breaker.share == 0


async def test_what_is_rotten_stays_a_dead_letter_when_the_fault_has_passed() -> None:
    world = World()
    asyncio.get_running_loop().call_later(0.001, setattr, world, "fault", False)
    settled = await world.passed("bad1", "rotten1", "bad2", "bad3")
    assert [isinstance(each.outcome, Poison) for each in settled] == [False, True, False, False]


async def test_half_of_everything_rotten_stops_it() -> None:
    world = World(max_run=20, max_share=0.25, window=40)
    way = [f"{kind}{number}" for number in range(20) for kind in ("good", "rotten")]
    for start in range(0, 36, 4):
        await world.passed(*way[start : start + 4])
    with pytest.raises(DeadLetterCapReached, match="20 of the last 40"):
        await world.passed(*way[36:])


async def test_the_share_is_tried_with_a_record_that_failed_even_when_a_good_one_filled_the_window() -> None:
    world = World(max_share=0.25, window=4)
    with pytest.raises(DeadLetterCapReached):
        await world.passed("rotten1", "rotten2", "good1", "good2")
    assert world.tried == [["rotten2"]]


async def test_asked_to_stop_it_does_not_wait_for_the_fault_to_pass() -> None:
    world = World()
    world.stopping.set()
    with pytest.raises(DeadLetterCapReached):
        await world.passed("bad1", "bad2", "bad3", "bad4")
    assert world.tried == []
