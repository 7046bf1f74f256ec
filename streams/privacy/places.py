"""What an erasure asks of each place where data of people rests."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.state_keys import DRIFT


@dataclass(frozen=True, slots=True)
class Person:
    """Who is erased. user_id: the pseudonym, which data in clear is found by, or empty; subject: 16 bytes."""

    user_id: str
    subject: bytes

    @property
    def names(self) -> tuple[str, str]:
        """What the person is called in keys and columns: sealed, and in clear."""
        return self.subject.hex(), self.user_id

    def named_in(self, data: bytes) -> bool:
        """Whether bytes hold the pseudonym, as it is or as keys in Redis spell it; False where it is not known."""
        if not self.user_id:
            return False
        in_keys = DRIFT.key(self.user_id)[len(DRIFT.prefix) : -1]
        return any(mentions(data, spelt) for spelt in {self.user_id, in_keys})


def mentions(data: bytes, name: str) -> bool:
    """Whether bytes hold a name, and not only as the beginning of a longer one.

    >>> mentions(b"join:{p-1}:m", "p-1"), mentions(b"join:{p-12}:m", "p-1")
    (True, False)
    """
    text = name.encode()
    return text in data and re.search(re.escape(text) + rb"(?![\w-])", data) is not None


@dataclass(frozen=True, slots=True)
class Trial:
    """What a reader with every right found. tried: values that were read; of the person: those under its subject.

    opened: of the person's values, those that still open, or are in clear; named: values anywhere that hold the
    pseudonym in clear; kept: the same where the marks say that it stays, as in an audit trail without a key.
    """

    tried: int = 0
    sealed: int = 0
    opened: int = 0
    named: int = 0
    kept: int = 0

    def __add__(self, other: "Trial") -> "Trial":
        return Trial(
            self.tried + other.tried,
            self.sealed + other.sealed,
            self.opened + other.opened,
            self.named + other.named,
            self.kept + other.kept,
        )

    @property
    def passed(self) -> bool:
        """Whether nothing of the person is left that says anything."""
        return not self.opened and not self.named


class Place(Protocol):
    """One kind of storage: Kafka, Redis, SQL, the files of a home. Every call may be repeated, and raises Transient."""

    name: str

    async def forget(self, person: Person) -> Counter[str]:
        """Delete what is the person's own, and the person's entries elsewhere; how many, by row of its table."""

    async def rewrite(self) -> Sequence[str]:
        """Rewrite files that keep what was deleted; when that is done, what may still hold it, in words."""

    async def attempt(self, person: Person) -> Mapping[str, Trial]:
        """Try to open, and to find, anything of the person, by row of its table."""
