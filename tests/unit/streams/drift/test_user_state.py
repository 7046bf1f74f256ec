"""No alert is lost and none gets a second id, under redelivery and crashes."""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Band, Evidence, RiskAlert, RiskScored
from streams.context.exclusions import Exclusion
from streams.drift.cusum import Chart
from streams.drift.detector import DAY_S, Outcome
from streams.drift.stored_state import LARGEST
from streams.drift.user_state import delivered, follow, follow_in_detail, unpack
from streams.reasons.recent_memos import recent_memos
from tests.unit.streams.scores import RULES, START, calm, daily, scored


def _scores_of(seed: int) -> list[RiskScored]:
    """A user who is calm, changes, recovers, and has high scores at times; some days have two memos."""
    rng = np.random.default_rng(seed)
    days = np.sort(rng.uniform(0, 130, 160))
    logits = rng.normal(-1, 0.5, 160) + 1.8 * ((days > 50) & (days < 75)) + 1.5 * (days > 110)
    bundle = [1 + (day > 95) for day in days]
    return [
        scored(
            None if rng.random() < 0.05 else float(x),
            float(day),
            memo=f"m{i}",
            band=Band.HIGH if x > 0 else Band.LOW,
            bundle=f"demo-{bundle[i]}",
        )
        for i, (x, day) in enumerate(zip(logits, days, strict=True))
    ]


def _played(batches: Iterable[Sequence[RiskScored]]) -> tuple[bytes | None, list[RiskAlert]]:
    """State and alerts after every batch was processed and delivered."""
    state, alerts = None, list[RiskAlert]()
    for batch in batches:
        state, new = follow(state, batch, RULES)
        alerts += new
        state = delivered(state, {alert.alert_id for alert in new})
    return state, alerts


@given(st.integers(0, 30), st.lists(st.integers(0, 160), max_size=12), st.sets(st.integers(0, 159), max_size=40))
@settings(max_examples=40)
def test_cuts_and_duplicates_change_nothing(seed: int, cuts: list[int], twice: set[int]) -> None:
    scores = _scores_of(seed)
    plain = _played([[score] for score in scores])
    assert len(plain[1]) >= 2
    edges = [0, *sorted(cuts), len(scores)]
    batches = [
        [score for i in range(start, end) for score in [scores[i]] * (1 + (i in twice))]
        for start, end in pairwise(edges)
    ]
    assert _played(batches) == plain


def test_a_topic_played_twice_changes_nothing() -> None:
    state, alerts = _played([_scores_of(1)])
    again, none = follow(state, _scores_of(1), RULES)
    assert again == state
    assert none == []
    assert len(alerts) >= 3


def test_alerts_are_returned_again_until_they_are_delivered() -> None:
    scores = daily([*calm(60), *(x + 2 for x in calm(10))])
    state, alerts = follow(None, scores, RULES)
    assert alerts
    after_crash, again = follow(state, scores[-3:], RULES)
    assert again == alerts
    assert after_crash == state
    marked = delivered(state, {alert.alert_id for alert in alerts})
    assert follow(marked, scores, RULES) == (marked, [])
    assert delivered(marked, {alert.alert_id for alert in alerts}) == marked


def test_only_delivered_alerts_are_dropped() -> None:
    state, alerts = follow(None, daily([*calm(60), *(x + 2 for x in calm(20))]), RULES)
    assert len(alerts) == 2
    assert follow(delivered(state, {alerts[0].alert_id}), [], RULES)[1] == alerts[1:]


@pytest.mark.parametrize("death", range(0, 160, 7))
def test_a_crash_anywhere_loses_nothing(death: int) -> None:
    """The process dies after the state was written and before the alerts were sent; the batch is redelivered."""
    scores = _scores_of(2)
    plain_state, plain = _played([scores])
    state, seen = None, dict[str, RiskAlert]()
    for start in range(0, len(scores), 20):
        batch = scores[start : start + 20]
        if start <= death < start + 20:
            state, _ = follow(state, batch, RULES)
        state, alerts = follow(state, batch, RULES)
        seen |= {alert.alert_id: alert for alert in alerts}
        state = delivered(state, set(seen))
    assert state == plain_state
    assert list(seen.values()) == plain


def test_a_state_stays_small_even_when_nothing_is_ever_delivered() -> None:
    state, bands = None, [Band.LOW, Band.HIGH]
    for seed in range(12):
        rng = np.random.default_rng(seed)
        days = seed * 40 + np.sort(rng.uniform(0, 40, 300))
        logits = rng.normal(0, 1 + 2 * (seed % 3), 300)
        batch = [
            scored(float(x), float(day), memo=f"{seed}-{'long' * 10}-{i}", band=rng.choice(bands))
            for i, (x, day) in enumerate(zip(logits, days, strict=True))
        ]
        state, _ = follow(state, batch, RULES)
        assert len(state) <= LARGEST
    assert state is not None
    assert unpack(state).outbox


def test_memos_that_a_mark_leaves_out_teach_raise_and_explain_nothing() -> None:
    marker = Evidence("pause_share", 0.41, 2.3)
    cold = [replace(score, evidence=(marker,)) for score in daily([x + 3 for x in calm(10)], 60)]
    before, _ = follow(None, daily(calm(60)), RULES)
    assert follow(before, cold, RULES)[1]
    first_s = START.timestamp() + 60 * DAY_S
    left_out = follow_in_detail(
        before, cold, RULES, excluded={"cold": Exclusion(first_s, first_s, first_s + 10 * DAY_S)}
    )
    assert left_out.outcomes == (Outcome.INDETERMINATE,) * 10
    assert not left_out.alerts
    assert unpack(left_out.state).drift.chart == unpack(before).drift.chart
    memos = recent_memos(unpack(left_out.state).recent)[-10:]
    assert [memo.probability for memo in memos] == [score.probability for score in cold]
    assert {memo.evidence for memo in memos} == {()}


