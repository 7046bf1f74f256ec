"""What a key may be used for: each purpose has a key of its own, so that one opens nothing of another.

Epochs number the months whose keys can be destroyed on their own; epoch 0 is the key that lasts.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

from schemas.topics import ALERTS, AUDIT, CARE, CONSENTS, DEAD, FEATURES, SCORED, UPLOADED

LASTING = 0
"""The epoch of state, names and rows of a database: its key is destroyed by an erasure only."""
FIRST_YEAR = 2000
LAST_EPOCH = 0xFFFF


class Purpose(StrEnum):
    """What is sealed. Names are part of the derivation of keys, so none may change."""

    UPLOAD = "upload"
    """Records of `memos.uploaded`."""
    FEATURES = "features"
    """Records of `memos.features`."""
    SCORES = "scores"
    """Records of `risk.scored`."""
    ALERTS = "alerts"
    """Records of `risk.alerts`."""
    DEAD = "dead"
    """Records of `memos.dead`."""
    CARE = "care"
    """Records of `care.actions`."""
    AUDIT = "audit"
    """Records of `audit.events` that hold content of one person."""
    STATE = "state"
    """Names in keys of Redis, and entries of its lists: what is compared there is sealed to equal bytes."""
    VALUE = "value"
    """Values in Redis."""
    NAME = "name"
    """The pseudonym in the key directory."""
    HEADERS = "headers"
    """Keyed hashes in place of the ids in headers of records."""
    AUDIO = "audio"
    """Copies of audio."""
    SQL = "sql"
    """Columns of the history and of the journal."""
    CONSENT = "consent"
    """Records of `care.consents`."""


TOPIC_PURPOSES: Mapping[str, Purpose] = {
    UPLOADED.name: Purpose.UPLOAD,
    FEATURES.name: Purpose.FEATURES,
    SCORED.name: Purpose.SCORES,
    ALERTS.name: Purpose.ALERTS,
    DEAD.name: Purpose.DEAD,
    CARE.name: Purpose.CARE,
    CONSENTS.name: Purpose.CONSENT,
    AUDIT.name: Purpose.AUDIT,
}
"""The purpose of each topic's key."""
LASTING_PURPOSES = frozenset(
    {Purpose.SQL, Purpose.CONSENT, Purpose.STATE, Purpose.VALUE, Purpose.HEADERS, Purpose.NAME}
)
"""Sealed with the key that lasts, whatever the month: what holds until the person is erased. The rest is by month."""


def epoch_of(moment: datetime) -> int:
    """Number of the month in UTC: January 2000 is 1.

    >>> epoch_of(datetime(2000, 1, 31, 23, 59, tzinfo=UTC)), epoch_of(datetime(2026, 11, 1, tzinfo=UTC))
    (1, 323)
    """
    utc = moment.astimezone(UTC)
    return (utc.year - FIRST_YEAR) * 12 + utc.month


def month_of(epoch: int) -> datetime:
    """The first moment of an epoch, in UTC.

    >>> month_of(323).isoformat()
    '2026-11-01T00:00:00+00:00'
    """
    return datetime(FIRST_YEAR + (epoch - 1) // 12, (epoch - 1) % 12 + 1, 1, tzinfo=UTC)
