"""Batches of agents, and waiting until none is under way."""

import asyncio

import pytest

from streams.agents.batch_locks import BatchLocks


class Batches:
    """Batches of two agents that end when they are told to."""

    def __init__(self) -> None:
        self.locks = BatchLocks()
        self.begun: list[str] = []
        self.ends = {"fusion": asyncio.Event(), "drift": asyncio.Event()}

    async def batch(self, agent: str) -> None:
        async with self.locks.of(agent):
            self.begun.append(agent)
            await self.ends[agent].wait()

    async def quiet(self, within_s: float, then: asyncio.Event) -> bool:
        """Whether it became quiet; it stays so until `then`."""
        async with self.locks.quiet(within_s) as quiet:
            self.begun.append("quiet" if quiet else "not quiet")
            await then.wait()
            return quiet


async def turns() -> None:
    """Let every task go on as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_agents_work_at_the_same_time_each_at_one_batch() -> None:
    batches = Batches()
    tasks = [asyncio.create_task(batches.batch(agent)) for agent in ("fusion", "drift", "fusion")]
    await turns()
    assert batches.begun == ["fusion", "drift"]
    for end in batches.ends.values():
        end.set()
    await asyncio.gather(*tasks)
    assert batches.begun == ["fusion", "drift", "fusion"]


async def test_quiet_waits_for_every_batch_and_lets_none_begin() -> None:
    batches, over = Batches(), asyncio.Event()
    working = [asyncio.create_task(batches.batch(agent)) for agent in ("fusion", "drift")]
    await turns()
    waiting = asyncio.create_task(batches.quiet(30.0, over))
    batches.ends["fusion"].set()
    await turns()
    assert "quiet" not in batches.begun
    batches.ends["drift"].set()
    await turns()
    assert batches.begun[-1] == "quiet"
    later = asyncio.create_task(batches.batch("fusion"))
    await turns()
    assert batches.begun[-1] == "quiet"
    over.set()
    assert await waiting
    await asyncio.gather(*working, later)
    assert batches.begun[-1] == "fusion"


async def test_a_batch_that_does_not_end_in_time_is_told_and_the_others_go_on() -> None:
    batches, over = Batches(), asyncio.Event()
    batches.locks.of("drift")
    working = asyncio.create_task(batches.batch("fusion"))
    await turns()
    waiting = asyncio.create_task(batches.quiet(0.01, over))
    async with asyncio.timeout(30):
        while "not quiet" not in batches.begun:
            await asyncio.sleep(0.001)
    over.set()
    assert not await waiting
    assert not batches.locks.of("drift").locked()
    batches.ends["fusion"].set()
    await working


async def test_an_error_while_it_is_quiet_lets_batches_begin_again() -> None:
    locks = BatchLocks()
    locks.of("fusion")

    async def fail() -> None:
        async with locks.quiet(1.0):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert not locks.of("fusion").locked()


async def test_without_agents_it_is_quiet() -> None:
    async with BatchLocks().quiet(0.0) as quiet:
        assert quiet
