"""Signed heads: what the topic of audit events held at one moment, in a form that later shows any change.

A head covers every record from the first one on. Per partition it has a running digest over offset and content of each
record, and the first eight bytes of the digest of each record that came since the head before, by which a change is
named. Heads are a chain of their own, each with the digest of the one before. Signed with Ed25519 (RFC 8032).
"""

import base64
import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

VERSION = 1
MARK_BYTES = 8
START = bytes(32)
"""Running digest of a partition without records."""


@dataclass(frozen=True, slots=True)
class PartitionHead:
    """One partition: the records of offsets `first` to before `next` came since the head before.

    digest: running digest after all of them; marks: one of each of them, in their order.
    """

    first: int
    next: int
    digest: bytes
    marks: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """What is signed. number: from 1; at_ms: when, milliseconds since 1970; previous: digest of the head before.

    events: records that it covers; partitions: all that had records by then; key: fingerprint of the signer's key.
    """

    number: int
    at_ms: int
    previous: str | None
    events: int
    partitions: Mapping[int, PartitionHead]
    key: str

    def signed_bytes(self) -> bytes:
        """What the signature is over: JSON without white space, keys in their order."""
        plain = {
            "version": VERSION,
            "number": self.number,
            "at": self.at_ms,
            "previous": self.previous,
            "events": self.events,
            "key": self.key,
            "partitions": {
                str(number): {
                    "first": part.first,
                    "next": part.next,
                    "digest": part.digest.hex(),
                    "marks": b"".join(part.marks).hex(),
                }
                for number, part in self.partitions.items()
            },
        }
        return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def parsed(cls, data: bytes) -> Self:
        """The head in signed bytes. Raises ValueError for anything else."""
        try:
            plain: dict[str, Any] = json.loads(data)
            parts = {int(number): _partition(part) for number, part in plain["partitions"].items()}
            head = cls(plain["number"], plain["at"], plain["previous"], plain["events"], parts, plain["key"])
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError("not a head of the audit trail") from error
        if head.signed_bytes() != data:
            raise ValueError("not the canonical form of a head")
        return head


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A head as it is anchored. stamp: RFC 3161 response over its digest, empty without one."""

    data: bytes
    signature: bytes
    stamp: bytes = b""
    head: Head = field(init=False)

    def __post_init__(self) -> None:
        """Raises ValueError when the data is no head."""
        object.__setattr__(self, "head", Head.parsed(self.data))

    @property
    def digest(self) -> str:
        """SHA-256 of what is signed: what the next head names, and what a time stamp is over."""
        return hashlib.sha256(self.data).hexdigest()

    def line(self) -> bytes:
        """One line of JSON, without its end."""
        parts = {"head": self.data.decode(), "signature": _text(self.signature), "stamp": _text(self.stamp)}
        return json.dumps(parts).encode()

    @classmethod
    def of_line(cls, line: bytes) -> Self:
        """The head of such a line. Raises ValueError for anything else."""
        try:
            parts = json.loads(line)
            signature, stamp = (base64.b64decode(parts[name], validate=True) for name in ("signature", "stamp"))
            return cls(parts["head"].encode(), signature, stamp)
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError("not a signed head of the audit trail") from error


def mark_of(key: bytes | None, value: bytes | None) -> bytes:
    """Digest of the content of a record; its first MARK_BYTES are the record's mark."""
    name = key or b""
    return hashlib.sha256(struct.pack(">I", len(name)) + name + (value or b"")).digest()


def advanced(digest: bytes, offset: int, content: bytes) -> bytes:
    """The running digest after one more record. content: as `mark_of`."""
    return hashlib.sha256(digest + struct.pack(">q", offset) + content).digest()


def _partition(plain: Mapping[str, Any]) -> PartitionHead:
    marks = bytes.fromhex(plain["marks"])
    each = tuple(marks[at : at + MARK_BYTES] for at in range(0, len(marks), MARK_BYTES))
    return PartitionHead(plain["first"], plain["next"], bytes.fromhex(plain["digest"]), each)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
