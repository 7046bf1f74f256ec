"""The timeline: the agent's own numbers, what was not judged, gaps and changes of the bundle."""

from datetime import timedelta
from itertools import pairwise
from math import inf

import pytest

from schemas.event_enums import MarkKind
from schemas.events import AlertKind, AlertState, Modality
from streams.context.exclusions import Exclusion
from streams.drift.user_state import follow, follow_in_detail
from streams.history.care import Mark
from streams.views.marks import Judged
from streams.web.person.timeline import SHOWN_FROM, judged_memos, timeline
from tests.unit.streams.scores import RULES, START, calm, daily, scored

END = START + timedelta(days=100)


def shifted(days: int = 60) -> list[float]:
    return [*calm(days), *(logit + 2 for logit in calm(20, seed=4))]


def test_statistic_and_threshold_are_those_of_the_agents_alerts() -> None:
    scores = daily(shifted())
    _, alerts = follow(None, scores, RULES)
    memos = {memo.score.memo_id: memo for memo in timeline(scores, RULES, None, END).memos}
    raised = [a for a in alerts if a.kind is AlertKind.DRIFT and a.state is AlertState.RAISED]
    assert raised
    for alert in raised:
        memo = memos[alert.memo_id]
        assert memo.statistic == pytest.approx(alert.statistic)
        assert memo.threshold == pytest.approx(alert.threshold)


def test_the_normal_begins_when_the_baseline_has_some_days_and_the_threshold_later() -> None:
    memos = timeline(daily(calm(20)), RULES, None, END).memos
    assert [memo.normal is None for memo in memos[:SHOWN_FROM]] == [True, True, False]
    assert memos[3].threshold is None
    assert memos[-1].threshold is not None
    assert all(memo.normal.low < memo.normal.mean < memo.normal.high for memo in memos if memo.normal)


def test_what_is_shown_begins_where_asked_but_the_replay_at_the_first_memo() -> None:
    scores = daily(calm(40))
    whole, late = (timeline(scores, RULES, since, END) for since in (None, START + timedelta(days=30)))
    assert late.memos == whole.memos[30:]
    assert (whole.since, late.since) == (START, START + timedelta(days=30))


def test_memos_without_a_judgement_stay_with_their_reason_and_end_no_line() -> None:
    found = timeline(daily([-1.0, None, -1.2, -0.9]), RULES, None, END)
    assert [memo.judged for memo in found.memos] == [Judged.SCORED, Judged.UNUSABLE, Judged.SCORED, Judged.SCORED]
    assert [len(stretch) for stretch in found.stretches()] == [3]


def test_a_memo_that_came_too_late_is_shown_as_not_followed() -> None:
    scores = daily(calm(20))
    late = scored(-1.0, 3.4, memo="late")
    late = type(late)(**{name: getattr(late, name) for name in late.__slots__} | {"scored_at": scores[-1].scored_at})
    memo = next(memo for memo in timeline([*scores, late], RULES, None, END).memos if memo.score.memo_id == "late")
    assert (memo.judged, memo.statistic, memo.normal) == (Judged.LEFT_OUT, None, None)


def test_a_mark_leaves_out_what_came_after_it_was_made_as_in_the_agent() -> None:
    made = START + timedelta(days=62)
    mark = Mark("m", MarkKind.ILLNESS, START + timedelta(days=60), None, True, None, "local", made)
    scores = daily(shifted())
    whole, marked = (judged_memos(scores, RULES, END, marks) for marks in ((), (mark,)))
    assert marked[:62] == whole[:62]
    assert {memo.judged for memo in marked[62:]} == {Judged.LEFT_OUT}
    assert {memo.statistic for memo in marked[62:]} == {None}
    excluded = {"m": Exclusion(made.timestamp(), mark.since.timestamp(), inf)}
    state, _ = follow(None, scores[:62], RULES)
    assert follow_in_detail(state, scores[62:], RULES, excluded=excluded).alerts == []


def test_a_revised_score_counts_once_and_the_last_one_is_shown() -> None:
    first = scored(None, 5, memo="m")
    again = scored(-1.0, 5, memo="m")
    memos = timeline([*daily(calm(5)), first, again], RULES, None, END).memos
    assert [memo.judged for memo in memos if memo.score.memo_id == "m"] == [Judged.SCORED]


def test_a_long_time_without_a_judged_memo_is_a_gap_and_ends_the_line() -> None:
    scores = [*daily(calm(20)), *daily(calm(10), first_day=30)]
    found = timeline(scores, RULES, None, START + timedelta(days=60))
    assert [
        (round((a - START) / timedelta(days=1)), round((b - START) / timedelta(days=1))) for a, b in found.gaps
    ] == [
        (19, 30),
        (39, 60),
    ]
    assert [len(stretch) for stretch in found.stretches()] == [20, 10]


def test_a_gap_that_began_before_what_is_shown_is_cut_there() -> None:
    since = START + timedelta(days=25)
    scores = [*daily(calm(20)), *daily(calm(10), first_day=30)]
    assert timeline(scores, RULES, since, START + timedelta(days=40)).gaps[0][0] == since


def test_another_bundle_is_marked_and_ends_the_line() -> None:
    scores = [*daily(calm(10)), *daily(calm(10), first_day=10, bundle="demo-2")]
    found = timeline(scores, RULES, None, START + timedelta(days=20))
    assert [(change.before, change.after) for change in found.bundles] == [("demo-1", "demo-2")]
    assert [len(stretch) for stretch in found.stretches()] == [10, 10]


def test_nobody_has_an_empty_timeline() -> None:
    found = timeline([], RULES, None, END)
    assert (found.memos, found.bundles, found.stretches()) == ((), (), [])
    assert found.since == END


def test_memos_are_in_the_order_of_their_recording() -> None:
    memos = timeline(reversed(daily(calm(9))), RULES, None, END).memos
    assert all(a.recorded_at < b.recorded_at for a, b in pairwise(memos))
    assert Modality.ACOUSTIC not in memos[0].score.modalities
