"""What moved a person's scores: their markers along the time, in their own standard deviations. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean

from schemas.events import Evidence
from streams.web.markers import heard, title_of
from streams.web.person.timeline import Memo

_ = str  # marks messages; they are translated where they are shown

LATELY = timedelta(days=7)
"""Before the last memo: what counts as the present."""


@dataclass(frozen=True, slots=True)
class MarkerPoint:
    """A marker in one memo. evidence: with its value, deviation and contribution."""

    at: datetime
    memo_id: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class MarkerSeries:
    """One marker. points: oldest first, of the memos whose score named it among the strongest.

    lately_sd, lately_contribution: means over its points of the last days, None where there are none; a memo names five
    markers at most, so a marker without a point was weaker than five others, not unchanged.
    """

    name: str
    points: tuple[MarkerPoint, ...]
    lately: int
    lately_sd: float | None
    lately_contribution: float | None

    @property
    def title(self) -> str:
        """What a clinician calls it."""
        return title_of(self.name)

    @property
    def words(self) -> str:
        """What is heard lately, in words."""
        if self.lately_sd is None:
            return _("not among the strongest lately")
        return heard(self.name, self.lately_sd)

    @property
    def fragile(self) -> bool:
        """Whether most recordings may have moved it, rather than the speaker."""
        fragile = [point.evidence.fragile for point in self.points]
        return sum(fragile) * 2 > len(fragile)


def marker_series(memos: Sequence[Memo]) -> tuple[MarkerSeries, ...]:
    """Every marker that the memos name: the one that moves the score most lately first, fragile ones last."""
    points: dict[str, list[MarkerPoint]] = {}
    for memo in memos:
        for evidence in memo.score.evidence:
            points.setdefault(evidence.name, []).append(MarkerPoint(memo.recorded_at, memo.score.memo_id, evidence))
    since = memos[-1].recorded_at - LATELY if memos else None
    found = [
        _series(name, of_marker, [p for p in of_marker if since and p.at > since]) for name, of_marker in points.items()
    ]
    return tuple(sorted(found, key=_weight))


def _series(name: str, points: Iterable[MarkerPoint], lately: Sequence[MarkerPoint]) -> MarkerSeries:
    contributions = [p.evidence.contribution for p in lately if p.evidence.contribution is not None]
    return MarkerSeries(
        name,
        tuple(points),
        len(lately),
        fmean(p.evidence.deviation_sd for p in lately) if lately else None,
        fmean(contributions) if contributions else None,
    )


def _weight(series: MarkerSeries) -> tuple[bool, float, float, str]:
    moved = abs(series.lately_contribution or 0.0) * series.lately
    return series.fragile, -moved, -abs(series.lately_sd or 0.0), series.name
