"""Where state lives between two records: key → bytes, changed by compare-and-set.

Every value is immutable bytes. `update` reads a batch of keys at once, lets a pure function compute each new value and
writes all of them at once, each only if nobody else wrote meanwhile; the keys that lost are read and computed again.
No process keeps state of its own, so any may be killed at any time.
"""

import fnmatch
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self, TypeAlias, TypeVar

from schemas.state_keys import WATCHED

T = TypeVar("T")

Update: TypeAlias = Callable[[str, bytes | None], tuple[bytes | None, T]]
"""Key and its value (None: there is none) → new value (None: leave it as it is) and a result.

Pure: it is called again with the newer value when another writer won.
"""


class Store(Protocol):
    """State shared by all processes. One suite, `tests/contract/test_store.py`, holds every implementation."""

    lost: int
    """Watched keys found missing though they had been written before: evicted, expired or deleted."""

    async def update(self, keys: Sequence[str], fn: Update[T], *, ttl_s: float) -> dict[str, T]:
        """Apply `fn` to every key and write what it gives; the results, by key.

        One read and one pipelined write for the batch; a key that another writer changed in between is read, computed
        and written again, alone. ttl_s: seconds a written value lives unless it is written again.
        Raises Transient when the store is away; some keys may have been written by then.
        """

    async def read(self, keys: Sequence[str]) -> dict[str, bytes | None]:
        """The values now, None where there is none. Raises Transient when the store is away."""

    async def find(self, pattern: str) -> list[str]:
        """Keys that match a glob pattern, sorted; walks the whole store, so for operators and timers only."""

    async def delete(self, keys: Sequence[str]) -> None:
        """Forget these keys. Raises Transient when the store is away."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class MemoryStore:
    """A store inside this process: for replays, offline scoring and tests.

    watched: beginnings of the keys whose loss is counted; clock: seconds that only grow, for TTLs.
    """

    def __init__(self, *, watched: tuple[str, ...] = WATCHED, clock: Callable[[], float] = time.monotonic) -> None:
        self.lost = 0
        self._watched = watched
        self._clock = clock
        self._held: dict[str, tuple[bytes, float]] = {}
        self._known: set[str] = set()

    async def update(self, keys: Sequence[str], fn: Update[T], *, ttl_s: float) -> dict[str, T]:
        """As Store.update; no other writer can come between."""
        results: dict[str, T] = {}
        for key in dict.fromkeys(keys):
            held = self._value(key)
            value, results[key] = fn(key, held)
            if value is not None:
                if held is None and key.startswith(self._watched):
                    self.lost += key in self._known
                    self._known.add(key)
                self._held[key] = (value, self._clock() + ttl_s)
        return results

    async def read(self, keys: Sequence[str]) -> dict[str, bytes | None]:
        """As Store.read."""
        return {key: self._value(key) for key in keys}

    async def find(self, pattern: str) -> list[str]:
        """As Store.find."""
        return sorted(key for key in self._held if fnmatch.fnmatchcase(key, pattern) and self._value(key) is not None)

    async def delete(self, keys: Sequence[str]) -> None:
        """As Store.delete."""
        for key in keys:
            self._held.pop(key, None)

    def _value(self, key: str) -> bytes | None:
        value, until = self._held.get(key, (None, 0.0))
        return value if self._clock() < until else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
