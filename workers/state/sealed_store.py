"""A store whose data of people is sealed at rest, over another store.

Callers give and get keys and values in clear, by pseudonym. At rest a person's key has the subject in its place, and
the value is sealed, bound to that key: one that was moved to another key does not open, and is unreadable as a damaged
one. Compare-and-set compares what is stored, so it stays exact. Data of no person stays in clear.

A value is stored in one of two places, and each writer takes over what it finds in the other one: processes that seal
and processes that do not may run side by side, in both directions.

Of an erased person nothing is read, and nothing is written again.
"""

import fnmatch
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar

from schemas.errors import Erased, Unknown, UnreadableState
from schemas.key_purposes import LASTING
from schemas.state_keys import MUTES, StateKey
from workers.privacy.keyring import Keyring
from workers.service import prometheus
from workers.state import sealed_values
from workers.state.places import Place, Places
from workers.state.sealed_keys import personal_key, sealed_key
from workers.state.sealed_values import Values
from workers.state.store import MovingStore, Update

T = TypeVar("T")

UNREADABLE = b"\0"
"""What `read` gives for a value that does not open: of no version, so a decoder says that it is damaged."""
_ATTEMPTS = 10
_SPECIAL = re.compile(r"[*?\[\]]")


class SealedStore:
    """Seals what is written of people, if `sealing`; reads both. inner: has the data, and is closed with this store.

    places: shared with due times of the same keys.
    """

    def __init__(
        self, inner: MovingStore, keyring: Keyring, *, sealing: bool = True, places: Places | None = None
    ) -> None:
        self._inner, self._keyring, self._sealing = inner, keyring, sealing
        self._places = places or Places(keyring)
        self._values = Values(keyring)

    @property
    def lost(self) -> int:
        """See Store."""
        return self._inner.lost

    async def update(self, keys: Sequence[str], fn: Update[T], *, ttl_s: float) -> dict[str, T]:
        """As Store.update. For an erased person `fn` computes a missing value, and what it makes of it is dropped.

        Who has a value to be written is given a subject: a record may name another person than its key, one that no
        process has met, and waiting for them would never end. Raises Transient.
        """
        results: dict[str, T] = {}
        if MUTES.key() in keys:
            results[MUTES.key()] = await self._update_mutes(fn, ttl_s)
            keys = [key for key in keys if key != MUTES.key()]
        if (at_hand := self._places.at_hand(dict.fromkeys(keys))) is not None:
            return results | await self._update(at_hand, fn, ttl_s)
        places = await self._placed(keys, fn)
        dropped = [place for place in places if place.erased or (self._sealing and place.nameless)]
        results |= {place.key: self._dropped(place, fn) for place in dropped}
        return results | await self._update([place for place in places if place.key not in results], fn, ttl_s)

    async def _update(self, places: Sequence[Place], fn: Update[T], ttl_s: float) -> dict[str, T]:
        """As `update`, of values that have a place."""
        if self._sealing:
            main = {place.sealed or place.key: place for place in places}
            former = {place.sealed: place.key for place in places if place.sealed is not None}
        else:
            main = {place.key: place for place in places}
            former = {place.key: place.sealed for place in places if place.sealed is not None}
        values, sealing = self._values, self._sealing
        other: dict[str, Place] = {}

        def changed(name: str, content: bytes | None) -> tuple[bytes | None, T]:
            place = main.get(name)
            if place is None:  # The value is stored under the other name.
                if not other:
                    other.update((former[each], main[each]) for each in former)
                place = other[name]
            try:
                clear = content
                if content is not None and name == place.sealed:
                    clear = values.open(place.person, name, place.bound, content)
                value, result = fn(place.key, clear)
                # Sealed twice, a value is other bytes: an equal one is not written again.
                if value is None or (value == clear and name in main):
                    return None, result
                if sealing and place.sealed is not None:
                    value = values.seal(place.person, place.sealed, place.bound, value)
            except Erased:
                return None, self._dropped(place, fn)
            return value, result

        found = await self._inner.update(list(main), changed, ttl_s=ttl_s, former=former)
        return {main[name].key: result for name, result in found.items()}

    async def read(self, keys: Sequence[str]) -> dict[str, bytes | None]:
        """As Store.read; a value that does not open is UNREADABLE. Raises Transient."""
        places = await self._places.of(keys)
        stored = await self._inner.read([name for place in places for name in place.names])
        found: dict[str, bytes | None] = {}
        for place in places:
            names = (self._main(place), self._other(place))
            at = next((name for name in names if stored[name] is not None), place.key)
            found[place.key] = self._read(place, at, stored[at])
        if found.get(MUTES.key()) is not None:
            found[MUTES.key()] = await self._read_mutes(found[MUTES.key()])
        return found

    def _read(self, place: Place, name: str, content: bytes | None) -> bytes | None:
        try:
            if content is None or place.erased or name != place.sealed:
                return None if place.erased else content
            return self._values.open(place.person, name, place.bound, content)
        except Erased:
            return None
        except UnreadableState:
            return UNREADABLE

    async def find(self, pattern: str) -> list[str]:
        """As Store.find: keys in clear. Raises Unknown for people who are not in the key directory."""
        literal = pattern[: found.start()] if (found := _SPECIAL.search(pattern)) else pattern
        # What is after the brace is the subject at rest.
        names = set(await self._inner.find(f"{literal[: literal.find('{') + 1] or literal}*"))
        clear = await self._places.in_clear(names)
        if len(clear) < len(names):
            raise Unknown("the key directory does not know people who have state: restore its newest backup")
        return sorted({key for key in clear.values() if key is not None and fnmatch.fnmatchcase(key, pattern)})

    async def delete(self, keys: Sequence[str]) -> None:
        """As Store.delete, at rest and in clear."""
        for place in await self._places.of(keys):
            for name in place.names:  # one by one: a command that deletes anything is logged with every name in it
                await self._inner.delete([name])

    async def take_over(self, ttl_s: Callable[[StateKey], float]) -> int:
        """Write every value as this store does: sealed, or in clear; returns how many were not.

        Values of people who have no memos for months would stay as they are until they expire. ttl_s: of a row's
        values, which begins again. Raises Transient; values that were taken over by then stay so.
        """
        moved = 0
        async for names in self._inner.pages("*{*"):
            other = [name for name in names if (sealed_key(name) is None) is self._sealing]
            by_row: dict[StateKey, list[str]] = defaultdict(list)
            for clear in (await self._places.in_clear(other)).values():
                key = personal_key(clear or "")
                if key is not None and not key.quarantined:
                    by_row[key.row].append(key.text)
            for row, keys in by_row.items():
                await self.update(keys, lambda _, stored: (stored, None), ttl_s=ttl_s(row))
                moved += len(keys)
        return moved

    # Places

    async def _placed(self, keys: Sequence[str], fn: Update[T]) -> list[Place]:
        """The places of keys; people with a value, stored in clear or now made by `fn`, get a subject if it is sealed.

        Whoever was ever erased gets none: what is under way may be older than that.
        """
        places = await self._places.of(dict.fromkeys(keys))
        nameless = {place.key: place.user_id for place in places if place.nameless and place.user_id is not None}
        if not nameless or not self._sealing:
            return places
        stored = await self._inner.read(list(nameless))
        users = {user for key, user in nameless.items() if stored[key] is not None or fn(key, None)[0] is not None}
        return await self._places.of([place.key for place in places], enrol=users) if users else places

    def _main(self, place: Place) -> str:
        """Where the value is written."""
        return place.key if place.sealed is None or not self._sealing else place.sealed

    def _other(self, place: Place) -> str:
        """Where the value of a person may be stored instead."""
        return place.key if place.sealed is None or self._sealing else place.sealed

    def _dropped(self, place: Place, fn: Update[T]) -> T:
        """The result for a person without a write: erased, or unknown and with nothing to write."""
        value, result = fn(place.key, None)
        if value is not None:
            if place.nameless:
                raise Unknown("the key directory does not know a person with new state: its replica may be behind")
            prometheus.RECORDS_ERASED.labels(stage="state").inc()
        return result

    # Mutes

    async def _update_mutes(self, fn: Update[T], ttl_s: float) -> T:
        """As `update`, of the list of mutes: its entries are sealed one by one."""

        def changed(key: str, content: bytes | None) -> tuple[bytes | None, T]:
            value, result = fn(key, sealed_values.open_list(self._keyring, content))
            if value is not None and self._sealing:
                value = sealed_values.seal_list(self._keyring, value)
            return value, result

        key = MUTES.key()
        for attempt in range(_ATTEMPTS):
            await self._warm_mutes((await self._inner.read([key]))[key], fn)
            try:
                return (await self._inner.update([key], changed, ttl_s=ttl_s))[key]
            except Unknown:  # Another writer has added an entry meanwhile.
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError

    async def _warm_mutes(
        self, content: bytes | None, fn: Callable[[str, bytes | None], tuple[bytes | None, object]]
    ) -> None:
        """Have the keys of everybody in the list, as it is and as it will be.

        Who is muted before their first memo is given a subject: the list holds no pseudonym.
        """
        try:
            subjects = sealed_values.subjects_in(content)
            await self._keyring.warm(frames=[(subject, LASTING) for subject in subjects])
            value, _ = fn(MUTES.key(), sealed_values.open_list(self._keyring, content))
            if value is not None and self._sealing:
                await self._keyring.warm(sealed_values.users_in(value), enrol=True)
        except UnreadableState:
            return  # The update moves it aside.

    async def _read_mutes(self, content: bytes | None) -> bytes | None:
        try:
            await self._keyring.warm(frames=[(each, LASTING) for each in sealed_values.subjects_in(content)])
            return sealed_values.open_list(self._keyring, content)
        except UnreadableState:
            return UNREADABLE

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._inner.__aexit__(kind, error, trace)
