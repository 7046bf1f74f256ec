"""Where the scores of an episode are drawn."""

from dataclasses import replace
from datetime import timedelta

import pytest

from schemas.events import AlertState, Band, BaselineSummary, ScorePoint
from streams.web.episode.chart import HEIGHT, LEFT, WIDTH, chart, points_of, probability
from tests.history import NOW, alert

DAY = timedelta(days=1)
POINTS = tuple(ScorePoint(NOW - days * DAY, None if days == 2 else days / 10, Band.LOW) for days in (9, 5, 2, 1))


def test_scores_lie_between_the_axes_in_time_and_a_gap_is_a_gap() -> None:
    drawn = chart(POINTS, [alert("u", 4)])
    assert drawn is not None
    xs = [dot.x for dot in drawn.dots]
    assert xs == sorted(xs)
    assert xs[0] == LEFT
    assert xs[-1] < WIDTH
    assert drawn.dots[2].y is None
    assert drawn.path.count("M") == 2
    assert drawn.dots[0].y is not None
    assert drawn.dots[1].y is not None
    assert drawn.dots[0].y < drawn.dots[1].y < HEIGHT


def test_start_and_raise_are_marked_where_they_are_within() -> None:
    drawn = chart(POINTS, [alert("u", 4)])
    assert drawn is not None
    assert drawn.began is not None
    assert drawn.raised is not None
    assert drawn.began < drawn.raised
    before = chart(POINTS[2:], [alert("u", 4)])
    assert before is not None
    assert (before.began, before.raised) == (None, None)


def test_the_own_normal_is_a_band_if_it_is_known() -> None:
    known = chart(POINTS, [replace(alert("u", 4), baseline=BaselineSummary(30, 0.0, 0.5))])
    assert known is not None
    assert known.normal is not None
    top, height = known.normal
    assert 0 < top < top + height < HEIGHT
    unknown = chart(POINTS, [replace(alert("u", 4), baseline=BaselineSummary(0, 0.0, 0.0))])
    assert unknown is not None
    assert unknown.normal is None


def test_a_later_step_knows_a_score_better() -> None:
    first = replace(alert("u", 4), scores=POINTS[:3])
    later = replace(alert("u", 1, AlertState.ESCALATED), scores=(replace(POINTS[2], probability=0.7), POINTS[3]))
    assert [point.probability for point in points_of([first, later])] == [0.9, 0.5, 0.7, 0.1]


def test_nothing_is_drawn_of_nothing_and_one_score_is_one_dot() -> None:
    assert chart((), [alert("u", 4)]) is None
    one = chart(POINTS[:1], [alert("u", 4)])
    assert one is not None
    assert len(one.dots) == 1


@pytest.mark.parametrize("logit", [-1e9, -700.0, 0.0, 700.0, 1e9])
def test_no_logit_overflows(logit: float) -> None:
    assert 0.0 <= probability(logit) <= 1.0
