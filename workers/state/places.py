"""Where values and entries of people are stored: under the subject while they are sealed, in clear by pseudonym."""

import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple, Protocol

from schemas.errors import Erased, Unknown, UnreadableState
from schemas.key_purposes import LASTING, Purpose
from workers.privacy.keyring import Keyring
from workers.privacy.prepared import Prepared
from workers.state.sealed_keys import personal_key, sealed_key
from workers.state.sealed_values import open_name, seal_name

REMEMBERED = 10_000
"""Places that are kept: those of the memos in flight."""


class AtRest(Protocol):
    """What names a person by their subject."""

    @property
    def subject(self) -> bytes:
        """The person's."""

    @property
    def text(self) -> str:
        """As it is stored."""

    @property
    def bound(self) -> str:
        """What its value is sealed to."""

    def in_clear(self, user_id: str, opened: Callable[[str], str]) -> "InClear":
        """The same by pseudonym. opened: the name of a token."""


class InClear(Protocol):
    """What names a person by their pseudonym."""

    @property
    def user_id(self) -> str:
        """The person's."""

    @property
    def text(self) -> str:
        """As it is stored."""

    def at_rest(self, subject: bytes, seal: Callable[[str], str]) -> AtRest:
        """The same by subject. seal: makes a token of a name, always the same."""


OF_NO_USER = Prepared("", b"", math.inf)
"""Whose keys are used where none are needed."""
NOT_KNOWN = Prepared("", b"", -math.inf)
"""Whose keys are used where those of a person are not known: none."""


class Place(NamedTuple):
    """Where the value of a key is stored. user_id: None for a key of no user.

    subject, sealed: of the person and the key at rest, empty and None where the directory knows no subject; bound: what
    the value is sealed to; erased: whether the person is erased, so that nothing is read and nothing is written;
    person: whose keys are used, and for how long.
    """

    key: str
    user_id: str | None = None
    subject: bytes = b""
    sealed: str | None = None
    bound: bytes = b""
    erased: bool = False
    person: Prepared = NOT_KNOWN

    @property
    def names(self) -> tuple[str, ...]:
        """All keys that may hold the value."""
        return (self.key,) if self.sealed is None else (self.sealed, self.key)

    @property
    def nameless(self) -> bool:
        """Whether it is of a person who is not in the key directory."""
        return self.user_id is not None and self.sealed is None and not self.erased


class Places:
    """Translates keys and their inverse, with the keys of people that a keyring has. clear, sealed: parse a key."""

    def __init__(
        self,
        keyring: Keyring,
        clear: Callable[[str], InClear | None] = personal_key,
        sealed: Callable[[str], AtRest | None] = sealed_key,
    ) -> None:
        self._keyring, self._clear, self._sealed = keyring, clear, sealed
        self._known: OrderedDict[str, Place] = OrderedDict()

    def at_hand(self, keys: Iterable[str]) -> list[Place] | None:
        """The places of keys in clear, in order, where everybody is known and active; None where somebody is not."""
        known, now = self._known, self._keyring.now()
        places = []
        for key in keys:
            place = known.get(key)
            if place is None or place.person.until < now:
                place = self._current(key)
                if place.person is NOT_KNOWN:
                    return None
            else:
                known.move_to_end(key)
            places.append(place)
        return places

    async def of(self, keys: Iterable[str], *, enrol: Collection[str] = ()) -> list[Place]:
        """The places of keys in clear, in order. enrol: users who are given a subject. Raises Transient."""
        if enrol:
            await self._keyring.warm(enrol, enrol=True)
        keys = list(keys)
        if (places := self.at_hand(keys)) is not None:
            return places
        places = [self._current(key) for key in keys]
        nameless = {place.user_id for place in places if place.nameless and place.user_id is not None}
        if not nameless:
            return places
        await self._keyring.warm(nameless)
        # Whom the directory has forgotten may have been erased while their records were processed here.
        await self._keyring.warm(
            frames=[(place.subject, LASTING) for place in places if place.subject and place.nameless]
        )
        return [self._erased(self._current(place.key)) if place.nameless else place for place in places]

    async def in_clear(self, texts: Iterable[str]) -> Mapping[str, str | None]:
        """By key as it is stored: the key in clear, None for one of an erased person and one that does not open.

        Keys of people who are not in the directory are left out. Raises Transient.
        """
        sealed = {text: self._sealed(text) for text in texts}
        frames = {(key.subject, LASTING) for key in sealed.values() if key is not None}
        if frames:
            await self._keyring.warm(frames=frames)
        found: dict[str, str | None] = {}
        for text, key in sealed.items():
            with suppress(Unknown):
                found[text] = text if key is None else self._opened(key)
        return found

    def _opened(self, key: AtRest) -> str | None:
        try:
            user_id = self._keyring.user(key.subject)
            clear = key.in_clear(user_id, lambda token: open_name(self._keyring, user_id, token))
        except (Erased, UnreadableState):
            return None
        return self._remember(Place(clear.text, user_id, key.subject, key.text, key.bound.encode())).key

    def _current(self, key: str) -> Place:
        """The place of a key with the subject that its person has now; without a key at rest where they have none."""
        known = self._known.get(key)
        if known is None:
            clear = self._clear(key)
            if clear is None:
                return self._remember(Place(key, person=OF_NO_USER))
            known = Place(key, clear.user_id)
        if known.user_id is None:
            return known
        try:
            person = self._keyring.prepared(known.user_id)
            if person.subject == known.subject:
                return self._remember(known._replace(person=person))
            return self._at_rest(key, known.user_id, person)
        except Erased:
            return known._replace(erased=True, person=NOT_KNOWN)
        except Unknown:
            return known._replace(sealed=None, person=NOT_KNOWN)

    def _at_rest(self, key: str, user_id: str, person: Prepared) -> Place:
        clear = self._clear(key)
        assert clear is not None
        at_rest = clear.at_rest(person.subject, lambda name: seal_name(self._keyring, user_id, name))
        place = Place(key, user_id, person.subject, at_rest.text, at_rest.bound.encode(), person=person)
        return self._remember(place)

    def _erased(self, place: Place) -> Place:
        """The place, erased where the subject is that the person had."""
        if place.nameless and place.subject:
            with suppress(Unknown):
                try:
                    self._keyring.subkey(place.subject, LASTING, Purpose.STATE)
                except Erased:
                    return place._replace(erased=True)
        return place

    def _remember(self, place: Place) -> Place:
        self._known[place.key] = place
        self._known.move_to_end(place.key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return place