@pytest.mark.parametrize("damaged", [b"", b"\x01", b"\xff" * 700, b"\x07" + b"\0" * 900])
def test_corrupt_bytes_restart_the_user(damaged: bytes) -> None:
    followed = follow_in_detail(damaged, daily(calm(3)), RULES)
    assert not followed.readable
    assert delivered(damaged, {"any"}) == damaged
    assert followed.state == follow(None, daily(calm(3)), RULES)[0]


_HEAD = struct.Struct("<BHHB")


def _of_version_2(state: bytes) -> bytes:
    """The state as it was stored before it held recent memos."""
    _, drift, alerting, outbox = _HEAD.unpack_from(state)
    at = _HEAD.size + drift + alerting
    (recent,) = struct.unpack_from("<H", state, at)
    return _HEAD.pack(2, drift, alerting, outbox) + state[_HEAD.size : at] + state[at + 2 + recent :]


def _of_version_1(state: bytes) -> bytes:
    """The state as it was stored before charts had a prior."""
    _, drift, alerting, outbox = _HEAD.unpack_from(state)
    floats = len(Chart._fields)
    charts = struct.unpack_from(f"<{3 * floats}d", state, _HEAD.size)
    known = [x for i, x in enumerate(charts) if i % floats < floats - 1]
    rest = _of_version_2(state)[_HEAD.size + 3 * floats * 8 :]
    return _HEAD.pack(1, drift - 24, alerting, outbox) + struct.pack(f"<{len(known)}d", *known) + rest


def _unexplained(alerts: Sequence[RiskAlert]) -> list[RiskAlert]:
    return [replace(alert, evidence=(), scores=(), summary="") for alert in alerts]


@pytest.mark.parametrize("older", [_of_version_1, _of_version_2])
def test_states_of_older_versions_go_on(older: Callable[[bytes], bytes]) -> None:
    """They know no recent memos: alerts show those since."""
    scores = daily([*calm(60), *(x + 2 for x in calm(10))])
    for known in (0, 3, 30, 66):
        state, _ = follow(None, scores[:known], RULES)
        old = follow_in_detail(older(state), scores[known:], RULES)
        today = follow_in_detail(state, scores[known:], RULES)
        assert old.readable
        assert _unexplained(old.alerts) == _unexplained(today.alerts)
        assert known < 66 or old.alerts
        assert unpack(old.state)._replace(recent=b"", outbox=()) == unpack(today.state)._replace(recent=b"", outbox=())
        assert [len(recent_memos(unpack(each.state).recent)) for each in (old, today)] == [min(12, 70 - known), 12]


def test_a_late_memo_finds_its_place_among_the_recent_ones() -> None:
    scores = daily(calm(20))
    late = [*scores[:17], scores[18], scores[17], scores[19]]
    rules = RULES._replace(silences_per_year=0.0)  # pauses are those between uploads, in the order of their arrival
    assert follow(None, late, rules) == follow(None, scores, rules)


def test_alerts_explain_themselves_by_the_memos_of_their_episode() -> None:
    longer = Evidence("pause_share", 0.41, 2.5, contribution=0.4, usual=0.22)
    usual = Evidence("jitter", 0.02, 3.0, contribution=0.1, usual=0.01)
    scores = daily([*calm(60), *(x + 2 for x in calm(10))])
    told = [replace(score, evidence=(longer if day >= 60 else usual,)) for day, score in enumerate(scores)]
    _, alerts = follow(None, told, RULES)
    assert _unexplained(alerts) == _unexplained(follow(None, scores, RULES)[1])
    first = alerts[0]
    assert [each.name for each in first.evidence] == ["pause_share"]
    assert first.evidence[0].value == pytest.approx(0.41)
    assert (first.evidence[0].usual, first.evidence[0].deviation_sd) == pytest.approx((0.22, 2.5))
    assert first.scores[-1].recorded_at == first.at
    assert [point.recorded_at for point in first.scores] == sorted(point.recorded_at for point in first.scores)
    assert first.scores[-1].probability == next(s.probability for s in told if s.memo_id == first.memo_id)
    days = max(1, round((first.at - first.since).total_seconds() / 86400))
    length = "1 day" if days == 1 else f"{days} days"
    assert first.summary == f"speaks with longer pauses than usual for {length}: pause share 0.41, usually 0.22"


def test_a_new_bundle_does_not_show_scores_of_the_old_one() -> None:
    state, _ = follow(None, [*daily(calm(20)), *daily(calm(3), 20, bundle="demo-2")], RULES)
    assert len(recent_memos(unpack(state).recent)) == 3


def test_a_users_prior_outlasts_other_rules() -> None:
    """Also for a late memo that recomputes the first days."""
    scores = daily(calm(40))
    others = RULES._replace(chart=RULES.chart._replace(phi=0.05))
    for known in (1, 4, 20):
        late = [*scores[:1], *scores[2 : known + 2], scores[1], *scores[known + 2 :]]
        state, _ = follow(None, late[:known], RULES)
        assert follow(state, late[known:], others) == follow(state, late[known:], RULES)
    assert follow(None, scores, others) != follow(None, scores, RULES)


def test_what_a_score_adds_to_the_pool_is_counted_once() -> None:
    scores = daily(calm(30))
    once = follow_in_detail(None, scores, RULES)
    assert once.pairs == 27
    assert follow_in_detail(once.state, scores, RULES).pairs == 0
