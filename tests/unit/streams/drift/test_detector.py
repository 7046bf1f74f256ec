"""What one memo does to a user's drift state."""

import struct
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import RiskScored
from streams.drift.cusum import MEMORY, U_LIMIT, Chart, normal_score
from streams.drift.detector import DAY_S, MEMOS_A_DAY, Outcome, Verdict, logit, observe, update
from streams.drift.detector_state import DriftState, windows
from tests.unit.streams.scores import RULES, calm, daily, scored


def _after(scores: Iterable[RiskScored], state: DriftState | None = None) -> tuple[DriftState, list[Verdict]]:
    verdicts = []
    state = state or DriftState()
    for score in scores:
        state, verdict = update(state, observe(score), RULES.chart, RULES.reorder_s)
        verdicts.append(verdict)
    return state, verdicts


def _outcomes(verdicts: list[Verdict]) -> list[Outcome]:
    return [verdict.outcome for verdict in verdicts]


def test_a_calm_user_is_learnt() -> None:
    state, verdicts = _after(daily(calm(200, seed=14)))
    assert state.chart.n == 200
    assert state.chart.mean == pytest.approx(-1.0, abs=0.1)
    assert state.chart.sd == pytest.approx(0.5, abs=0.06)
    assert all(v.chart.up < v.threshold for v in verdicts)


def test_a_change_passes_the_threshold_and_is_dated() -> None:
    _, verdicts = _after(daily([*calm(60), *(x + 1.0 for x in calm(20, seed=4))]))
    found = next(i for i, v in enumerate(verdicts) if v.chart.up > v.threshold)
    assert 60 < found < 70
    chart = verdicts[found].chart
    first_day = observe(scored(0.0, 0)).recorded_s // DAY_S
    assert chart.since - first_day == pytest.approx(60, abs=4)


def test_nothing_is_judged_before_a_week_of_baseline() -> None:
    _, verdicts = _after(daily([-1.0, -1.1, -0.9, 5.0, 5.0, 5.0, 5.0]))
    assert verdicts[5].threshold == np.inf
    assert verdicts[6].threshold < np.inf


def test_an_outlier_moves_neither_chart_nor_baseline_far() -> None:
    state, verdicts = _after(daily([*calm(60), 9.0]))
    before = verdicts[-2].chart
    assert state.chart.up - before.up < U_LIMIT
    assert abs(state.chart.mean - before.mean) < 0.05
    assert state.chart.sd < 1.15 * before.sd


def test_several_memos_of_a_day_are_one_day() -> None:
    once, _ = _after(daily(calm(30)))
    thrice, _ = _after(scored(x, day + hour / 24) for day, x in enumerate(calm(30)) for hour in (0, 1, 2))
    assert thrice.chart.n == 30
    assert thrice.chart.mean == pytest.approx(once.chart.mean)


def test_a_late_memo_is_added_to_its_day() -> None:
    scores = daily(calm(40))
    in_order, _ = _after(scores)
    late, verdicts = _after([*scores[:37], *scores[38:], scores[37]])
    assert verdicts[-1].outcome is Outcome.CHARTED
    assert late.to_bytes() == in_order.to_bytes()


def test_memos_of_a_day_in_any_order_give_the_same_state() -> None:
    scores = [scored(x, 20 + i / 24, memo=f"x{i}") for i, x in enumerate(calm(5))]
    one, _ = _after([*daily(calm(20)), *scores])
    other, _ = _after([*daily(calm(20)), *reversed(scores)])
    assert one.chart == other.chart


def test_a_memo_behind_the_window_is_left_out() -> None:
    state, _ = _after(daily(calm(40)))
    again, [verdict] = _after([scored(3.0, 30.5)], state)
    assert verdict.outcome is Outcome.LATE
    assert again is state


def test_the_window_is_as_long_as_configured() -> None:
    state, _ = _after(daily(calm(40)))
    within = RULES.reorder_s / DAY_S
    _, [inside] = _after([scored(0.0, 39 - within, memo="x")], state)
    _, [outside] = _after([scored(0.0, 39 - within - 1, memo="x")], state)
    assert (inside.outcome, outside.outcome) == (Outcome.CHARTED, Outcome.LATE)


