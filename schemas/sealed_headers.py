"""Headers of sealed records: what a broker's administrator sees of a memo, without the ids that name it.

Ids become keyed hashes (BLAKE2b, RFC 7693) under the person's lasting key, so equal ids of one person stay equal,
records of one memo keep one trace, and an id cannot be guessed without the key. The moment of recording is left out,
and so is whatever else a platform puts into headers. Pure: publishing a record again gives the same headers.
"""

import re
from collections.abc import Iterable, Mapping
from hashlib import blake2b

from schemas.headers import CONTENT_TYPE, Headers
from schemas.redrive_headers import HISTORY, REDRIVES, REVISION

SEALED_CONTENT_TYPE = "application/vnd.undertone.sealed"
"""`content-type` of a sealed value; headers with it hold no ids."""
KEPT = frozenset({"ce_specversion", "ce_type", "ce_source", REDRIVES, REVISION, HISTORY})
"""Headers that stay as they are: what a record is, who wrote it, how often it was redriven."""

_TYPE = SEALED_CONTENT_TYPE.encode()
_MARK = ("content-type", _TYPE)
_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_ID, _SPAN, _TRACE, _PROOF = b"i", b"s", b"t", b"p"
"""What is hashed, before it."""


class HeaderKey:
    """The key of the headers of a person's records. key: 16 to 64 bytes.

    The hashes are started once, and continued for each header from there.
    """

    __slots__ = ("_half", "_whole")

    def __init__(self, key: bytes) -> None:
        self._whole = blake2b(key=key, digest_size=16)
        self._half = blake2b(key=key, digest_size=8)

    def whole(self, data: bytes) -> bytes:
        """32 hexadecimal digits."""
        started = self._whole.copy()
        started.update(data)
        return started.hexdigest().encode()

    def half(self, data: bytes) -> bytes:
        """16 hexadecimal digits."""
        started = self._half.copy()
        started.update(data)
        return started.hexdigest().encode()


def is_concealed(headers: Mapping[str, bytes] | Headers) -> bool:
    """Whether headers are those of a sealed record."""
    return _MARK in (headers.items() if isinstance(headers, Mapping) else headers)


def concealed(headers: Iterable[tuple[str, bytes]], key: HeaderKey) -> Headers:
    """The headers of a record as a sealed one has them; those of one that was sealed before stay as they are.

    key: of the person. A trace that is concealed already is continued.
    """
    given = list(headers)
    if is_concealed(given):
        return given
    kept: Headers = []
    for name, value in given:
        if name in KEPT:
            kept.append((name, value))
        elif name == "ce_id":
            kept.append((name, key.whole(_ID + (value or b""))))
        elif name == "traceparent" and (trace := _trace(value or b"", key)):
            kept.append((name, trace))
    return [*kept, _MARK]


def revealed(headers: Iterable[tuple[str, bytes]]) -> Headers:
    """The headers of a record that was sealed and is written in clear: its ids stay concealed."""
    return [(name, CONTENT_TYPE.encode() if value == _TYPE else value) for name, value in headers]


def _trace(value: bytes, key: HeaderKey) -> bytes:
    """The position in the trace, with a keyed hash in place of both ids; empty for what is no position.

    The second half of a concealed trace id is the keyed hash of the first, so one is known without a mark: whoever
    continues a trace keeps it.
    """
    found = _TRACEPARENT.fullmatch(value)
    if found is None:
        return b""
    version, trace, span, flags = found.groups()
    if key.half(_PROOF + trace[:16]) != trace[16:]:
        half = key.half(_TRACE + trace)
        trace = half + key.half(_PROOF + half)
    return b"-".join((version, trace, key.half(_SPAN + trace + span), flags))
