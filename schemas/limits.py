"""The limits of every field of every record, which `Codec` enforces when it reads and when it writes.

A record outside of them becomes a dead letter when it is read, and is not written. `docs/limits.md` and the `doc` and
validation keywords of the Avro schemas are generated from FIELDS. An enum has no row: its symbols are its limit. These
are limits of one record by itself: that a time is not in the future is for the stage that reads it.
"""

from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter, call
from typing import Any

from schemas.care_events import AuditEvent, CareAction, Consent
from schemas.events import (
    AlertEvidence,
    BaselineSummary,
    DeadLetter,
    Evidence,
    Extractor,
    MemoFeatures,
    MemoUploaded,
    Quality,
    RecentSummary,
    RiskAlert,
    RiskScored,
    ScorePoint,
)
from schemas.limit_types import (
    Accepts,
    Alphabet,
    Limit,
    codes,
    digest,
    flag,
    floats,
    headers,
    items,
    maybe,
    moment,
    number,
    octets,
    text,
    whole,
)
from schemas.topics import DEAD, MAX_RECORD_BYTES

OVERHEAD_BYTES = 16 * 1024
"""Left for the key, the headers and the framing of a record that fills its topic's maximum."""
RECORD_BYTES: Mapping[type[Any], int] = {
    MemoUploaded: 64 * 1024,
    MemoFeatures: MAX_RECORD_BYTES - OVERHEAD_BYTES,
    RiskScored: 64 * 1024,
    RiskAlert: 64 * 1024,
    DeadLetter: DEAD.max_bytes - OVERHEAD_BYTES,
    CareAction: 64 * 1024,
    Consent: 64 * 1024,
    AuditEvent: 256 * 1024,
}
"""Maximum bytes of an encoded record, with room for fields that newer writers add."""
RECORD_VALUES = 20_000
"""Maximum values in one record: numbers, texts and byte strings, at any depth. Each takes a byte at least."""

ID = text(1, 128, Alphabet.PRINTABLE)
CODE = text(1, 128, Alphabet.CODE)
LABEL = text(1, 256, Alphabet.PRINTABLE)
TIME = moment(1970, 2199)
SECONDS = number(0, 86_400)
LENGTH = number(0, 86_400, above=True)
FINITE = number(-1e39, 1e39)
"""What 32-bit floats hold, and so every value that is derived from features without an overflow."""
COUNT = whole(0, 2**53 - 1)


def part(kind: type[Any]) -> Limit:
    """A record within a record."""
    return Limit("within the limits of its fields", lambda value: _within(kind, value), {}, part=kind)


