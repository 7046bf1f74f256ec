"""One lock per agent around each batch, and a way to wait until no batch is being processed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class BatchLocks:
    """Every agent holds its own lock during a batch; `quiet` acquires all of them, so no batch can start."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}

    def of(self, agent: str) -> asyncio.Lock:
        """The lock of an agent: `async with locks.of("fusion"): ...` around a batch."""
        return self._locks.setdefault(agent, asyncio.Lock())

    @asynccontextmanager
    async def quiet(self, within_s: float) -> AsyncIterator[bool]:
        """Run the block while no batch is processed and none can start; yields False after a timeout of `within_s`."""
        acquired: list[asyncio.Lock] = []
        try:
            try:
                async with asyncio.timeout(within_s):
                    for lock in self._locks.values():
                        await lock.acquire()
                        acquired.append(lock)
            except TimeoutError:
                yield False
            else:
                yield True
        finally:
            for lock in acquired:
                lock.release()
