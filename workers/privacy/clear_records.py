"""Records at the border between a process, where they are in clear, and the topics: their parts, and whose they are."""

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Protocol, TypeAlias

from schemas.codec import DecodeError
from schemas.errors import Erased, Poison, Transient
from schemas.headers import Headers
from schemas.limits import ID
from schemas.sealed_frame import SUBJECT_BYTES, SealedFrame, is_sealed, parse

NO_PERSON = "\0no person"
"""The person of records whose key names none, such as dead letters of what no platform should have sent."""
FORGED = "record:forged"
"""Reason of a dead letter whose value was changed, or moved from another topic or person."""
NOW, NEVER = math.inf, -math.inf
"""In place of Unix times: of somebody who sends data at this moment, and of an erasure where there was none."""
Since: TypeAlias = Mapping[str, float] | float
"""Unix time of what says that people are here: of each pseudonym, or of all."""
_HEX = frozenset(b"0123456789abcdef")


class Raw(Protocol):
    """A record as a client gives it."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Any
    timestamp: Any
    """Kafka's, in the unit of the client; None or negative without one."""


class Opened(NamedTuple):
    """A record in clear."""

    key: bytes | None
    value: bytes | None
    headers: Any


class Written(NamedTuple):
    """A record as it is written to its topic."""

    key: bytes | None
    value: bytes
    headers: Headers


Outcome: TypeAlias = Opened | Erased | Poison | Transient
"""What became of a record at the border. Transient: it cannot be opened yet, and nothing may go past it."""


def frame_of(value: bytes) -> SealedFrame:
    """The parts of a sealed value, before any key is looked for. Raises Poison for one that never opens."""
    try:
        return parse(value)
    except DecodeError as error:
        raise Poison(FORGED, f"{error}; it was cut or changed after it was written") from None


def moment_of(record: Raw, per_s: int) -> float:
    """Unix time of Kafka's timestamp; 0 without one. per_s: how many of the client's units are a second."""
    timestamp = record.timestamp
    return 0.0 if timestamp is None else max(timestamp / per_s, 0.0)


def wanted_by(records: Iterable[Raw], per_s: int) -> tuple[set[tuple[bytes, int]], dict[str, float]]:
    """What opening records takes: of sealed ones subjects and months, of clear ones people and their newest moment.

    Sealed values that never open are not among the records.
    """
    frames, clear = set[tuple[bytes, int]](), dict[str, float]()
    for record in records:
        if record.value is not None and is_sealed(record.value):
            frame = frame_of(record.value)
            frames.add((frame.subject, frame.epoch))
        else:
            user = person_of(record.key)
            clear[user] = max(clear.get(user, NEVER), moment_of(record, per_s))
    return frames, clear


def is_subject(key: bytes | None) -> bool:
    """Whether a key of Kafka may be a subject: a pseudonym may look so as well."""
    return key is not None and len(key) == 2 * SUBJECT_BYTES and _HEX.issuperset(key)


def person_of(key: bytes | None) -> str:
    """The pseudonym in a record's key; NO_PERSON where it is none."""
    with suppress(UnicodeDecodeError):
        user = (key or b"").decode()
        return user if ID.accepts(user) else NO_PERSON
    return NO_PERSON
