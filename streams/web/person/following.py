"""How well a person can be followed: how often they speak, how much can be judged, how old the baseline is. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from streams.views.marks import Judged
from streams.web.person.timeline import Memo
from streams.web.person.words import reason_words

WEEK = timedelta(days=7)
USUAL_WEEKS = 12
"""Weeks before the last one from which the usual number of memos is taken."""
LATELY = timedelta(days=30)
YOUNG_DAYS = 14
"""Days of baseline below which a change is found late."""


@dataclass(frozen=True, slots=True)
class Following:
    """What is known of it.

    last_week, usual_week: memos of the last seven days, and the median of the weeks before, None without a whole
    week; unjudged, lately: memos of the last thirty days that were not judged, of so many; reason: the most frequent
    one, as a message; baseline_days: days in the person's normal; judging: whether alerts can be raised yet.
    """

    last_memo_at: datetime | None
    last_week: int
    usual_week: float | None
    unjudged: int
    lately: int
    reason: str | None
    baseline_days: int
    judging: bool

    @property
    def unjudged_share(self) -> float | None:
        """Share of the last thirty days' memos that were not judged; None without one."""
        return self.unjudged / self.lately if self.lately else None

    @property
    def young(self) -> bool:
        """Whether the baseline is so young that a change is found late."""
        return self.baseline_days < YOUNG_DAYS


def following(memos: Sequence[Memo], now: datetime) -> Following:
    """How well the person is followed. memos: all of them, oldest first."""
    recorded = [memo.recorded_at for memo in memos]
    lately = [memo for memo in memos if memo.recorded_at > now - LATELY]
    unjudged = [memo for memo in lately if memo.judged not in (Judged.SCORED, Judged.LEFT_OUT)]
    reasons = Counter(reason_words(reason) for memo in unjudged for reason in memo.score.reasons[:1])
    followed = [memo for memo in memos if memo.statistic is not None]
    return Following(
        last_memo_at=max(recorded, default=None),
        last_week=sum(moment > now - WEEK for moment in recorded),
        usual_week=_usual_week(recorded, now - WEEK),
        unjudged=len(unjudged),
        lately=len(lately),
        reason=reasons.most_common(1)[0][0] if reasons else None,
        baseline_days=followed[-1].baseline_days if followed else 0,
        judging=bool(followed) and followed[-1].threshold is not None,
    )


def _usual_week(recorded: Sequence[datetime], until: datetime) -> float | None:
    """Median of the memos in the whole weeks before; None when there is none."""
    if not recorded:
        return None
    weeks = min(USUAL_WEEKS, (until - min(recorded)) // WEEK)
    counts = [sum(until - (i + 1) * WEEK < moment <= until - i * WEEK for moment in recorded) for i in range(weeks)]
    return median(counts) if counts else None
