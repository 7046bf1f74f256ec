"""Alerts for tests of alert delivery."""

from datetime import UTC, datetime, timedelta

from schemas.events import AlertKind, AlertState, BaselineSummary, RecentSummary, RiskAlert, Severity
from schemas.ids import derived_id

START = datetime(2026, 5, 1, 8, tzinfo=UTC)


def alert(
    state: AlertState, user: str = "user-1", day: int = 0, *, episode: int = 0, kind: AlertKind = AlertKind.DRIFT
) -> RiskAlert:
    """One step of a user's episode, recorded so many days after the start."""
    key = derived_id("episode", user, kind, str(episode))
    severity = Severity.CRITICAL if state is AlertState.ESCALATED else Severity.WARNING
    return RiskAlert(
        alert_id=derived_id("alert", key, state),
        dedup_key=key,
        user_id=user,
        state=state,
        kind=kind,
        severity=severity,
        statistic=5.25,
        threshold=4.5,
        baseline=BaselineSummary(30, -1.0, 0.5),
        recent=RecentSummary(6, 0.25),
        since=START + timedelta(days=day - 6),
        at=START + timedelta(days=day),
        memo_id=f"memo-{user}-{day}",
        bundle_id="demo-1",
    )


def episode_of(user: str = "user-1", *, episode: int = 0, day: int = 0) -> list[RiskAlert]:
    """Raised, escalated and resolved, a week apart."""
    return [alert(state, user, day + 7 * n, episode=episode) for n, state in enumerate(AlertState)]
