"""What a keyring asks for in one go, and what it is answered: by a key directory, or by a key server that has one."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from schemas.key_purposes import Purpose
from workers.privacy.clear_records import NEVER, Since
from workers.privacy.erased_people import LastErasure
from workers.privacy.person_keys import Gone, Subject

Frame: TypeAlias = tuple[bytes, int]
"""Subject and epoch of a sealed value."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """What is missing in the memory of a process.

    month: of new data, which `users` get a key for; frames: what is to be opened; enrol: give unknown users a subject;
    since: as `KeyDirectory.enrol`; known: subjects that the process knew of some of `users`; met: keys that it has had,
    which are not made a second time.
    """

    month: int
    users: frozenset[str] = frozenset()
    frames: frozenset[Frame] = frozenset()
    enrol: bool = False
    since: Since = NEVER
    known: Mapping[str, bytes] | None = None
    met: frozenset[Frame] = frozenset()


class Found(NamedTuple):
    """The answer. people: pseudonym, empty where an erased person's is not known, and state, by subject.

    keys: those that there are, as the source's `purpose_key` takes them; destroyed_before: the first epoch that
    retention left, None where no key is gone.
    """

    people: Mapping[bytes, tuple[str, Subject]]
    keys: Mapping[Frame, bytes | Gone]
    destroyed_before: int | None


class Holders(Protocol):
    """Notes about processes that may have keys in memory. holder: random bytes, of one life of a process."""

    def beat(self, holder: bytes, now: float) -> Collection[bytes]:
        """Note that a process lives; subjects of who is being erased, whose keys it has not dropped yet."""

    def note_dropped(self, holder: bytes, subjects: Collection[bytes]) -> None:
        """Note that a process dropped keys."""

    def remove(self, holder: bytes) -> None:
        """Note that a process has no keys any more."""


class KeySource(Protocol):
    """Where keys come from. Calls wait, in a thread, and raise Transient while it does not answer."""

    @property
    def holders(self) -> Holders:
        """Where it is noted that keys are in memory."""

    def look_up(self, lookup: Lookup) -> Found:
        """The answer to all of it. Raises Transient also where keys are gone that the process has had."""

    def purpose_key(self, key: bytes, epoch: int, purpose: Purpose) -> bytes:
        """The key of a purpose, from what `look_up` gave. Raises Stop for one that this process may not have."""

    def people(self, subjects: Collection[bytes]) -> Mapping[bytes, Subject]:
        """Those of these subjects that are known."""

    def last_erasures(self, users: Collection[str]) -> Mapping[str, LastErasure]:
        """Those of these pseudonyms that were erased, and when last."""

    def close(self) -> None:
        """Close connections."""
