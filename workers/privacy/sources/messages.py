"""What a process and the key server say to each other: JSON, with bytes as base64. Nothing else is accepted.

Keys of a person and an epoch are sent one after another, in the order of `fitting`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from schemas.errors import UndertoneError
from schemas.key_purposes import LAST_EPOCH, LASTING, LASTING_PURPOSES, Purpose
from workers.privacy.clear_records import NEVER, NOW, Since
from workers.privacy.person_keys import ERASED, KEY_BYTES, PURPOSE_KEY_BYTES, Gone, PersonState, Subject
from workers.privacy.sources.lookup import Found, Lookup

GRANT, KEYS, ERASURES, BEAT, DROPPED, LEFT = (
    "/v1/grant",
    "/v1/keys",
    "/v1/erasures",
    "/v1/holders/beat",
    "/v1/holders/dropped",
    "/v1/holders/left",
)
"""Paths; all but the first are posted to."""
PEOPLE = 1000
"""Most pseudonyms, and most subjects and epochs, of one request."""
MET = 20_000
BODY_BYTES = 4 * 1024 * 1024
"""Largest request."""

T = TypeVar("T")
Random16: TypeAlias = Annotated[bytes, Meta(min_length=16, max_length=16)]
Named: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
Epoch: TypeAlias = Annotated[int, Meta(ge=0, le=LAST_EPOCH)]
Pair: TypeAlias = tuple[Random16, Epoch]


class NotUnderstood(UndertoneError):
    """A message that is none of these; what is wrong with it, without its content."""


class Granted(Struct, forbid_unknown_fields=True):
    """What the caller is given, as in `schemas/key_grants.py`."""

    purposes: tuple[Purpose, ...]
    enrols: bool
    finds: bool


class Asked(Struct, forbid_unknown_fields=True):
    """A look-up, for keys of these purposes. since: Unix times, `now`, or null for never."""

    purposes: Annotated[tuple[Purpose, ...], Meta(max_length=len(Purpose))]
    month: Annotated[int, Meta(ge=1, le=LAST_EPOCH)]
    users: Annotated[list[Named], Meta(max_length=PEOPLE)] = []
    frames: Annotated[list[Pair], Meta(max_length=PEOPLE)] = []
    enrol: bool = False
    since: Annotated[dict[Named, float], Meta(max_length=PEOPLE)] | Literal["now"] | None = None
    known: Annotated[dict[Named, Random16], Meta(max_length=PEOPLE)] = {}
    met: Annotated[list[Pair], Meta(max_length=MET)] = []

    @classmethod
    def of(cls, lookup: Lookup, purposes: Iterable[Purpose]) -> "Asked":
        """The look-up as a message."""
        return cls(
            tuple(purposes),
            lookup.month,
            sorted(lookup.users),
            sorted(lookup.frames),
            lookup.enrol,
            _moments(lookup.since),
            dict(lookup.known or {}),
            sorted(lookup.met),
        )

    def lookup(self) -> Lookup:
        """What is looked up."""
        since: Since = {None: NEVER, "now": NOW}[self.since] if not isinstance(self.since, dict) else self.since
        return Lookup(
            self.month,
            frozenset(self.users),
            frozenset(self.frames),
            self.enrol,
            since,
            self.known,
            frozenset(self.met),
        )


class Answered(Struct, forbid_unknown_fields=True):
    """The answer. keys: null for one that is gone."""

    people: list[tuple[Random16, str, PersonState]]
    keys: list[tuple[Random16, Epoch, bytes | None]]
    destroyed_before: int | None

    @classmethod
    def of(
        cls, found: Found, purposes: Iterable[Purpose], derive: Callable[[bytes, int, Purpose], bytes]
    ) -> "Answered":
        """What was found, with the keys of these purposes alone. derive: from a person's key, as a `KeySource` does."""
        wanted = tuple(purposes)
        keys = [
            (
                subject,
                epoch,
                None
                if isinstance(key, Gone)
                else b"".join(derive(key, epoch, purpose) for purpose in fitting(wanted, epoch)),
            )
            for (subject, epoch), key in found.keys.items()
        ]
        people = [(subject, user, person.state) for subject, (user, person) in found.people.items()]
        return cls(people, keys, found.destroyed_before)

    def found(self) -> Found:
        """What was found."""
        return Found(
            {subject: (user, Subject(subject, state)) for subject, user, state in self.people},
            {(subject, epoch): ERASED if key is None else key for subject, epoch, key in self.keys},
            self.destroyed_before,
        )


class Users(Struct, forbid_unknown_fields=True):
    """Pseudonyms whose erasures are asked for."""

    users: Annotated[list[Named], Meta(max_length=PEOPLE)]


class Erasures(Struct, forbid_unknown_fields=True):
    """Subject and Unix time of the last erasure, by pseudonym."""

    erased: dict[str, tuple[Random16, float]]


class Holder(Struct, forbid_unknown_fields=True):
    """A process that has keys in memory. subjects: whose keys it dropped."""

    holder: Random16
    subjects: Annotated[list[Random16], Meta(max_length=PEOPLE)] = []


class Erasing(Struct, forbid_unknown_fields=True):
    """Whose keys a process has to drop."""

    subjects: list[Random16]


def fitting(purposes: Iterable[Purpose], epoch: int) -> list[Purpose]:
    """Those of these purposes that have a key of this epoch, in the order of their names.

    >>> [purpose.value for purpose in fitting([Purpose.VALUE, Purpose.SCORES, Purpose.ALERTS], 323)]
    ['alerts', 'scores']
    """
    return sorted(purpose for purpose in set(purposes) if (purpose in LASTING_PURPOSES) == (epoch == LASTING))


def places(purposes: Iterable[Purpose]) -> Mapping[Purpose, slice]:
    """Where the key of each purpose is among those of its epoch, for purposes that fit the same epoch."""
    found, start = {}, 0
    for purpose in sorted(purposes):
        found[purpose] = slice(start, start + PURPOSE_KEY_BYTES.get(purpose, KEY_BYTES))
        start = found[purpose].stop
    return found


def encoded(message: Struct) -> bytes:
    """A message as it is sent."""
    return msgspec.json.encode(message)


def decoded(data: bytes, kind: type[T]) -> T:
    """The message. Raises NotUnderstood for anything else."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotUnderstood(str(error)) from None


def _moments(since: Since) -> Any:
    if isinstance(since, Mapping):
        return dict(since)
    return "now" if since == NOW else None
