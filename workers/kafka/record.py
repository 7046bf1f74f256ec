"""A record as it came from Kafka, and what logs may say of it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workers.service.logs import reference


@dataclass(frozen=True, slots=True)
class Source:
    """A record as it came: where from, and its bytes."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)
    taken_at: float = field(default_factory=time.time, compare=False)
    """Unix time at which this process took it."""


def about(source: Source, memo_id: str | None = None) -> Mapping[str, Any]:
    """`extra` of a line about a record: its place, its trace, and the hashes of its user and memo."""
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
