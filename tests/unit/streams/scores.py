"""Scored memos for drift tests."""

from datetime import UTC, datetime, timedelta

from schemas.events import Band, RiskScored

START = datetime(2026, 1, 5, 9, tzinfo=UTC)


def at(days: float) -> datetime:
    """So many days after the start, to the second."""
    return START + timedelta(seconds=round(days * 86400))


def scored(
    logit: float | None,
    days: float,
    *,
    user: str = "u",
    memo: str | None = None,
    bundle: str = "demo-1",
    band: Band = Band.LOW,
) -> RiskScored:
    """A score of the memo recorded so many days after the start; without a logit it is indeterminate."""
    moment = at(days)
    return RiskScored(
        score_id=f"s{days}",
        memo_id=memo or f"m{days}",
        user_id=user,
        recorded_at=moment,
        uploaded_at=moment,
        scored_at=moment,
        probability=None if logit is None else sigmoid(logit),
        band=Band.INDETERMINATE if logit is None else band,
        reasons=() if logit is not None else ("quality:noise",),
        evidence=(),
        modalities=(),
        bundle_id=bundle,
    )


def sigmoid(logit: float) -> float:
    """Probability of a logit."""
    from math import exp

    return 1 / (1 + exp(-logit))
