"""State between records: key → bytes, changed by compare-and-set.

Every value is immutable bytes. `update` reads a batch of keys at once, computes each new value with a pure function and
writes all of them at once, each only if it has not changed meanwhile; conflicting keys are read and computed again.
No process has state of its own, so any may be killed at any time.
"""

import fnmatch
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Protocol, Self, TypeAlias, TypeVar

from schemas.errors import UnreadableState
from schemas.state_keys import QUARANTINE, WATCHED
from workers.state import quarantine

T = TypeVar("T")

Update: TypeAlias = Callable[[str, bytes | None], tuple[bytes | None, T]]
"""Key and its value (None: missing) → new value (None: unchanged) and a result.

Pure: it is called again with the newer value when another writer won. Raises UnreadableState for a damaged value.
"""
NOWHERE: Mapping[str, str] = MappingProxyType({})
"""No key has another name."""


class Store(Protocol):
    """State shared by all processes. One suite, `tests/contract/test_store.py`, tests every implementation."""

    @property
    def lost(self) -> int:
        """Watched keys found missing although written before: evicted, expired or deleted."""

    async def update(self, keys: Sequence[str], fn: Update[T], *, ttl_s: float) -> dict[str, T]:
        """Apply `fn` to every key and write the new values; returns the results by key.

        One read and one pipelined write for the batch; a key that another writer changed in between is read, computed
        and written again, alone. ttl_s: TTL of a written value in seconds, renewed by each write.
        A key with whose value `fn` raises UnreadableState, or which is of another type, is moved to quarantine and
        computed as a missing one. Raises Transient when the store is unavailable, ConfigurationError for a value of a
        newer Undertone; some keys may have been written by then.
        """

    async def read(self, keys: Sequence[str]) -> dict[str, bytes | None]:
        """The current values, None for a missing key or one of another type. Raises Transient.

        To decode them, use `update` with a function that changes nothing: it costs the same, and sees to damaged ones.
        """

    async def find(self, pattern: str) -> list[str]:
        """Keys that match a glob pattern, sorted; scans the whole store, so for operators and timers only."""

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete these keys. Raises Transient when the store is unavailable."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class MovingStore(Store, Protocol):
    """A store that takes values over from other names. `tests/contract/test_store_former.py` tests every one."""

    async def update(
        self, keys: Sequence[str], fn: Update[T], *, ttl_s: float, former: Mapping[str, str] = NOWHERE
    ) -> dict[str, T]:
        """As Store.update. former: by key, another name under which its value may be stored.

        `fn` is called with the name where the value was found, with the key itself for none or both. A write sets the
        key and removes the other name in one step, which conflicts with a write of either.
        """

    def pages(self, pattern: str) -> AsyncIterator[list[str]]:
        """As `find`, in pages, unsorted; a key may be in two, and one that comes or goes meanwhile in none."""


class MemoryStore:
    """A store inside this process: for replays, offline scoring and tests.

    watched: prefixes of the keys whose loss is counted; clock: monotonic seconds, for TTLs.
    """

    def __init__(self, *, watched: tuple[str, ...] = WATCHED, clock: Callable[[], float] = time.monotonic) -> None:
        self.lost = 0
        self._watched = watched
        self._clock = clock
        self._values: dict[str, tuple[bytes, float]] = {}
        self._known: set[str] = set()

    async def update(
        self, keys: Sequence[str], fn: Update[T], *, ttl_s: float, former: Mapping[str, str] = NOWHERE
    ) -> dict[str, T]:
        """As MovingStore.update; without write conflicts."""
        results: dict[str, T] = {}
        for key in dict.fromkeys(keys):
            other = former.get(key)
            name = other if other is not None and self._value(key) is None and self._value(other) is not None else key
            stored = self._value(name)
            found = quarantine.attempt(fn, name, stored, whole=lambda: True)
            damaged = isinstance(found, UnreadableState)
            if isinstance(found, UnreadableState):
                self._quarantine(name, str(found))
                stored, found = None, fn(key, None)
            value, results[key] = found
            if value is not None:
                if stored is None and not damaged and key.startswith(self._watched):
                    self.lost += key in self._known
                if key.startswith(self._watched):
                    self._known.add(key)
                self._values[key] = (value, self._clock() + ttl_s)
                self._values.pop(other or "", None)
        return results

    async def read(self, keys: Sequence[str]) -> dict[str, bytes | None]:
        """As Store.read."""
        return {key: self._value(key) for key in keys}

    async def find(self, pattern: str) -> list[str]:
        """As Store.find."""
        return sorted(key for key in self._values if fnmatch.fnmatchcase(key, pattern) and self._value(key) is not None)

    async def pages(self, pattern: str) -> AsyncIterator[list[str]]:
        """As MovingStore.pages."""
        yield await self.find(pattern)

    async def delete(self, keys: Sequence[str]) -> None:
        """As Store.delete."""
        for key in keys:
            self._values.pop(key, None)

    def _quarantine(self, key: str, why: str) -> None:
        place = QUARANTINE.key(key)
        value, _ = self._values.pop(key)
        if self._value(place) is None:
            self._values[place] = value, self._clock() + quarantine.LIFETIME_S
        quarantine.note(key, why)

    def _value(self, key: str) -> bytes | None:
        value, until = self._values.get(key, (None, 0.0))
        return value if self._clock() < until else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
