"""Records as plain Avro values, encoded without the project's codec: it may refuse what a poison needs.

Times are milliseconds since 1970, so that they can lie where no `datetime` does.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from io import BytesIO
from typing import Any

import fastavro
import numpy as np
from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

from schemas.settings import SHIPPED_BUNDLE
from tests.faults.judge import SCHEMAS, Content
from workers.scoring.bundle import Bundle

SINGLE_OBJECT = b"\xc3\x01"
DAY_MS = 86_400_000
NOON_MS = 1_767_960_000_000
"""2026-01-09, 12:00 UTC: within the days of the cohort."""
KINDS = {
    "memos.uploaded": "memo_uploaded",
    "memos.features": "memo_features",
    "risk.scored": "risk_scored",
    "risk.alerts": "risk_alert",
    "memos.dead": "dead_letter",
    "care.actions": "care_action",
    "care.consents": "consent",
    "audit.events": "audit_event",
}
"""The schema of every topic."""


@cache
def source(kind: str) -> Mapping[str, Any]:
    """The committed schema of a kind."""
    found: Mapping[str, Any] = json.loads((SCHEMAS / f"{kind}.avsc").read_text())
    return found


def framed(kind: str, content: Content) -> bytes:
    """A record in single-object encoding."""
    mark = bytes.fromhex(fingerprint(to_parsing_canonical_form(source(kind)), "CRC-64-AVRO"))
    return SINGLE_OBJECT + mark + body(kind, content)


def body(kind: str, content: Content) -> bytes:
    """A record without a frame."""
    out = BytesIO()
    fastavro.schemaless_writer(out, _parsed(kind), content)
    return out.getvalue()


@cache
def _parsed(kind: str) -> Any:
    return parse_schema(dict(source(kind)))


def long(value: int) -> bytes:
    """A number as Avro writes it, and the length or count of what follows."""
    out = BytesIO()
    fastavro.schemaless_writer(out, {"type": "long"}, value)
    return out.getvalue()


def array(values: bytes, *shape: int, dtype: str = "float32") -> Content:
    """A FloatArray of any shape, whether its bytes have it or not."""
    return {"dtype": dtype, "shape": list(shape), "data": values}


def upload(user: str, memo: str, uri: str, at_ms: int = NOON_MS, **changes: object) -> Content:
    """A MemoUploaded."""
    times = {"recorded_at": at_ms, "uploaded_at": at_ms + 60_000}
    return {"memo_id": memo, "user_id": user, **times, "audio_uri": uri, "sha256": None, "language": None, **changes}


def features(user: str, memo: str, at_ms: int = NOON_MS, **changes: object) -> Content:
    """A MemoFeatures of an extractor that no bundle knows."""
    quality = {"speech_s": 5.0, "snr_db": 30.0, "clipped": 0.0, "bandwidth_hz": 8000.0, "reasons": [], "fragile": []}
    return {
        "memo_id": memo, "user_id": user, "recorded_at": at_ms, "uploaded_at": at_ms + 60_000, "modality": "acoustic",
        "extractor": {"name": "nobody's", "version": "0", "weights_hash": "0"}, "duration_s": 6.0, "window_s": 15.0,
        "windows": array(b"\0" * 8, 1, 2), "summary": array(b"\0" * 8, 2), "names": ["a", "b"], "quality": quality,
        "undefined": [], **changes,
    }  # fmt: skip


def parts(user: str, memo: str, value: float = 0.0, **changes: Any) -> Iterator[Content]:
    """The MemoFeatures of a memo, one of each modality, as the shipped bundle wants them; `value`: every feature's."""
    space = Bundle.load(SHIPPED_BUNDLE).space
    for modality, extractor in space.extractors.items():
        names = list(space.acoustic) if modality == "acoustic" else []
        length = len(names) or len(space.centre)
        numbers = np.full(length, value, "<f4").tobytes()
        fields = {"name": extractor.name, "version": extractor.version, "weights_hash": extractor.weights_hash}
        yield features(
            user, memo, modality=str(modality), extractor=fields, names=names, windows=array(numbers, 1, length),
            summary=array(numbers, length), **changes,
        )  # fmt: skip


def score(user: str, memo: str, at_ms: int = NOON_MS, **changes: object) -> Content:
    """A RiskScored."""
    return {
        "score_id": f"score of {memo}", "memo_id": memo, "user_id": user, "recorded_at": at_ms,
        "uploaded_at": at_ms + 60_000, "scored_at": at_ms + 70_000, "probability": 0.25, "band": "low", "reasons": [],
        "evidence": [], "modalities": ["acoustic", "embedding"], "bundle_id": "demo-0", **changes,
    }  # fmt: skip


def alert(user: str, alert_id: str, at_ms: int = NOON_MS, **changes: object) -> Content:
    """A RiskAlert."""
    return {
        "alert_id": alert_id, "dedup_key": f"episode of {user}", "user_id": user, "state": "raised", "kind": "drift",
        "severity": "warning", "statistic": 6.5, "threshold": 6.0, "baseline": {"n": 60, "mean": -1.0, "sd": 0.5},
        "recent": {"n": 7, "mean": 0.25}, "since": at_ms - 7 * DAY_MS, "at": at_ms, "memo_id": f"memo of {alert_id}",
        "bundle_id": "demo-0",
        "evidence": [
            {"name": "pause_share", "value": 0.41, "usual": 0.22, "deviation_sd": 2.5, "fragile": False,
             "contribution": 0.7}
        ],
        "scores": [{"recorded_at": at_ms, "probability": 0.8, "band": "high"}],
        "summary": "speaks with longer pauses than usual", **changes,
    }  # fmt: skip


def action(user: str, action_id: str, at_ms: int = NOON_MS, **changes: object) -> Content:
    """A CareAction."""
    return {
        "action_id": action_id, "user_id": user, "at": at_ms, "actor": "clinician-1", "action": "acknowledged",
        "dedup_key": f"episode of {user}", "outcome": "contacted", "note": None, "assignee": None, "since": None,
        "until": None, "mark": None, "excluded": False, "mark_id": None, **changes,
    }  # fmt: skip


def consent(user: str, consent_id: str, at_ms: int = NOON_MS, **changes: object) -> Content:
    """A Consent."""
    return {
        "consent_id": consent_id, "user_id": user, "at": at_ms, "state": "given", "actor": "clinician-1",
        "reason": None, **changes,
    }  # fmt: skip


def audit(user: str, audit_id: str, at_ms: int = NOON_MS, **changes: object) -> Content:
    """An AuditEvent."""
    return {
        "audit_id": audit_id, "at": at_ms, "actor": "clinician-1", "role": "clinician", "action": "viewed",
        "resource": "person", "user_ids": [user], "reason": None, "allowed": True, **changes,
    }  # fmt: skip


def letter(name: str, value: bytes | None, **changes: object) -> Content:
    """A DeadLetter."""
    return {
        "dead_letter_id": name, "stage": "acoustic", "topic": "memos.uploaded", "partition": 0, "offset": 0,
        "key": b"nobody", "value": value, "headers": {}, "reason": "audio:undecodable", "detail": "on purpose",
        "at": NOON_MS, **changes,
    }  # fmt: skip
