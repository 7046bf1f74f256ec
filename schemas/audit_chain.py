"""The chain of audit events: what is hashed, and how an event continues the chain of its writer.

The canonical form of an event is JSON (RFC 8259) in UTF-8: an object of the fields but `hash` and `mac` whose value is
not the field's default, by name in the order of their code points, without white space; texts escape only what JSON
demands, times are milliseconds since 1970. A field that a later version adds has a default, so it changes the form of
no event of before. `hash` is the SHA-256 of that form, in hexadecimal digits; `mac` is HMAC-SHA256 of those digits.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from datetime import UTC, datetime, timedelta
from enum import Enum

from schemas.care_events import AuditEvent

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
UNHASHED = frozenset({"hash", "mac"})
"""Fields that are made from the canonical form."""
_DEFAULTS: Mapping[str, object] = {f.name: f.default for f in fields(AuditEvent) if f.name not in UNHASHED}
"""What each hashed field has where it is left out; MISSING for one that never is."""
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode


def canonical(event: AuditEvent) -> bytes:
    """The bytes that are hashed."""
    values = ((name, getattr(event, name), default) for name, default in _DEFAULTS.items())
    return _encode(
        {name: _plain(value) for name, value, default in values if default is MISSING or value != default}
    ).encode()


def event_hash(event: AuditEvent) -> str:
    """SHA-256 of the canonical form, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(event)).hexdigest()


def event_mac(digest: str, key: bytes) -> str:
    """HMAC-SHA256 of an event's hash, 64 hexadecimal digits."""
    return hmac.digest(key, digest.encode(), "sha256").hex()


def linked(event: AuditEvent, writer: str, seq: int, prev: str | None, key: bytes | None) -> AuditEvent:
    """The event as number `seq` of a writer's chain.

    prev: hash of the event before, None for the first; key: of `mac`, None for none. Its time loses what is finer than
    a millisecond, as Avro keeps it.
    """
    at = event.at.replace(microsecond=event.at.microsecond // 1000 * 1000)
    placed = replace(event, at=at, writer=writer, seq=seq, prev=prev, hash=None, mac=None)
    digest = event_hash(placed)
    return replace(placed, hash=digest, mac=None if key is None else event_mac(digest, key))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return (value - EPOCH) // MILLISECOND
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value
