"""Ids derived from what caused them, so that a repeated effect has the same id."""

from datetime import UTC, datetime
from uuid import UUID, uuid5

_NAMESPACE = UUID("5f1e0c1e-6a0f-5d1c-9a57-2f6f3d9b7c10")

DOCTOR_USER = "undertone-doctor-"
"""Start of the pseudonyms of `undertone doctor --send-memo`: give no user of yours one that begins so."""


def derived_id(kind: str, *causes: str) -> str:
    """A UUID (version 5) of what the id is for and what caused it; the same causes always give the same id."""
    # Causes are free text: a length before each separates ("ab", "c") from ("a", "bc").
    return str(uuid5(_NAMESPACE, "".join(f"{len(part)}:{part}" for part in (kind, *causes))))


def memo_id(user_id: str, sha256: str, recorded_at: datetime) -> str:
    """Id of a memo: the same audio of the same user and moment is the same memo, however often it is submitted."""
    return derived_id("memo", user_id, sha256, recorded_at.astimezone(UTC).isoformat(timespec="milliseconds"))


def score_id(user_id: str, memo: str, bundle_id: str, revision: int = 0) -> str:
    """Id of the score that one bundle gives one memo; memo ids need to be unique per user only.

    revision: how many scores without all modalities came before.
    """
    return derived_id("score", user_id, memo, bundle_id, *([f"revision {revision}"] if revision else []))


def dead_letter_id(stage: str, topic: str, partition: int, offset: int) -> str:
    """Id of the dead letter for one record at one stage."""
    return derived_id("dead", stage, topic, str(partition), str(offset))
