"""The keyring of a process that erasures know of: it drops the keys of whoever is erased, and notes that it did."""

from collections.abc import Collection, Mapping

from schemas.key_purposes import LASTING
from workers.privacy.holders.key_holders import BEAT_S, KeyHolder
from workers.privacy.keyring import Keyring
from workers.privacy.person_keys import CachedPerson, Gone, PersonState, Subject
from workers.privacy.sources.lookup import Frame, KeySource


class HeldKeyring(Keyring):
    """As its base. beat_s: seconds between two looks for people who are being erased."""

    def __init__(self, source: KeySource, cache_s: float, beat_s: float = BEAT_S) -> None:
        super().__init__(source, cache_s)
        self._dropped: set[bytes] = set()
        self._holder = KeyHolder(source.holders, self.drop, beat_s)

    def drop(self, subject: bytes) -> None:
        """Hold no key of a person who is being erased, who stays known by name: what is under way counts as erased."""
        self._dropped.add(subject)
        with self._lock:
            if (person := self._people.get(subject)) is not None:
                erasing = Subject(subject, PersonState.ERASING)
                self._people[subject] = CachedPerson(person.user, erasing, (), LASTING, self._clock())
            self._drop_prepared(subject)

    def close(self) -> None:
        """As `Keyring.close`; erasures do not wait for this process any more."""
        with self._lock:
            self._people.clear()
            for subject in list(self._prepared):
                self._drop_prepared(subject)
        self._holder.close()
        super().close()

    def _read(
        self, users: Collection[str], frames: Collection[Frame], enrol: bool, since: Mapping[str, float] | float
    ) -> None:
        self._holder.seen()
        super()._read(users, frames, enrol, since)

    def _keep(
        self, known: Mapping[bytes, tuple[str, Subject]], keys: Mapping[Frame, bytes | Gone], month: int, at: float
    ) -> None:
        # Another thread may have read the keys before the person was refused, and have them only now.
        active = {subject for subject, (_, person) in known.items() if person.state is PersonState.ACTIVE}
        late = self._dropped & active
        super()._keep({subject: found for subject, found in known.items() if subject not in late}, keys, month, at)
