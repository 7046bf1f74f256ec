"""Records from Kafka, single and in batches, read or not, and their log fields."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Self

from schemas.errors import Poison
from schemas.headers import span_of
from schemas.sealed_frame import is_sealed
from workers.service.logs import reference


class Unread(bytes):
    """Stands for a value that was not kept; empty, so that it decodes to nothing.

    reason: code of the dead letter; detail: one sentence for an operator; size: bytes of the value, None if unknown;
    sha256: hex digest of the value, empty if unknown; sealed: a value that does not open, which its dead letter keeps,
    since it says nothing of anybody.
    """

    reason: str
    detail: str
    size: int | None
    sha256: str
    sealed: bytes | None

    @classmethod
    def because(cls, reason: str, detail: str, value: bytes | memoryview | None = None) -> Self:
        """In place of `value`, or of one that could not be read at all."""
        unread = cls()
        unread.reason, unread.detail = reason, detail
        unread.size = None if value is None else len(value)
        unread.sha256 = "" if value is None else sha256(value).hexdigest()
        unread.sealed = bytes(value) if value is not None and is_sealed(bytes(value[:2])) else None
        return unread

    @classmethod
    def too_large(cls, value: bytes | memoryview, limit: int) -> Self:
        """In place of a value in a record of more than `limit` bytes."""
        return cls.because("event:too_large", f"the record is larger than {limit} bytes", value)


class ErasedValue(bytes):
    """Stands for the value of a record of a person who was erased: it is passed over. Empty."""


ERASED = ErasedValue()


@dataclass(frozen=True, slots=True)
class Source:
    """A consumed record: its origin and its bytes."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)
    taken_at: float = field(default_factory=time.time, compare=False)
    """Unix time at which this process received it."""
    timestamp_ms: int = -1
    """Kafka's timestamp in Unix milliseconds: the broker's clock (LogAppendTime), or the producer's, right or wrong
    (CreateTime); -1 without one."""
    poison: Poison | None = None
    """Why this record is not to be processed; None for all others."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Records that an agent processes together, the same object in every attempt.

    results: what the agent has computed so far, by a key of its own: a retry after Transient finds it and computes
    nothing twice, even if the store was emptied in between.
    """

    sources: Sequence[Source]
    results: dict[str, Any] = field(default_factory=dict)


def source_of(record: Any, timestamp_ms: float | None, condemned: Poison | None = None) -> Source:
    """A client's record. timestamp_ms: Kafka's; condemned: why it is not to be processed, although it can be read."""
    poison = condemned
    if isinstance(record.value, Unread):
        poison = Poison(record.value.reason, record.value.detail)
    return Source(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value,
        dict(record.headers or ()),
        timestamp_ms=-1 if timestamp_ms is None else round(timestamp_ms),
        poison=poison,
    )


def about(source: Source, memo_id: str | None = None) -> Mapping[str, Any]:
    """`extra` of a log line about a record: its offset, its trace, and the hashes of its user and memo."""
    span = span_of(source.headers)
    fields = {
        "topic": source.topic,
        "partition": source.partition,
        "offset": source.offset,
        "trace_id": None if span is None else f"{span.trace_id:032x}",
        "user": reference("user", None if source.key is None else source.key.decode("utf-8", "replace")),
        "memo": reference("memo", memo_id),
    }
    return {name: value for name, value in fields.items() if value is not None}
