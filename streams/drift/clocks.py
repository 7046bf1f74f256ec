"""Wrong clocks: a user's state without times that lie ahead. Pure.

A phone stamps `recorded_at`, an uploader `uploaded_at`; either may be years ahead. The time of a user is bounded by two
clocks of the system itself: Kafka's timestamp of the score, and the agent's clock.
"""

from collections.abc import Sequence

from streams.drift.cusum import Chart, ChartRules
from streams.drift.detector import DAY_S, FUTURE_S, chart_after
from streams.drift.detector_state import PAST, Day, DriftState
from streams.drift.episodes import Alerting, Episode


def state_until(state: DriftState, limit_s: float, rules: ChartRules) -> DriftState:
    """The state without days after `limit_s`; the same object when none is.

    In version 0.1 a memo with a wrong clock moved the horizon years ahead, and everything until then was late. The
    chart becomes the one before the first such day. Days that it has closed stay closed.
    """
    if max(state.latest_s, state.horizon_s) <= limit_s:
        return state
    last_day = int(limit_s // DAY_S)
    kept = [day for day in state.days if day.day <= last_day]
    chart = _chart_after(kept, state, rules)
    past = [(day, mean) for day, mean in PAST.iter_unpack(state.past) if day <= last_day]
    newest = int(chart.day) if chart.day <= last_day else max((day for day, _ in past), default=last_day - 1)
    chart = chart._replace(day=min(chart.day, float(newest)), since=min(chart.since, float(newest)))
    if not kept:
        # Without a day the chart would count as that of a new user. Its memos are in the chart: nothing opens it again.
        kept = [Day(newest, 0, 0, b"", chart)]
    closed_s = kept[0].day * DAY_S if kept[0].memos else min((newest + 1) * DAY_S, limit_s - FUTURE_S)
    return state._replace(
        chart=chart,
        days=tuple(kept),
        latest_s=min(state.latest_s, kept[-1].day * DAY_S),
        horizon_s=min(state.horizon_s, closed_s),
        retired_until_s=min(state.retired_until_s, limit_s + FUTURE_S),
        past=b"".join(PAST.pack(*each) for each in past),
    )


def _chart_after(kept: Sequence[Day], state: DriftState, rules: ChartRules) -> Chart:
    """The chart after the first open days, which is also the one before the others."""
    chart = (state.days[0].before or state.chart) if state.days else state.chart
    for day in kept:
        chart = chart_after(day._replace(before=chart), rules)
    return chart


def alerting_until(alerting: Alerting, limit_s: float, cooldown_s: float) -> Alerting:
    """The episodes without times after `limit_s`, so that they can end and begin; the same object when none is."""
    drift, level = (_episode_until(episode, limit_s, cooldown_s) for episode in (alerting.drift, alerting.level))
    silence = alerting.silence.until(limit_s, cooldown_s)
    known = Alerting(drift, level, alerting.bands, min(alerting.high_since_s, limit_s), silence)
    return alerting if known == alerting else known


def _episode_until(episode: Episode, limit_s: float, cooldown_s: float) -> Episode:
    quiet_until_s = min(episode.quiet_until_s, limit_s + cooldown_s)
    return episode._replace(opened_s=min(episode.opened_s, limit_s), quiet_until_s=quiet_until_s)
