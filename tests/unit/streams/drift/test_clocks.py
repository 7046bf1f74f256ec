"""A wrong clock costs its own memo, and nobody anything else."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from schemas.events import AlertState, RiskAlert, RiskScored
from streams.drift.clocks import alerting_until, state_until
from streams.drift.detector import DAY_S, FUTURE_S, Outcome, Transition, after, observe, update
from streams.drift.episodes import Alerting, Episode
from streams.drift.user_state import User, delivered, follow_in_detail, pack, unpack
from tests.unit.streams.scores import RULES, START, calm, daily, scored

NOW_S = 1_790_000_000.0
LIMIT_S = NOW_S + FUTURE_S
CHANGED = daily([*calm(40), *(x + 2 for x in calm(20, seed=4))])


def stamped(days: float, moment: datetime, uploaded: datetime | None = None) -> tuple[RiskScored, int]:
    """A score with wrong times, and Kafka's right timestamp of it."""
    score = replace(scored(-1.0, days, memo="wrong"), recorded_at=moment, uploaded_at=uploaded or moment)
    return score, round((START + timedelta(days=days)).timestamp() * 1000)


def played(
    scores: Sequence[tuple[RiskScored, int]], state: bytes | None = None
) -> tuple[bytes, list[RiskAlert], list[Outcome]]:
    """State, alerts and outcomes when the scores come one by one and the agent's clock goes with their timestamps."""
    alerts, outcomes = list[RiskAlert](), list[Outcome]()
    now_s = START.timestamp()
    for score, stamp in scores:
        now_s = stamp / 1000 + 1.0 if 0 < stamp < 2**50 else now_s
        followed = follow_in_detail(state, [score], RULES, now_s, [stamp])
        alerts += followed.alerts
        outcomes += followed.outcomes
        state = delivered(followed.state, {alert.alert_id for alert in followed.alerts})
    assert state is not None
    return state, alerts, outcomes


def in_time(scores: Sequence[RiskScored]) -> list[tuple[RiskScored, int]]:
    return [(score, round(score.recorded_at.timestamp() * 1000)) for score in scores]


@pytest.mark.parametrize(
    "wrong",
    [
        stamped(10, datetime(2035, 1, 1, tzinfo=UTC)),
        stamped(10, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        stamped(10, datetime(1, 1, 1, tzinfo=UTC)),
        stamped(10, datetime(1969, 7, 20, tzinfo=UTC)),
        stamped(10, START + timedelta(days=40)),
        stamped(10, START + timedelta(days=40), uploaded=START + timedelta(days=10)),
        stamped(10, START + timedelta(days=11, hours=9), uploaded=datetime(9999, 1, 1, tzinfo=UTC)),
        (stamped(10, datetime(2035, 1, 1, tzinfo=UTC))[0], -1),
        (stamped(10, datetime(2035, 1, 1, tzinfo=UTC))[0], 2**60),
    ],
)
def test_a_wrong_clock_changes_nothing_for_the_next_memos(wrong: tuple[RiskScored, int]) -> None:
    plain = played(in_time(CHANGED))
    assert {alert.state for alert in plain[1]} == {AlertState.RAISED, AlertState.ESCALATED}
    scores = in_time(CHANGED)
    state, alerts, outcomes = played([*scores[:11], wrong, *scores[11:]])
    assert outcomes.pop(11) in {Outcome.FUTURE, Outcome.LATE}
    assert (state, alerts, outcomes) == plain


def test_a_wrong_upload_time_does_not_cost_a_right_recording_time() -> None:
    scores = in_time(CHANGED[:3])
    for uploaded in (
        datetime(9999, 12, 31, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
    ):
        score, stamp = scores[2]
        _, _, outcomes = played([*scores[:2], (replace(score, uploaded_at=uploaded), stamp)])
        assert outcomes[2] is Outcome.CHARTED


def test_a_memo_a_time_zone_ahead_is_charted() -> None:
    scores = in_time(CHANGED[:3])
    score, stamp = scores[2]
    _, _, outcomes = played([*scores[:2], (score, stamp - 14 * 3_600_000)])
    assert outcomes[2] is Outcome.CHARTED


def poisoned(scores: Sequence[RiskScored], *wrong: RiskScored) -> bytes:
    """The state of version 0.1 after a memo with a wrong clock: the upload time alone bounded it."""
    user = unpack(follow_in_detail(None, scores, RULES).state)
    for score in wrong:
        state, verdict = update(user.drift, observe(score), RULES.chart, RULES.reorder_s)
        assert verdict.outcome in {Outcome.CHARTED, Outcome.INDETERMINATE}
        user = user._replace(drift=state)
    return pack(user)


@pytest.mark.parametrize("days", [1, 5, 30])
@pytest.mark.parametrize("wrong", [(4000.0,), (4000.0, 4001.0, 90000.0), (1000.0,)])
def test_a_horizon_years_ahead_heals(days: int, wrong: Sequence[float]) -> None:
    before, rest = CHANGED[:days], CHANGED[days:]
    state = poisoned(before, *(scored(0.5, day) for day in wrong))
    _, plain, _ = played(in_time(CHANGED))
    healed, alerts, outcomes = played(in_time(rest), state)
    assert set(outcomes) == {Outcome.CHARTED}
    # Of several wrong days, all but the last are in the chart, as days of the user.
    assert [alert.state for alert in alerts] == [alert.state for alert in plain]
    assert unpack(healed).drift.horizon_s < rest[-1].recorded_at.timestamp()


def test_a_state_closed_by_a_wrong_clock_heals() -> None:
    """An episode or a new bundle that began with such a memo has closed every day."""
    user = unpack(poisoned(CHANGED[:30], scored(0.5, 4000.0)))
    user = User(after(user.drift, Transition.HOLD), Alerting(Episode("key", user.drift.latest_s)))
    _, alerts, outcomes = played(in_time(daily(calm(40, seed=5), 30)), pack(user))
    assert set(outcomes) == {Outcome.CHARTED}
    assert [alert.state for alert in alerts] == [AlertState.RESOLVED]


def test_what_is_not_ahead_stays_the_same_object() -> None:
    user = unpack(follow_in_detail(None, CHANGED, RULES).state)
    assert state_until(user.drift, LIMIT_S, RULES.chart) is user.drift
    assert alerting_until(user.alerting, LIMIT_S, RULES.cooldown_s) is user.alerting


def test_a_cool_down_that_ends_years_ahead_ends_as_one_from_now() -> None:
    ahead = Alerting(
        Episode("", 0.0, NOW_S + 3000 * DAY_S), Episode("k", NOW_S + 3000 * DAY_S), 1, NOW_S + 3000 * DAY_S
    )
    known = alerting_until(ahead, LIMIT_S, RULES.cooldown_s)
    assert known.drift.quiet_until_s == LIMIT_S + RULES.cooldown_s
    assert (known.level.opened_s, known.high_since_s) == (LIMIT_S, LIMIT_S)


def test_an_agent_whose_own_clock_is_behind_destroys_no_state() -> None:
    state = follow_in_detail(None, CHANGED, RULES).state
    last = scored(-1.0, 60.0)
    behind_s = START.timestamp() - 400 * DAY_S
    followed = follow_in_detail(state, [last], RULES, behind_s, [round(last.scored_at.timestamp() * 1000)])
    assert unpack(followed.state).drift == unpack(state).drift
