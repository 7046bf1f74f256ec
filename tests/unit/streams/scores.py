"""Scored memos for drift tests."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import exp

import numpy as np

from schemas.events import Band, RiskScored
from schemas.settings import Settings
from streams.drift.rules import Rules

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
RULES = Rules.from_settings(Settings())


def scored(
    logit: float | None, days: float, *, memo: str | None = None, bundle: str = "demo-1", band: Band = Band.LOW
) -> RiskScored:
    """A score of the memo recorded so many days after the start; without a logit it is indeterminate."""
    moment = START + timedelta(seconds=round(days * 86400))
    return RiskScored(
        score_id=f"s{days}",
        memo_id=memo or f"m{days}",
        user_id="u",
        recorded_at=moment,
        uploaded_at=moment,
        scored_at=moment,
        probability=None if logit is None else 1 / (1 + exp(-logit)),
        band=Band.INDETERMINATE if logit is None else band,
        reasons=("quality:noise",) if logit is None else (),
        evidence=(),
        modalities=(),
        bundle_id=bundle,
    )


def calm(days: int, seed: int = 3) -> list[float]:
    """Logits of an in-control user: mean -1, SD 0.5."""
    return [float(x) for x in np.random.default_rng(seed).normal(-1.0, 0.5, days)]


def daily(logits: Sequence[float | None], first_day: float = 0, *, bundle: str = "demo-1") -> list[RiskScored]:
    """One memo a day."""
    return [scored(logit, first_day + i, bundle=bundle) for i, logit in enumerate(logits)]
