"""Batches under way, one an agent, and how to wait until there is none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class BatchLocks:
    """Every agent takes its own turn for each batch; `quiet` waits for all of them and keeps others from beginning."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}

    def of(self, agent: str) -> asyncio.Lock:
        """The turn of an agent: `async with turns.of("fusion"): ...` around a batch."""
        return self._locks.setdefault(agent, asyncio.Lock())

    @asynccontextmanager
    async def quiet(self, within_s: float) -> AsyncIterator[bool]:
        """While the block runs no batch is under way, and none begins; yields False when one did not end in time."""
        held: list[asyncio.Lock] = []
        try:
            try:
                async with asyncio.timeout(within_s):
                    for lock in self._locks.values():
                        await lock.acquire()
                        held.append(lock)
            except TimeoutError:
                yield False
            else:
                yield True
        finally:
            for lock in held:
                lock.release()
