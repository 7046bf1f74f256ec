"""Due times whose keys name people by subject at rest, over other deadlines.

An entry may be there in clear, from before sealing, and at rest: the earlier due time counts, and both are dropped
together. One of the other kind is replaced when it is due. Entries of erased people are dropped when they are met.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Self

from schemas.errors import Unknown
from schemas.state_keys import SILENCES, StateKey
from workers.privacy.keyring import Keyring
from workers.state.deadlines import SeparateDeadlines
from workers.state.places import Place, Places
from workers.state.sealed_keys import personal_key, sealed_key

MARK = "\t"
"""Before a subject in a set of users: no pseudonym holds one."""
_DIGITS = 32


class SealedDeadlines:
    """Puts subjects into `inner` if `sealing`, pseudonyms if not; reads both.

    row: what the entries are; places: shared with a store, where they are its keys.
    """

    def __init__(
        self,
        inner: SeparateDeadlines,
        keyring: Keyring,
        row: StateKey,
        *,
        sealing: bool = True,
        places: Places | None = None,
    ) -> None:
        self._inner, self._sealing = inner, sealing
        self._of_keys = row is not SILENCES
        self._places = (self._of_keys and places) or Places(keyring, *(_KEYS if self._of_keys else _USERS))

    async def now(self) -> datetime:
        """See Deadlines."""
        return await self._inner.now()

    async def put(self, due: Mapping[str, datetime]) -> None:
        """See Deadlines. Leaves erased people out. Raises Unknown for others who are not in the key directory."""
        places = self._places.at_hand(due)
        if places is None:
            places = await self._known(due)
        await self._inner.put({self._main(place): due[place.key] for place in places})

    async def _known(self, keys: Collection[str]) -> list[Place]:
        places = await self._places.of(keys)
        if self._sealing and (nameless := {place.user_id or "" for place in places if place.nameless}):
            # Somebody erased whom this process has never met is nameless too, until enrolment says so.
            places = await self._places.of(keys, enrol=nameless)
            if any(place.nameless and not place.erased for place in places):
                raise Unknown("the key directory does not know a person with a due time: its replica may be behind")
        return [place for place in places if not place.erased]

    async def drop(self, keys: Collection[str]) -> None:
        """See Deadlines."""
        await self._inner.drop_each([name for place in await self._places.of(keys) for name in place.names])

    async def move(self, due: Mapping[str, datetime]) -> None:
        """See Deadlines."""
        places = await self._places.of(due)
        await self._inner.move_each({name: due[place.key] for place in places for name in place.names})

    async def sample(self, most: int) -> list[str]:
        """See Deadlines."""
        return await self._in_clear(await self._inner.sample(most))

    async def due(self, now: datetime, most: int) -> list[str]:
        """See Deadlines. Raises Unknown when no one who is due is in the key directory."""
        found = await self._inner.due(now, most)
        keys = await self._in_clear(found)
        places = await self._places.of(keys)
        entries = set(found)
        other = {self._main(place): name for place in places for name in self._others(place) if name in entries}
        if other:
            await self._inner.put(dict.fromkeys(other, now))
            await self._inner.drop(other.values())
        return keys

    async def bring_back(self, latest: datetime, most: int) -> int:
        """See Deadlines."""
        return await self._inner.bring_back(latest, most)

    async def count(self) -> int:
        """See Deadlines."""
        return await self._inner.count()

    async def earliest(self) -> datetime | None:
        """See Deadlines."""
        return await self._inner.earliest()

    async def starting_with(self, prefix: str) -> list[str]:
        """See Deadlines."""
        (place,) = await self._places.of([prefix])
        names: Sequence[str] = place.names if self._of_keys and place.user_id is not None else ("",)
        found = [entry for name in names for entry in await self._inner.starting_with(name)]
        return sorted(key for key in await self._in_clear(found) if key.startswith(prefix))

    def _main(self, place: Place) -> str:
        """The entry that is put."""
        return place.key if place.sealed is None or not self._sealing else place.sealed

    def _others(self, place: Place) -> list[str]:
        """Entries of the other kind."""
        return [name for name in place.names if name != self._main(place)]

    async def _in_clear(self, entries: Sequence[str]) -> list[str]:
        """Entries in clear, each once, in order; those of erased people are dropped."""
        clear = await self._places.in_clear(entries)
        if gone := [entry for entry in entries if entry in clear and clear[entry] is None]:
            await self._inner.drop(gone)
        if entries and not clear:
            raise Unknown("the key directory does not know the people who are due: its replica may be behind")
        return list(dict.fromkeys(key for entry in entries if (key := clear.get(entry)) is not None))

    async def __aenter__(self) -> Self:
        """Return self."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open here."""


class _User(NamedTuple):
    user_id: str

    @property
    def text(self) -> str:
        return self.user_id

    def at_rest(self, subject: bytes, _: Callable[[str], str]) -> "_Subject":
        return _Subject(subject)


class _Subject(NamedTuple):
    subject: bytes

    @property
    def text(self) -> str:
        return MARK + self.subject.hex()

    @property
    def bound(self) -> str:
        return self.text

    def in_clear(self, user_id: str, _: Callable[[str], str]) -> _User:
        return _User(user_id)


def _user(entry: str) -> _User:
    return _User(entry)


def _subject(entry: str) -> _Subject | None:
    digits = entry.removeprefix(MARK)
    if digits == entry or len(digits) != _DIGITS:
        return None
    try:
        return _Subject(bytes.fromhex(digits))
    except ValueError:
        return None


_KEYS = (personal_key, sealed_key)
_USERS = (_user, _subject)
