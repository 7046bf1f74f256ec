"""The topics as one table, in the order of the pipeline.

Every topic is keyed by `user_id` (dead letters by the key of their source, `audit.events` by the actor) and has the
same partition count, so a user's events keep their order from upload to alert.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from schemas.care_events import AuditEvent, CareAction
from schemas.events import DeadLetter, MemoFeatures, MemoUploaded, RiskAlert, RiskScored

MAX_RECORD_BYTES = 4 * 1024 * 1024
"""Bytes of a record, headers and all. Half an hour of large-model embeddings fits."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: its name, what it carries, who writes it, how long it is kept, and how large a record may be."""

    name: str
    record: type[Any]
    key: str
    written_by: str
    retention: timedelta
    meaning: str
    max_bytes: int = MAX_RECORD_BYTES


UPLOADED = Topic(
    "memos.uploaded",
    MemoUploaded,
    "user_id",
    "the platform, `undertone submit`, agents (resubmission)",
    timedelta(days=7),
    "A memo is ready to be read.",
)
FEATURES = Topic(
    "memos.features", MemoFeatures, "user_id", "workers", timedelta(days=1), "One modality of a memo, extracted."
)
SCORED = Topic(
    "risk.scored",
    RiskScored,
    "user_id",
    "fusion agent",
    timedelta(days=30),
    "The calibrated score of a memo, or why there is none.",
)
ALERTS = Topic(
    "risk.alerts",
    RiskAlert,
    "user_id",
    "drift agent",
    timedelta(days=90),
    "A step of an episode: raised, escalated, resolved.",
)
DEAD = Topic(
    "memos.dead",
    DeadLetter,
    "key of the source record",
    "workers, fusion agent, drift agent",
    timedelta(days=30),
    "A record that failed permanently, with its original bytes.",
    # The largest record of any other topic, with room for the reason and the headers.
    max_bytes=2 * MAX_RECORD_BYTES,
)

CARE = Topic(
    "care.actions",
    CareAction,
    "user_id",
    "dashboard",
    timedelta(days=400),
    "What clinicians did: acknowledged, handed over, muted, marked.",
)
AUDIT = Topic(
    "audit.events",
    AuditEvent,
    "actor",
    "dashboard",
    # Six years, as 45 CFR 164.316(b)(2) asks of documentation.
    timedelta(days=6 * 365 + 2),
    "Who looked at whose data, when, and why.",
)

TOPICS = (UPLOADED, FEATURES, SCORED, ALERTS, DEAD, CARE, AUDIT)
