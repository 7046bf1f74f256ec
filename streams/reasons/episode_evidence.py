"""The markers that differ most over the memos of an episode, from the evidence of each memo. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from schemas.events import AlertEvidence, Evidence, ScorePoint
from streams.reasons.recent_memos import Memo

STRONGEST = 5
"""Maximum number of markers in the evidence of an alert."""


def episode_evidence(memos: Iterable[Memo], since_s: float) -> tuple[AlertEvidence, ...]:
    """Means of every marker over the memos recorded since `since_s` (Unix seconds), at most STRONGEST of them.

    Largest deviation first, fragile ones after the others. Each memo names only the markers that matter most in it, so
    a marker counts when at least half of the memos name it: one odd memo is no evidence. Nothing without such memos.
    """
    explained = [memo.evidence for memo in memos if memo.recorded_s >= since_s and memo.evidence]
    by_name: dict[str, list[Evidence]] = defaultdict(list)
    for evidence in explained:
        for each in evidence:
            by_name[each.name].append(each)
    means = [_mean(each) for each in by_name.values() if 2 * len(each) >= len(explained)]
    return tuple(sorted(means, key=lambda each: (each.fragile, -abs(each.deviation_sd), each.name))[:STRONGEST])


def score_points(memos: Iterable[Memo]) -> tuple[ScorePoint, ...]:
    """The scores of these memos as a series."""
    return tuple(
        ScorePoint(datetime.fromtimestamp(memo.recorded_s, UTC), memo.probability, memo.band) for memo in memos
    )


def _mean(several: Sequence[Evidence]) -> AlertEvidence:
    """One marker over several memos."""
    count = len(several)
    return AlertEvidence(
        several[0].name,
        sum(each.value for each in several) / count,
        _mean_known([each.usual for each in several]),
        sum(each.deviation_sd for each in several) / count,
        2 * sum(each.fragile for each in several) > count,
        _mean_known([each.contribution for each in several]),
    )


def _mean_known(numbers: Sequence[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return sum(known) / len(known) if known else None
