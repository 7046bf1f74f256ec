"""Headers of every record: what it is, for any CloudEvents reader, and which trace it belongs to.

Pure: ids and times come from the record, so publishing a record again gives the same headers.
Sources: CloudEvents 1.0.2, Kafka protocol binding, binary content mode; W3C Trace Context, `traceparent` version 00.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TypeAlias

from schemas.events import (
    AuditEvent,
    CareAction,
    Consent,
    DeadLetter,
    MemoFeatures,
    MemoUploaded,
    Record,
    RiskAlert,
    RiskScored,
)
from schemas.ids import derived_id

Headers: TypeAlias = list[tuple[str, bytes]]
"""As Kafka clients take them."""

CONTENT_TYPE = "application/avro"
TYPE_PREFIX = "undertone.v1."
"""Before the record's name: the full name of its Avro schema."""

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1
TRACESTATE_BYTES = 512
"""A longer `tracestate` ends here: the specification asks for this many bytes at least."""


@dataclass(frozen=True, slots=True)
class Span:
    """The position of a record in its trace. flags: bit 0 says whether the trace is recorded."""

    trace_id: int
    span_id: int
    flags: int


def span_of(headers: Mapping[str, bytes]) -> Span | None:
    """The span in the `traceparent` of a record; None if it cannot be parsed."""
    given = _parse(headers.get("traceparent") or b"")
    return None if given is None else Span(int(given[0], 16), int(given[1], 16), given[2])


def headers_for(
    record_id: str,
    record_type: str,
    source: str,
    time: datetime,
    parent: Mapping[str, bytes] | None,
    trace: str = "",
) -> Headers:
    """CloudEvents attributes and `traceparent` of one record.

    record_id: unique with `source`; source: URI reference of the writer, such as `/undertone/fusion`; time: when it
    happened, aware; parent: headers of the record that caused this one; trace: id that a new trace is derived from
    when the parent has none, so that all records of a memo share one (default: the record's own id).
    Raises ValueError for a time without a zone.
    """
    if time.tzinfo is None:
        raise ValueError("a time without a zone: headers carry aware UTC datetimes")
    moment = time.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": record_id,
        "ce_type": record_type,
        "ce_source": source,
        "ce_time": moment,
        "content-type": CONTENT_TYPE,
    }
    headers = [(name, value.encode()) for name, value in attributes.items()]
    return headers + _trace_headers(f"{record_type} {record_id}", parent or {}, trace or record_id)


def headers_of(record: Record, stage: str, parent: Mapping[str, bytes] | None) -> Headers:
    """`headers_for` a record that `stage` writes; records of one memo share a trace even without a parent."""
    record_id, time, trace = _identity(record)
    return headers_for(record_id, TYPE_PREFIX + type(record).__name__, f"/undertone/{stage}", time, parent, trace)


def _identity(record: Record) -> tuple[str, datetime, str]:
    """Id of a record, when it happened, and what derives the trace of its memo: memo ids are unique per user only."""
    match record:
        case DeadLetter():
            return record.dead_letter_id, record.at, record.dead_letter_id
        case CareAction():
            return record.action_id, record.at, record.action_id
        case Consent():
            return record.consent_id, record.at, record.consent_id
        case AuditEvent():
            return record.audit_id, record.at, record.audit_id
    memo = derived_id("memo", record.user_id, record.memo_id)
    match record:
        case MemoUploaded():
            # Only `submit` writes uploads, whose memo ids are derived from their users.
            return record.memo_id, record.uploaded_at, memo
        case MemoFeatures():
            # Features have no id of their own: a memo has one record of each modality.
            return derived_id("features", memo, record.modality), record.uploaded_at, memo
        case RiskScored():
            return record.score_id, record.scored_at, memo
        case RiskAlert():
            return record.alert_id, record.at, memo


def _trace_headers(span: str, parent: Mapping[str, bytes], trace: str) -> Headers:
    """A child of the parent's span, or the first span of a trace; the parent's `tracestate` goes with its trace."""
    given = _parse(parent.get("traceparent") or b"")  # Kafka headers may be null
    if given is None:
        return [("traceparent", f"00-{_hex(trace, 32)}-{_hex(span, 16)}-{_SAMPLED:02x}".encode())]
    trace_id, parent_id, flags = given
    child = _hex(f"{parent_id} {span}", 16)
    given_state = parent.get("tracestate")
    state = [("tracestate", given_state)] if given_state is not None and len(given_state) <= TRACESTATE_BYTES else []
    return [("traceparent", f"00-{trace_id}-{child}-{flags & _SAMPLED:02x}".encode()), *state]


def _parse(value: bytes) -> tuple[str, str, int] | None:
    """Trace id, span id and flags; None for anything that the specification tells a reader to ignore."""
    match = _TRACEPARENT.fullmatch(value.decode("ascii", "replace"))
    if match is None or (match[1] == "00" and match[5] is not None):
        return None
    return match[2], match[3], int(match[4], 16)


def _hex(text: str, digits: int) -> str:
    return sha256(text.encode()).hexdigest()[:digits]
