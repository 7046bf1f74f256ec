"""A person's memos along the time: each judged or not and why, the own normal, the statistic and its threshold. Pure.

Normal, statistic and threshold come from the drift agent's own code, run over the stored scores in the order in which
they were made. They are the agent's numbers as long as every score since the person's first is stored; after scores
have passed the retention of the history, the replay starts with the oldest that is left.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from math import exp, isfinite

from schemas.events import Band, RiskScored
from streams.drift.detector import DAY_S, observe
from streams.drift.replay import Line, Moment, history
from streams.drift.rules import Rules
from streams.history.care import Mark
from streams.views.marks import Judged, judged_of
from streams.views.scores import latest_of_memos
from streams.views.silence import silences

SHOWN_FROM = 3
"""Days of baseline from which the person's own normal is drawn."""


@dataclass(frozen=True, slots=True)
class Normal:
    """The person's own normal: mean and one standard deviation around it, as probabilities."""

    low: float
    mean: float
    high: float


@dataclass(frozen=True, slots=True)
class Memo:
    """One memo with its latest score.

    judged: whether it was judged, and why not; normal: None while the baseline is younger than SHOWN_FROM days, and for
    a memo that drift detection skipped or a mark left out; statistic, threshold: of the upward chart after this memo,
    in SDs; threshold is None while the baseline is too young to alert; baseline_days: days in the baseline.
    """

    score: RiskScored
    judged: Judged
    normal: Normal | None = None
    statistic: float | None = None
    threshold: float | None = None
    baseline_days: int = 0

    @property
    def recorded_at(self) -> datetime:
        """When it was recorded."""
        return self.score.recorded_at


@dataclass(frozen=True, slots=True)
class BundleChange:
    """From this memo on another model scored, and the person's baseline of scores started again."""

    at: datetime
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """What is shown of a time. memos: oldest first; gaps: from and until, where no memo was judged for long."""

    since: datetime
    until: datetime
    memos: tuple[Memo, ...]
    gaps: tuple[tuple[datetime, datetime], ...]
    bundles: tuple[BundleChange, ...]

    def stretches(self) -> list[list[Memo]]:
        """The memos that drift detection followed, apart where there is a gap or another bundle: a line ends there."""
        ends = sorted([until for _, until in self.gaps] + [change.at for change in self.bundles])
        found: list[list[Memo]] = []
        for memo in self.memos:
            if memo.statistic is None:
                continue
            if not found or any(found[-1][-1].recorded_at < end <= memo.recorded_at for end in ends):
                found.append([])
            found[-1].append(memo)
        return found


def timeline(
    scores: Iterable[RiskScored], rules: Rules, since: datetime | None, until: datetime, marks: Sequence[Mark] = ()
) -> Timeline:
    """The time from `since` (None: the first memo) until `until`. scores, marks: all that are stored of one person."""
    return shown(judged_memos(scores, rules, until, marks), since, until)


def judged_memos(scores: Iterable[RiskScored], rules: Rules, now: datetime, marks: Sequence[Mark] = ()) -> list[Memo]:
    """Every memo, oldest first. scores, marks: all that are stored of one person."""
    leaving_out = [mark for mark in marks if mark.excluded]
    arrived = sorted(scores, key=lambda score: (score.scored_at, score.recorded_at, score.memo_id))
    moments = history((_arrival(score, leaving_out) for score in arrived), rules, now.timestamp())
    followed = {moment.observation.memo_id: moment for moment in moments}
    memos = [_memo(score, followed.get(score.memo_id)) for score in latest_of_memos(arrived)]
    return sorted(memos, key=lambda memo: (memo.recorded_at, memo.score.memo_id))


def shown(memos: Sequence[Memo], since: datetime | None, until: datetime) -> Timeline:
    """What is shown of these memos, oldest first."""
    start = since or (memos[0].recorded_at if memos else until)
    within = tuple(memo for memo in memos if start <= memo.recorded_at <= until)
    return Timeline(start, until, within, tuple(_gaps(memos, start, until)), tuple(_bundle_changes(memos, start)))


def _memo(score: RiskScored, moment: Moment | None) -> Memo:
    judged = judged_of(score.band, score.probability, score.reasons)
    if moment is None or (judged is Judged.SCORED and moment.observation.logit is None):
        return Memo(score, Judged.LEFT_OUT if judged is Judged.SCORED else judged)
    chart, threshold = moment.verdict.chart, moment.verdict.threshold
    memo = Memo(score, judged, baseline_days=int(chart.n))
    if judged is not Judged.SCORED:
        return memo
    normal = Normal(*(_probability(chart.mean + sds * chart.sd) for sds in (-1, 0, 1)))
    return replace(
        memo,
        normal=normal if chart.n >= SHOWN_FROM else None,
        statistic=chart.up,
        threshold=threshold if isfinite(threshold) else None,
    )


def _arrival(score: RiskScored, leaving_out: Sequence[Mark]) -> Line:
    """The score as it reached the drift agent: when it was made, and without its value where a mark had left it out."""
    observation = observe(score, score.scored_at.timestamp())
    if any(_left_out(score, mark) for mark in leaving_out):
        observation = observation._replace(logit=None)
    return Line(observation.recorded_s, score.memo_id, score.user_id, observation)


def _left_out(score: RiskScored, mark: Mark) -> bool:
    """Whether a mark left the score out: what was scored before somebody marked it had been learnt, and stays so."""
    within = mark.since <= score.recorded_at and (mark.until is None or score.recorded_at < mark.until)
    return within and mark.at <= score.scored_at


def _gaps(memos: Sequence[Memo], since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Stretches without a judged memo that are long for this person, within the time that is shown."""
    days = [memo.recorded_at.timestamp() / DAY_S for memo in memos if memo.judged is Judged.SCORED]
    end = until.timestamp() / DAY_S
    for before, after in silences(days, days[0] if days else since.timestamp() / DAY_S, end):
        start, stop = (datetime.fromtimestamp(day * DAY_S, UTC) for day in (before, after))
        if stop > since:
            yield max(start, since), stop


def _bundle_changes(memos: Sequence[Memo], since: datetime) -> Iterator[BundleChange]:
    scored = [memo.score for memo in memos if memo.score.band is not Band.INDETERMINATE]
    for before, after in pairwise(scored):
        if before.bundle_id != after.bundle_id and after.recorded_at >= since:
            yield BundleChange(after.recorded_at, before.bundle_id, after.bundle_id)


def _probability(logit: float) -> float:
    return 1 / (1 + exp(-logit))