def test_a_memo_seen_before_changes_nothing() -> None:
    scores = daily(calm(40))
    state, _ = _after(scores)
    again, verdicts = _after(scores, state)
    assert again is state
    assert set(_outcomes(verdicts)) == {Outcome.DUPLICATE, Outcome.LATE}


def test_an_indeterminate_score_moves_nothing_but_is_remembered() -> None:
    state, _ = _after(daily(calm(40)))
    after, [first, second] = _after([scored(None, 40), scored(None, 40)], state)
    assert (first.outcome, second.outcome) == (Outcome.INDETERMINATE, Outcome.DUPLICATE)
    assert after.chart == state.chart


@pytest.mark.parametrize("later", [0, 1, 2])
def test_a_score_that_replaces_an_indeterminate_one_counts_in_its_day(later: int) -> None:
    """As a late memo does; after that both are duplicates, in any order."""
    first, rest = daily(calm(40)), daily(calm(later, seed=8), 41)
    plain, _ = _after([*first, *rest, scored(2.0, 40, memo="m")])
    state, _ = _after([*first, scored(None, 40, memo="m"), *rest])
    revised, [verdict] = _after([scored(2.0, 40, memo="m")], state)
    assert verdict.outcome is Outcome.CHARTED
    assert revised == plain
    again, verdicts = _after([scored(2.0, 40, memo="m"), scored(None, 40, memo="m")], revised)
    assert _outcomes(verdicts) == [Outcome.DUPLICATE] * 2
    assert again is revised


def test_a_full_day_takes_the_score_of_a_memo_that_it_holds() -> None:
    day = [scored(None, 0.1 + n / 1000, memo=f"m{n}") for n in range(MEMOS_A_DAY)]
    state, _ = _after(day)
    _, verdicts = _after([scored(0.0, 0.1, memo="m0"), scored(0.0, 0.3, memo="another")], state)
    assert _outcomes(verdicts) == [Outcome.CHARTED, Outcome.CROWDED]


def test_an_indeterminate_memo_that_version_0_1_remembered_is_a_duplicate() -> None:
    state, _ = _after([scored(0.0, 40, memo="m")])
    again, [verdict] = _after([scored(None, 40, memo="m")], state)
    assert (again, verdict.outcome) == (state, Outcome.DUPLICATE)


def test_a_memo_from_the_future_does_not_close_the_past() -> None:
    state, _ = _after(daily(calm(40)))
    wrong_clock = observe(scored(0.0, 4000))
    wrong_clock = wrong_clock._replace(uploaded_s=wrong_clock.uploaded_s - 3000 * DAY_S)
    after, verdict = update(state, wrong_clock, RULES.chart, RULES.reorder_s)
    assert verdict.outcome is Outcome.FUTURE
    assert after is state


def test_evidence_fades_during_a_gap() -> None:
    state, _ = _after(daily([*calm(60), 0.3]))
    last = state.chart.mean
    soon, _ = _after([scored(last, 61)], state)
    later, _ = _after([scored(last, 61 + 7 + 14)], state)
    month, _ = _after([scored(last, 61 + 7 + 140)], state)
    assert state.chart.up > 1.5
    assert later.chart.up == pytest.approx(state.chart.up / 2 - 0.4, abs=0.1)
    assert month.chart.up == 0.0
    assert soon.chart.up > later.chart.up


def test_a_long_gap_forgets_no_baseline() -> None:
    state, _ = _after(daily(calm(60)))
    after, _ = _after([scored(-1.0, 400)], state)
    assert after.chart.n == 61


def test_neighbours_that_correlate_are_whitened() -> None:
    rng = np.random.default_rng(5)
    x = [0.0]
    for e in rng.standard_normal(400):
        x.append(0.6 * x[-1] + 0.8 * float(e))
    state, _ = _after(daily(x))
    assert state.chart.phi == pytest.approx(0.6, abs=0.12)
    independent, _ = _after(daily(calm(400)))
    assert independent.chart.phi < 0.15


