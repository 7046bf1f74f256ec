"""The key directory as the source of a keyring: every look-up in one go, with each purpose's key."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping

from schemas.errors import Transient
from schemas.key_purposes import LASTING, Purpose
from workers.privacy.clear_records import NEVER, Since
from workers.privacy.holders.key_holders import HolderTable
from workers.privacy.key_requests import REPLACED
from workers.privacy.key_tables import KeyDatabase
from workers.privacy.person_keys import ERASED, Gone, PersonState, Subject, purpose_key
from workers.privacy.sources.lookup import Found, Frame, Lookup


class DirectorySource(ABC):
    """The part of a key directory that is a `KeySource`."""

    @property
    @abstractmethod
    def database(self) -> KeyDatabase:
        """The tables of the directory."""

    @abstractmethod
    def subjects_of(self, users: Collection[str]) -> dict[str, Subject]:
        """The people of these pseudonyms who are in the directory."""

    @abstractmethod
    def enrol(self, users: Collection[str], since: Since = NEVER) -> dict[str, Subject]:
        """The people of these pseudonyms, each given a subject and keys if new."""

    @abstractmethod
    def keys_of(self, wanted: Collection[Frame]) -> dict[Frame, bytes | Gone]:
        """The keys of people and epochs, or ERASED."""

    @abstractmethod
    def make_keys(self, wanted: Collection[Frame]) -> dict[Frame, bytes | Gone]:
        """As `keys_of`, and keys for epochs that active people have none for yet."""

    @abstractmethod
    def people(self, subjects: Collection[bytes]) -> dict[bytes, Subject]:
        """State of these subjects."""

    @abstractmethod
    def names_of(
        self, subjects: Collection[bytes], keys: Mapping[Frame, bytes | Gone] | None = None
    ) -> dict[bytes, str | Gone]:
        """The pseudonyms of subjects, or ERASED."""

    @abstractmethod
    def destroyed_before(self) -> int:
        """The first epoch that retention left."""

    @property
    def holders(self) -> HolderTable:
        """Notes about processes that have keys of this directory in memory."""
        return HolderTable(self.database)

    def purpose_key(self, key: bytes, epoch: int, purpose: Purpose) -> bytes:
        """The key of a purpose: whoever has the directory may have each."""
        return purpose_key(key, purpose)

    def look_up(self, lookup: Lookup) -> Found:
        """As `KeySource.look_up`."""
        users = self.subjects_of(lookup.users) if lookup.users else {}
        if lookup.enrol and (missing := lookup.users - users.keys()):
            self._check_not_lost(lookup.known or {}, missing)
            users |= self.enrol(missing, lookup.since)
        sealed = {(subject.id, lookup.month) for subject in users.values() if subject.state is PersonState.ACTIVE}
        subjects = {subject for subject, _ in sealed | lookup.frames}
        lasting = {(subject, epoch) for subject in subjects for epoch in (LASTING, lookup.month)}
        met = {(subject, epoch) for subject, epoch in lookup.met if subject in subjects}
        held = sealed & met  # keys that the process has had are not made a second time
        new = sealed - held
        keys = self.make_keys(new) | self.keys_of((lookup.frames | lasting | met) - new)
        if not held <= keys.keys():
            raise Transient(REPLACED)
        destroyed_before = self.destroyed_before() if ERASED in keys.values() else None
        known = {subject.id: (user, subject) for user, subject in users.items()}
        return Found(self._named(lookup.frames, keys) | known, keys, destroyed_before)

    def _named(self, frames: Iterable[Frame], keys: Mapping[Frame, bytes | Gone]) -> dict[bytes, tuple[str, Subject]]:
        """The people of sealed values. Active ones have a name, or are left out."""
        people = self.people({subject for subject, _ in frames})
        names = self.names_of(people, keys)
        found = {}
        for subject, person in people.items():
            name = names.get(subject)
            if isinstance(name, str) or person.state is not PersonState.ACTIVE:
                found[subject] = (name if isinstance(name, str) else "", person)
        return found

    def _check_not_lost(self, known: Mapping[str, bytes], missing: Collection[str]) -> None:
        """Raises Transient for people of the process who left no tombstone."""
        lost = {known[user] for user in missing if user in known}
        if lost and not lost <= self.people(lost).keys():
            raise Transient(REPLACED)
