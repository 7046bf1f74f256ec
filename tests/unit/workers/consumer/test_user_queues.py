"""Queues by user: all load at once, each gives up its pieces in order, and nobody waits for another's queue."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.consumer.user_queues import UserQueues


async def piece(name: str, ready: asyncio.Event | None = None) -> str:
    if ready is not None:
        await ready.wait()
    return name


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def everything(lanes: UserQueues[str]) -> list[str]:
    taken = []
    while (name := lanes.take()) is not None:
        taken.append(name)
    return taken


async def test_a_piece_that_is_slow_holds_up_its_own_lane_and_nobody_else() -> None:
    lanes: UserQueues[str] = UserQueues()
    slow = asyncio.Event()
    lanes.begin(0, b"a", piece("a1", slow))
    lanes.begin(0, b"a", piece("a2"))
    lanes.begin(0, b"b", piece("b1"))
    await settle()
    assert everything(lanes) == ["b1"]
    assert lanes.loading == 1
    slow.set()
    await settle()
    assert everything(lanes) == ["a1", "a2"]
    assert lanes.loading == 0


async def test_lanes_take_turns() -> None:
    lanes: UserQueues[str] = UserQueues()
    for name in ("a1", "a2", "a3", "b1", "c1"):
        lanes.begin(0, name[0], piece(name))
    await settle()
    assert everything(lanes) == ["a1", "b1", "c1", "a2", "a3"]


async def test_a_dropped_partition_gives_back_what_was_ready_and_starts_anew() -> None:
    lanes: UserQueues[str] = UserQueues()
    lanes.begin(0, b"a", piece("old"))
    lanes.begin(0, b"a", piece("never", asyncio.Event()))
    lanes.begin(1, b"a", piece("other"))
    await settle()
    assert lanes.drop(0) == ["old"]
    lanes.begin(0, b"a", piece("new"))
    await settle()
    assert everything(lanes) == ["other", "new"]
    assert lanes.loading == 0


async def test_a_defect_is_told_once_and_its_lane_stands() -> None:
    async def broken() -> str:
        raise RuntimeError("a defect")

    lanes: UserQueues[str] = UserQueues()
    lanes.begin(0, b"a", broken())
    lanes.begin(0, b"a", piece("behind"))
    await settle()
    assert lanes.take() is None
    with pytest.raises(RuntimeError, match="a defect"):
        lanes.failed.result()


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30))
def test_whatever_is_slow_each_lane_keeps_its_order_and_gives_every_piece_once(way: Sequence[tuple[int, bool]]) -> None:
    async def story() -> list[str]:
        lanes: UserQueues[str] = UserQueues()
        slow = asyncio.Event()
        taken = []
        for number, (lane, is_slow) in enumerate(way):
            lanes.begin(0, lane, piece(f"{lane}:{number:02d}", slow if is_slow else None))
            if number % 3 == 0:
                await asyncio.sleep(0)
                taken += everything(lanes)
        slow.set()
        await settle()
        return taken + everything(lanes)

    taken = asyncio.run(story())
    assert sorted(taken, key=lambda name: name[2:]) == [f"{lane}:{n:02d}" for n, (lane, _) in enumerate(way)]
    for lane in range(4):
        own = [name for name in taken if name.startswith(f"{lane}:")]
        assert own == sorted(own)


async def test_who_is_cancelled_when_a_piece_ends_stops_waiting() -> None:
    """Otherwise a worker whose first memo fails never ends."""
    lanes: UserQueues[str] = UserQueues()
    waiting = asyncio.create_task(lanes.wait(60.0))
    await settle()
    lanes.begin(0, b"a", piece("a1"))
    while not lanes._changed.is_set():
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
