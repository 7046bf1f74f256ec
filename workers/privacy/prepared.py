"""Keys and ciphers that were derived before, by person: deriving them takes longer than sealing a record.

The base of a keyring, which says whose keys may be used. Whatever ends that for one person drops what is prepared of
that person, and of no other.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV

from schemas.key_purposes import LASTING, LASTING_PURPOSES, Purpose
from schemas.sealed_frame import SUBJECT, header, parse_header
from schemas.sealed_headers import HeaderKey

PREPARED = 2000
"""Most people whose ciphers are prepared, 1 to 8 KB each: more than the batches of a process have at once."""


class Sealer(NamedTuple):
    """What seals a person's data for one purpose. head: of its frames."""

    head: bytes
    cipher: AESGCM


class Prepared:
    """What is prepared of an active person.

    until: when it may no longer be used; key: the subject as a key of Kafka; subkeys: by epoch and purpose; openers:
    by header and purpose; value, state, headers: of Redis and of the headers of records, None until one is needed;
    values: of Redis, used last, by key: as stored and in clear.
    """

    __slots__ = (
        "headers",
        "key",
        "openers",
        "sealers",
        "state",
        "subject",
        "subkeys",
        "until",
        "user",
        "value",
        "values",
    )

    def __init__(self, user: str, subject: bytes, until: float) -> None:
        self.user, self.subject, self.key = user, subject, subject.hex().encode()
        self.drop()
        self.until = until

    def drop(self) -> None:
        """End its use at once."""
        self.until = -math.inf
        self.subkeys: dict[tuple[int, Purpose], bytes] = {}
        self.sealers: dict[Purpose, Sealer] = {}
        self.openers: dict[tuple[bytes, Purpose], AESGCM] = {}
        self.value: AESGCM | None = None
        self.state: AESSIV | None = None
        self.headers: HeaderKey | None = None
        self.values: dict[str, tuple[bytes, bytes]] = {}


class PreparedPeople(ABC):
    """What is prepared of the people used last. clock: seconds, monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._subjects: dict[str, bytes] = {}
        self._prepared: dict[bytes, Prepared] = {}

    @abstractmethod
    def subject(self, user_id: str) -> bytes:
        """The subject of an active user. Raises Erased or Unknown."""

    @abstractmethod
    def epoch(self, subject: bytes) -> int:
        """The month for new records of an active person. Raises Erased or Unknown."""

    @abstractmethod
    def _derived(self, subject: bytes, epoch: int, purpose: Purpose) -> bytes:
        """The key of a person, an epoch and a purpose. Raises Erased or Unknown."""

    @abstractmethod
    def _prepare(self, subject: bytes) -> Prepared:
        """Add an active person. Raises Erased or Unknown."""

    def subkey(self, subject: bytes, epoch: int, purpose: Purpose) -> bytes:
        """The key of a person, an epoch and a purpose. Raises Erased or Unknown."""
        known = self.prepared_of(subject).subkeys
        derived = known.get((epoch, purpose))
        if derived is None:
            derived = known[epoch, purpose] = self._derived(subject, epoch, purpose)
        return derived

    def prepared(self, user_id: str) -> Prepared:
        """What is prepared of a user. Raises Erased or Unknown."""
        found = self._prepared.get(self._subjects.get(user_id, b""))
        return found if found is not None and self._clock() <= found.until else self._prepare(self.subject(user_id))

    def prepared_of(self, subject: bytes) -> Prepared:
        """What is prepared of a person. Raises Erased or Unknown."""
        found = self._prepared.get(subject)
        return found if found is not None and self._clock() <= found.until else self._prepare(subject)

    def sealer(self, person: Prepared, purpose: Purpose) -> Sealer:
        """What seals a person's records of this month, or columns. Raises Erased or Unknown."""
        found = person.sealers.get(purpose)
        if found is None:
            epoch = LASTING if purpose in LASTING_PURPOSES else self.epoch(person.subject)
            cipher = AESGCM(self.subkey(person.subject, epoch, purpose))
            found = person.sealers[purpose] = Sealer(header(person.subject, epoch), cipher)
        return found

    def opener(self, head: bytes, purpose: Purpose) -> tuple[Prepared, AESGCM]:
        """Whose records have this header, and what opens them. Raises DecodeError, Erased or Unknown."""
        person = self._prepared.get(head[SUBJECT])
        if person is None or self._clock() > person.until:
            person = self._prepare(parse_header(head)[0])
        cipher = person.openers.get((head, purpose))
        if cipher is None:
            cipher = person.openers[head, purpose] = AESGCM(self.subkey(*parse_header(head), purpose))
        return person, cipher

    def value_cipher(self, person: Prepared) -> AESGCM:
        """What seals and opens a person's values in Redis. Raises Erased or Unknown."""
        if person.value is None:
            person.value = AESGCM(self.subkey(person.subject, LASTING, Purpose.VALUE))
        return person.value

    def state_cipher(self, user_id: str) -> AESSIV:
        """What seals and opens names and entries of a user in Redis. Raises Erased or Unknown."""
        person = self.prepared(user_id)
        if person.state is None:
            person.state = AESSIV(self.subkey(person.subject, LASTING, Purpose.STATE))
        return person.state

    def header_key(self, person: Prepared) -> HeaderKey:
        """What conceals headers of a person's records, so that they cannot be linked after an erasure."""
        if person.headers is None:
            person.headers = HeaderKey(self.subkey(person.subject, LASTING, Purpose.HEADERS))
        return person.headers

    def now(self) -> float:
        """The time of `Prepared.until`."""
        return self._clock()

    def _add_prepared(self, person: Prepared) -> Prepared:
        """Add a person; those added longest ago make room. The caller holds the lock."""
        self._drop_prepared(person.subject)
        while len(self._prepared) >= PREPARED:
            self._drop_prepared(next(iter(self._prepared)))
        self._prepared[person.subject] = person
        return person

    def _drop_prepared(self, subject: bytes) -> None:
        dropped = self._prepared.pop(subject, None)
        if dropped is not None:
            dropped.drop()