FIELDS: Mapping[type[Any], Mapping[str, Limit]] = {
    MemoUploaded: {
        "memo_id": ID,
        "user_id": ID,
        "recorded_at": TIME,
        "uploaded_at": TIME,
        "audio_uri": text(0, 4096, Alphabet.ANY),
        "sha256": maybe(digest()),
        "language": maybe(text(0, 64, Alphabet.CODE)),
    },
    MemoFeatures: {
        "memo_id": ID,
        "user_id": ID,
        "recorded_at": TIME,
        "uploaded_at": TIME,
        "extractor": part(Extractor),
        "duration_s": LENGTH,
        "window_s": LENGTH,
        "windows": floats(2, 1_000_000, undefined=True),
        "summary": floats(1, 65_536, undefined=True),
        "names": codes(4096, 128),
        "quality": part(Quality),
        "undefined": codes(4096, 128),
    },
    Extractor: {"name": LABEL, "version": LABEL, "weights_hash": CODE},
    Quality: {
        "speech_s": SECONDS,
        "snr_db": number(-1000, 1000),
        "clipped": number(0, 1),
        "bandwidth_hz": number(0, 10_000_000),
        "reasons": codes(64, 128),
        "fragile": codes(1024, 128),
        "channel": text(0, 128, Alphabet.CODE),
    },
    RiskScored: {
        "score_id": ID,
        "memo_id": ID,
        "user_id": ID,
        "recorded_at": TIME,
        "uploaded_at": TIME,
        "scored_at": TIME,
        "probability": maybe(number(0, 1)),
        "reasons": codes(64, 128),
        "evidence": items(64, part(Evidence)),
        "modalities": items(16, None),
        "bundle_id": ID,
    },
    Evidence: {
        "name": CODE,
        "value": FINITE,
        "deviation_sd": FINITE,
        "fragile": flag(),
        "contribution": maybe(FINITE),
        "usual": maybe(FINITE),
    },
    RiskAlert: {
        "alert_id": ID,
        "dedup_key": ID,
        "user_id": ID,
        "statistic": FINITE,
        "threshold": FINITE,
        "baseline": part(BaselineSummary),
        "recent": part(RecentSummary),
        "since": TIME,
        "at": TIME,
        "memo_id": ID,
        "bundle_id": ID,
        "evidence": items(64, part(AlertEvidence)),
        "scores": items(256, part(ScorePoint)),
        "summary": text(0, 1024, Alphabet.ANY),
    },
    AlertEvidence: {
        "name": CODE,
        "value": FINITE,
        "usual": maybe(FINITE),
        "deviation_sd": FINITE,
        "fragile": flag(),
        "contribution": maybe(FINITE),
    },
    ScorePoint: {"recorded_at": TIME, "probability": maybe(number(0, 1))},
    BaselineSummary: {"n": COUNT, "mean": FINITE, "sd": number(0, 1e12)},
    RecentSummary: {"n": COUNT, "mean": FINITE},
    DeadLetter: {
        "dead_letter_id": ID,
        "stage": CODE,
        "topic": text(1, 249, Alphabet.CODE),
        "partition": whole(0, 2**31 - 1),
        "offset": whole(0, 2**63 - 1),
        "key": maybe(octets(MAX_RECORD_BYTES)),
        "value": maybe(octets(DEAD.max_bytes)),
        "headers": headers(4096, MAX_RECORD_BYTES),
        "reason": CODE,
        "detail": text(0, 4096, Alphabet.ANY),
        "at": TIME,
    },
    CareAction: {
        "action_id": ID,
        "user_id": ID,
        "at": TIME,
        "actor": LABEL,
        "dedup_key": maybe(ID),
        "note": maybe(text(0, 4096, Alphabet.ANY)),
        "assignee": maybe(LABEL),
        "since": maybe(TIME),
        "until": maybe(TIME),
        "excluded": flag(),
        "mark_id": maybe(ID),
    },
    Consent: {
        "consent_id": ID,
        "user_id": ID,
        "at": TIME,
        "actor": LABEL,
        "reason": maybe(text(0, 1024, Alphabet.ANY)),
    },
    AuditEvent: {
        "audit_id": ID,
        "at": TIME,
        "actor": LABEL,
        "role": CODE,
        "resource": CODE,
        "user_ids": items(1000, ID),
        "reason": maybe(text(0, 1024, Alphabet.ANY)),
        "allowed": flag(),
        "via": maybe(LABEL),
        "writer": maybe(CODE),
        "seq": COUNT,
        "prev": maybe(digest()),
        "hash": maybe(digest()),
        "mac": maybe(CODE),
    },
}
"""Limits by record and field."""


class LimitError(ValueError):
    """A record is outside of its limits; the message names the field and its limit, and holds no value."""


def check(record: object) -> None:
    """Raises LimitError when a field of the record is outside of its limit."""
    kind: Any = type(record)
    if not _within(kind, record):
        path, limit = _outside(kind, record)
        raise LimitError(f"{kind.__name__}.{path} must be {limit.rule}")


def check_size(kind: type[Any], size: int) -> None:
    """Raises LimitError when an encoded record of this kind may not have `size` bytes."""
    if size > RECORD_BYTES[kind]:
        raise LimitError(f"a {kind.__name__} of {size:,} bytes is larger than the maximum of {RECORD_BYTES[kind]:,}")


def _within(kind: Any, record: Any) -> bool:
    values, checks = _checks(kind)
    return type(record) is kind and all(map(call, checks, values(record)))


@cache
def _checks(kind: Any) -> tuple[Callable[[Any], tuple[Any, ...]], tuple[Accepts, ...]]:
    limits = FIELDS[kind]
    return attrgetter(*limits), tuple(limit.accepts for limit in limits.values())


def _outside(kind: type[Any], record: Any) -> tuple[str, Limit]:
    """Path and limit of the first field that is outside."""
    for name, limit in FIELDS[kind].items():
        value = getattr(record, name)
        if limit.accepts(value):
            continue
        if limit.part is not None and type(value) is limit.part:
            path, inner = _outside(limit.part, value)
            return f"{name}.{path}", inner
        return name, limit
    raise AssertionError(f"{kind.__name__} is within its limits")
