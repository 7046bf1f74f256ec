"""How well a person can be followed."""

from datetime import timedelta

from streams.web.person.following import following
from streams.web.person.timeline import judged_memos
from tests.unit.streams.scores import RULES, START, calm, daily, scored

NOW = START + timedelta(days=60)


def test_the_last_week_is_compared_with_the_usual_one_and_reasons_are_counted() -> None:
    scores = [*daily(calm(54)), scored(None, 57), scored(None, 58)]
    found = following(judged_memos(scores, RULES, NOW), NOW)
    assert (found.last_week, found.usual_week) == (2, 7)
    assert (found.unjudged, found.lately, found.reason) == (2, 25, "another reason")
    assert found.unjudged_share == 2 / 25
    assert found.baseline_days == 54
    assert (found.judging, found.young) == (True, False)
    assert found.last_memo_at == START + timedelta(days=58)


def test_a_young_baseline_is_said_and_no_alert_is_possible_before_it_has_a_week() -> None:
    now = START + timedelta(days=5)
    found = following(judged_memos(daily(calm(5)), RULES, now), now)
    assert (found.judging, found.young, found.usual_week, found.last_week) == (False, True, None, 5)


def test_of_nobody_nothing_is_known() -> None:
    found = following([], NOW)
    assert (found.last_memo_at, found.last_week, found.usual_week, found.unjudged_share) == (None, 0, None, None)
    assert (found.baseline_days, found.judging) == (0, False)
