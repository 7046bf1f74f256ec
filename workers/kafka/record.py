"""Records from Kafka, single and in batches, and their log fields."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workers.service.logs import reference


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


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Records that an agent processes together, the same object in every attempt.

    results: what the agent has computed so far, by a key of its own: a retry after Transient finds it and computes
    nothing twice, even if the store was emptied in between.
    """

    sources: Sequence[Source]
    results: dict[str, Any] = field(default_factory=dict)


def timestamp_ms_of(timestamp: float | None) -> int:
    """Kafka's timestamp of a record as `Source.timestamp_ms`; a client gives None where the record has none."""
    return -1 if timestamp is None else round(timestamp)


def about(source: Source, memo_id: str | None = None) -> Mapping[str, Any]:
    """`extra` of a log line about a record: its offset, its trace, and the hashes of its user and memo."""
    traceparent = (source.headers.get("traceparent") or b"").decode("ascii", "replace").split("-")
    fields = {
        "topic": source.topic,
        "partition": source.partition,
        "offset": source.offset,
        "trace_id": traceparent[1] if len(traceparent) > 1 else None,
        "user": reference("user", None if source.key is None else source.key.decode("utf-8", "replace")),
        "memo": reference("memo", memo_id),
    }
    return {name: value for name, value in fields.items() if value is not None}
