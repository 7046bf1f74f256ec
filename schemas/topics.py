"""The topics as one table, in the order of the pipeline.

Every topic is keyed by `user_id` (dead letters by the key of their source, `audit.events` by the actor) and has the
same partition count, so a user's events keep their order from upload to alert.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from schemas.care_events import AuditEvent, CareAction, Consent
from schemas.events import DeadLetter, MemoFeatures, MemoUploaded, RiskAlert, RiskScored
from schemas.privacy_marks import Erased, Marks, Sealed

MAX_RECORD_BYTES = 4 * 1024 * 1024
"""Bytes of a record, headers and all. Half an hour of large-model embeddings fits."""

SEGMENTS = 4
"""Into how many segments the retention of a topic is cut, at least."""
LONGEST_SEGMENT = timedelta(days=7)
FOR_EVER = timedelta(days=36_525)
"""Retention of a compacted topic: longer than anybody lives."""


def segment_of(retention: timedelta) -> timedelta:
    """For how long a segment of a topic with this retention takes records."""
    return min(max(retention / SEGMENTS, timedelta(hours=1)), LONGEST_SEGMENT)


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: its name, what it carries, who writes it, how long it is kept, and how large a record may be.

    marks: by what its records are sealed, and how an erasure reaches them; compacted: the last record of each key
    stays, whatever its age; setting: field of the settings that says another retention, None where there is none.
    """

    name: str
    record: type[Any]
    key: str
    written_by: str
    retention: timedelta
    meaning: str
    marks: Marks
    max_bytes: int = MAX_RECORD_BYTES
    compacted: bool = False
    setting: str | None = None

    @property
    def policy(self) -> str:
        """`cleanup.policy` of the topic."""
        return "compact" if self.compacted else "delete"

    @property
    def how_long(self) -> str:
        """How long records stay, in words."""
        if self.compacted:
            return "the last of each person"
        return f"{self.retention.days} day{'' if self.retention.days == 1 else 's'}"

    @property
    def segment(self) -> timedelta:
        """For how long a segment of the log takes records.

        A broker deletes whole segments, once their newest record is older than the retention: the oldest record of one
        stays that much longer. Kafka's own seven days would keep records of a day for eight.
        """
        return segment_of(self.retention)


_SEALED = Marks(Sealed.MONTH, Erased.KEYS)

UPLOADED = Topic(
    "memos.uploaded",
    MemoUploaded,
    "user_id",
    "the platform, `undertone submit`, agents (resubmission)",
    timedelta(days=7),
    "A memo is ready to be read.",
    _SEALED,
    setting="uploads_retention_s",
)
FEATURES = Topic(
    "memos.features",
    MemoFeatures,
    "user_id",
    "workers",
    timedelta(days=1),
    "One modality of a memo, extracted.",
    _SEALED,
    setting="features_retention_s",
)
SCORED = Topic(
    "risk.scored",
    RiskScored,
    "user_id",
    "fusion agent",
    timedelta(days=30),
    "The calibrated score of a memo, or why there is none.",
    _SEALED,
    setting="scores_retention_s",
)
ALERTS = Topic(
    "risk.alerts",
    RiskAlert,
    "user_id",
    "drift agent",
    timedelta(days=90),
    "A step of an episode: raised, escalated, resolved.",
    _SEALED,
    setting="alerts_retention_s",
)
DEAD = Topic(
    "memos.dead",
    DeadLetter,
    "key of the source record",
    "workers, fusion agent, drift agent",
    timedelta(days=30),
    "A record that failed permanently, with its original bytes.",
    _SEALED,
    # The largest record of any other topic, with room for the reason and the headers.
    max_bytes=2 * MAX_RECORD_BYTES,
    setting="dead_letters_retention_s",
)

CARE = Topic(
    "care.actions",
    CareAction,
    "user_id",
    "dashboard",
    timedelta(days=400),
    "What clinicians did: acknowledged, handed over, muted, marked.",
    _SEALED,
    setting="care_retention_s",
)
CONSENTS = Topic(
    "care.consents",
    Consent,
    "user_id",
    "dashboard, `undertone consent`",
    FOR_EVER,
    "What each person said to being listened to: given, paused, withdrawn.",
    # Whoever withdrew must not be listened to again when the keys of that month are gone.
    Marks(Sealed.LASTING, Erased.KEYS),
    compacted=True,
)
AUDIT = Topic(
    "audit.events",
    AuditEvent,
    "actor",
    "dashboard, commands",
    # Six years, as 45 CFR 164.316(b)(2) asks of documentation.
    timedelta(days=6 * 365 + 2),
    "Who looked at whose data or changed something, when, and why.",
    Marks(Sealed.HASH, Erased.HASHED),
    setting="audit_retention_s",
)

TOPICS = (UPLOADED, FEATURES, SCORED, ALERTS, DEAD, CARE, CONSENTS, AUDIT)
