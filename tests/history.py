"""Histories for tests: in both databases, with people whose scores, alerts and actions a few lines say."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.event_enums import CareActionKind
from schemas.events import (
    AlertKind,
    AlertState,
    Band,
    BaselineSummary,
    CareAction,
    DeadLetter,
    Evidence,
    Modality,
    RecentSummary,
    RiskAlert,
    RiskScored,
    Severity,
)
from streams.history.writes.batch import Keeping, Kept, Part, people_in
from streams.history.writes.positions import Step

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
NOW_MS = round(NOW.timestamp() * 1000)
KEEPING = Keeping({"north-": "north", "south-": "south"}, NOW - timedelta(days=400))
TOPICS = {RiskScored: "risk.scored", RiskAlert: "risk.alerts", DeadLetter: "memos.dead", CareAction: "care.actions"}


def score(user: str, days_ago: float, probability: float | None = 0.3, **changes: Any) -> RiskScored:
    """A score of a memo recorded so many days ago; without a probability it is indeterminate."""
    at = NOW - timedelta(days=days_ago)
    memo = f"{user}/{days_ago:g}"
    band = Band.INDETERMINATE if probability is None else Band.HIGH if probability > 0.5 else Band.LOW
    made = RiskScored(
        score_id=f"score of {memo}",
        memo_id=memo,
        user_id=user,
        recorded_at=at,
        uploaded_at=at + timedelta(seconds=5),
        scored_at=at + timedelta(seconds=9),
        probability=probability,
        band=band,
        reasons=("quality:noisy",) if probability is None else (),
        evidence=(Evidence("pause_share", 0.41, 2.5, False, 0.7, 0.22),),
        modalities=(Modality.ACOUSTIC, Modality.EMBEDDING),
        bundle_id="demo-1",
    )
    return replace(made, **changes)


def alert(user: str, days_ago: float, state: AlertState = AlertState.RAISED, **changes: Any) -> RiskAlert:
    """A step of the only episode of a user."""
    at = NOW - timedelta(days=days_ago)
    made = RiskAlert(
        alert_id=f"{state} {user}",
        dedup_key=f"episode {user}",
        user_id=user,
        state=state,
        kind=AlertKind.DRIFT,
        severity=Severity.CRITICAL if state is AlertState.ESCALATED else Severity.WARNING,
        statistic=6.0,
        threshold=5.0,
        baseline=BaselineSummary(30, -1.0, 0.5),
        recent=RecentSummary(4, 0.5),
        since=at - timedelta(days=4),
        at=at,
        memo_id=f"{user}/{days_ago:g}",
        bundle_id="demo-1",
        summary=f"speaks with longer pauses ({state})",
    )
    return replace(made, **changes)


def action(user: str, kind: CareActionKind, days_ago: float = 0.0, **changes: Any) -> CareAction:
    """What somebody did about a user."""
    made = CareAction(f"{kind} {user} {days_ago:g}", user, NOW - timedelta(days=days_ago), "dr-a", kind)
    return replace(made, **changes)


def letter(name: str, hours_ago: float = 0.0, reason: str = "audio:undecodable") -> DeadLetter:
    """A dead letter of the acoustic worker."""
    at = NOW - timedelta(hours=hours_ago)
    return DeadLetter(name, "acoustic", "memos.uploaded", 0, 7, None, None, {}, reason, "", at)


def parts(records: Sequence[Kept], start: int = 0, partition: int = 0) -> list[Part]:
    """The records as they are read from one partition of each topic, from offset `start` of each."""
    found = []
    for kind, topic in TOPICS.items():
        own = tuple(record for record in records if isinstance(record, kind))
        if own:
            step = Step((topic, partition), start, start + len(own), len(own), NOW_MS, NOW_MS)
            found.append(Part(step, own, people_in([Part(step, own)])))
    return found
