"""The scores around an episode as a drawing, next to the person's own normal. Pure: coordinates only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp

from schemas.events import BaselineSummary, RiskAlert, ScorePoint

WIDTH, HEIGHT = 640.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 10.0, 12.0, 26.0
"""Room for the axes, in units of the drawing."""
TICKS = (0.0, 0.5, 1.0)
WIDEST_SD = 2.0
"""The own normal reaches so many standard deviations to both sides of its mean."""


@dataclass(frozen=True, slots=True)
class Dot:
    """One memo. y: None where it could not be judged."""

    x: float
    y: float | None
    point: ScorePoint


@dataclass(frozen=True, slots=True)
class Chart:
    """Where everything is drawn.

    normal: top and height of the band of the own normal, None when it is not known; ticks: height and share; began: of
    the change; raised: of the episode; None where they are outside.
    """

    dots: tuple[Dot, ...]
    path: str
    normal: tuple[float, float] | None
    ticks: tuple[tuple[float, float], ...]
    began: float | None
    raised: float | None
    first: datetime
    last: datetime


def points_of(steps: Sequence[RiskAlert]) -> tuple[ScorePoint, ...]:
    """All scores that the steps of an episode carry, oldest first; a later step knows better."""
    found = {point.recorded_at: point for step in steps for point in step.scores}
    return tuple(found[at] for at in sorted(found))


def chart(points: Sequence[ScorePoint], steps: Sequence[RiskAlert]) -> Chart | None:
    """The drawing; None without a score. points: oldest first; steps: of the episode, oldest first."""
    if not points or not steps:
        return None
    first, last = points[0].recorded_at, points[-1].recorded_at
    if last - first < timedelta(hours=1):
        first -= timedelta(hours=12)
    dots = tuple(
        Dot(_x(point.recorded_at, first, last), None if point.probability is None else _y(point.probability), point)
        for point in points
    )
    return Chart(
        dots=dots,
        path=_path(dots),
        normal=_normal(steps[-1].baseline),
        ticks=tuple((_y(tick), tick) for tick in TICKS),
        began=_within(steps[0].since, first, last),
        raised=_within(steps[0].at, first, last),
        first=first,
        last=last,
    )


def _x(at: datetime, first: datetime, last: datetime) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * ((at - first) / (last - first)), 1)


def _y(share: float) -> float:
    return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(max(share, 0.0), 1.0)), 1)


def _within(at: datetime, first: datetime, last: datetime) -> float | None:
    return _x(at, first, last) if first <= at <= last else None


def _normal(baseline: BaselineSummary) -> tuple[float, float] | None:
    if baseline.n < 2:
        return None
    top = _y(probability(baseline.mean + WIDEST_SD * baseline.sd))
    return top, round(_y(probability(baseline.mean - WIDEST_SD * baseline.sd)) - top, 1)


def probability(logit: float) -> float:
    """The logistic function.

    >>> probability(0.0), probability(-1000.0)
    (0.5, 0.0)
    """
    if logit >= 0:
        return 1 / (1 + exp(-logit))
    grown = exp(max(logit, -700.0))
    return 0.0 if logit < -700 else grown / (1 + grown)


def _path(dots: Iterable[Dot]) -> str:
    steps, drawing = [], False
    for dot in dots:
        if dot.y is not None:
            steps.append(f"{'L' if drawing else 'M'}{dot.x:g} {dot.y:g}")
        drawing = dot.y is not None
    return "".join(steps)
