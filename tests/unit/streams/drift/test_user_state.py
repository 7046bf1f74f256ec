"""No alert is lost and none gets a second id, under redelivery and crashes."""

import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Band, RiskAlert, RiskScored
from streams.drift.cusum import Chart
from streams.drift.stored_state import LARGEST
from streams.drift.user_state import delivered, follow, follow_in_detail, unpack
from tests.unit.streams.scores import RULES, calm, daily, scored


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


@pytest.mark.parametrize("damaged", [b"", b"\x01", b"\xff" * 700, b"\x07" + b"\0" * 900])
def test_corrupt_bytes_restart_the_user(damaged: bytes) -> None:
    followed = follow_in_detail(damaged, daily(calm(3)), RULES)
    assert not followed.readable
    assert delivered(damaged, {"any"}) == damaged
    assert followed.state == follow(None, daily(calm(3)), RULES)[0]


def _of_version_1(state: bytes) -> bytes:
    """The state as it was stored before charts had a prior."""
    head = struct.Struct("<BHHB")
    _, drift, alerting, outbox = head.unpack_from(state)
    floats = len(Chart._fields)
    charts = struct.unpack_from(f"<{3 * floats}d", state, head.size)
    known = [x for i, x in enumerate(charts) if i % floats < floats - 1]
    rest = state[head.size + 3 * floats * 8 :]
    return head.pack(1, drift - 24, alerting, outbox) + struct.pack(f"<{len(known)}d", *known) + rest


def test_states_of_version_1_go_on() -> None:
    scores = daily([*calm(60), *(x + 2 for x in calm(10))])
    for known in (0, 3, 30, 66):
        state, alerts = follow(None, scores[:known], RULES)
        old = follow_in_detail(_of_version_1(state), scores[known:], RULES)
        assert old.readable
        assert (old.state, old.alerts) == follow(state, scores[known:], RULES)
        assert known < 66 or alerts


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