def test_a_new_bundle_restarts_the_chart_and_late_memos_of_the_old_are_skipped() -> None:
    old = daily(calm(60))
    state, verdicts = _after([*old, scored(4.0, 60, bundle="demo-2"), scored(4.0, 60.1, bundle="demo-1")])
    assert _outcomes(verdicts[-2:]) == [Outcome.RESTARTED, Outcome.RETIRED]
    assert state.chart.n == 1
    _, [back] = _after([scored(-1.0, 61.5, bundle="demo-1")], state)
    assert back.outcome is Outcome.RESTARTED


def test_memos_of_the_old_bundle_are_still_recognised() -> None:
    old = daily(calm(60))
    state, _ = _after([*old, scored(4.0, 60, bundle="demo-2")])
    after, verdicts = _after(old[-3:], state)
    assert after is state
    assert Outcome.RESTARTED not in _outcomes(verdicts)


def test_windows_of_7_and_30_days_are_reported() -> None:
    logits = [*calm(60), *([1.0] * 7)]
    state, _ = _after(daily(logits))
    lately = windows(state)
    assert (lately.days_7, lately.days_30) == (7, 30)
    assert lately.mean_7 == pytest.approx(1.0, abs=1e-5)
    assert lately.mean_30 == pytest.approx(sum(logits[-30:]) / 30, abs=1e-5)
    assert windows(DriftState.from_bytes(state.to_bytes())) == lately
    after_gap, _ = _after([scored(0.0, 90)], state)
    assert windows(after_gap).days_7 == 1
    assert windows(after_gap).mean_7 == pytest.approx(0.0, abs=1e-5)


def test_a_flood_stays_within_bounds() -> None:
    state, verdicts = _after(scored(0.1 * (i % 7), i / 500, memo=f"x{i}") for i in range(3000))
    assert Outcome.CROWDED in _outcomes(verdicts)
    assert len(state.to_bytes()) < 2048


def test_the_baseline_remembers_a_year() -> None:
    state, _ = _after(daily(calm(500)))
    assert state.chart.n == MEMORY


def test_a_constant_user_is_no_surprise() -> None:
    _, verdicts = _after(daily([-1.0] * 60))
    assert all(v.chart.up == 0.0 for v in verdicts)


@given(st.lists(st.tuples(st.floats(-6, 6) | st.none(), st.floats(0, 40)), max_size=40))
@settings(max_examples=60)
def test_stored_states_continue_unchanged(memos: list[tuple[float | None, float]]) -> None:
    scores = [scored(x, day, memo=str(i)) for i, (x, day) in enumerate(memos)]
    straight, _ = _after(scores)
    state = DriftState()
    for score in scores:
        state, _ = _after([score], DriftState.from_bytes(state.to_bytes()))
    assert state.to_bytes() == straight.to_bytes()


@given(st.binary(max_size=900))
def test_bytes_that_are_no_state_are_refused(data: bytes) -> None:
    with pytest.raises((struct.error, ValueError)):
        DriftState.from_bytes(data)


@pytest.mark.parametrize(
    ("t", "nu", "u"), [(2.0, 5.0, 1.636), (-1.0, 30.0, -0.983), (0.0, 3.0, 0.0), (50.0, 9.0, U_LIMIT)]
)
def test_normal_scores_are_those_of_students_t(t: float, nu: float, u: float) -> None:
    """u from scipy.stats: norm.ppf(t.cdf(t, nu)), limited to U_LIMIT."""
    assert normal_score(t, nu) == pytest.approx(u, abs=0.01)


def test_certainty_is_bounded() -> None:
    assert [logit(0.0), logit(1.0)] == pytest.approx([-9.2102, 9.2102], abs=1e-4)
    assert Chart().n == 0


def test_fields_of_a_state_are_in_the_order_of_an_update() -> None:
    """`detector.update` unpacks and builds a state by position, because it runs for every score."""
    assert DriftState._fields == (
        "chart", "days", "latest_s", "horizon_s", "bundle", "retired", "retired_until_s", "past",
    )  # fmt: skip
