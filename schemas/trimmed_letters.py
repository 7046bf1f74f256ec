"""Dead letters that fit their topic: what a record leaves in its dead letter when it is too large to be kept whole.

A value or key that is too large is null in the dead letter, and headers say its SHA-256 and its size; headers beyond
the maximum are left out and counted. The original record stays on its topic at the partition and offset that the dead
letter names, until its retention ends. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from schemas.events import DeadLetter
from schemas.limit_types import utf8_length
from schemas.redrive_headers import HISTORY, REDRIVES, REVISION
from schemas.topics import MAX_RECORD_BYTES

VALUE_SHA256 = "undertone-value-sha256"
"""Hex digest of a value that was not kept; empty when the value could not be read at all."""
VALUE_BYTES = "undertone-value-bytes"
"""Its size in digits; empty when unknown."""
KEY_SHA256 = "undertone-key-sha256"
KEY_BYTES = "undertone-key-bytes"
HEADERS_LEFT_OUT = "undertone-headers-left-out"
"""How many headers were not kept, in digits."""
OURS = frozenset({VALUE_SHA256, VALUE_BYTES, KEY_SHA256, KEY_BYTES, HEADERS_LEFT_OUT})

VALUE_MOST = MAX_RECORD_BYTES
"""Bytes of a value that is kept: all that the other topics take."""
KEY_MOST = 4096
HEADERS_MOST = 128
HEADERS_MOST_BYTES = 64 * 1024
"""Bytes of all names and values of headers that are kept."""
FIRST = ("traceparent", "tracestate", REDRIVES, REVISION, "ce_id", "ce_type", "ce_source", "ce_time", HISTORY)
"""Headers that are kept before all others."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a dead letter keeps of a record."""

    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Absent:
    """A value that this process did not keep. size: bytes, None if unknown; digest: SHA-256 (hex), empty if unknown."""

    size: int | None
    digest: str


def kept(key: bytes | None, value: bytes | Absent | None, headers: Mapping[str, bytes | None]) -> Kept:
    """What a dead letter keeps of a record with this key, value and headers. Null headers become empty."""
    if isinstance(value, bytes) and len(value) > VALUE_MOST:
        value = Absent(len(value), sha256(value).hexdigest())
    told = {}
    if isinstance(value, Absent):
        told = {VALUE_SHA256: value.digest, VALUE_BYTES: "" if value.size is None else str(value.size)}
    if key is not None and len(key) > KEY_MOST:
        told |= {KEY_SHA256: sha256(key).hexdigest(), KEY_BYTES: str(len(key))}
        key = None
    # Headers of these names that came with the record would state something else.
    theirs = {name: each or b"" for name, each in headers.items() if name not in OURS}
    some = _some(theirs)
    if len(some) < len(theirs):
        told[HEADERS_LEFT_OUT] = str(len(theirs) - len(some))
    ours = {name: each.encode() for name, each in told.items()}
    return Kept(key, None if isinstance(value, Absent) else value, some | ours)


def _some(headers: Mapping[str, bytes]) -> dict[str, bytes]:
    """As many headers as a dead letter keeps, the important ones first, in their order."""
    names: set[str] = set()
    room = HEADERS_MOST_BYTES
    for name in (*(name for name in FIRST if name in headers), *headers):
        size = utf8_length(name)
        if name in names or size < 0 or len(names) == HEADERS_MOST or size + len(headers[name]) > room:
            continue
        names.add(name)
        room -= size + len(headers[name])
    return {name: each for name, each in headers.items() if name in names}


def is_trimmed(letter: DeadLetter) -> bool:
    """Whether the dead letter lacks the value or the key of its record."""
    return VALUE_SHA256 in letter.headers or KEY_SHA256 in letter.headers


def kafka_key(key: bytes | None) -> bytes | None:
    """The key of the dead letter's own record: that of its source, or the digest of one that is too large."""
    return key if key is None or len(key) <= KEY_MOST else sha256(key).digest()
