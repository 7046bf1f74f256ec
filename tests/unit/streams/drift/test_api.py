"""The monitor alone: the agent's verdicts, its state, its refusals; light to import, and River's interface."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import inf, nan

import numpy as np
import pytest

from schemas.errors import ConfigurationError, UnreadableState
from schemas.events import AlertState, RiskScored
from schemas.settings import Settings
from streams.drift.api import DriftMonitor, Outcome, Phase, RiverDriftMonitor, Verdict
from streams.drift.rules import COOLDOWN_S, REORDER_S
from streams.drift.stored_state import LARGEST
from streams.drift.thresholds import threshold_for
from streams.drift.user_state import delivered, follow, follow_in_detail, unpack
from tests.unit.streams.scores import RULES, START, calm, daily, scored

DAY_S = 86400.0


def _course(seed: int, memos: int) -> list[RiskScored]:
    """One person, in order of arrival: calm, changed and recovered, with abstentions, repetitions and late memos."""
    rng = np.random.default_rng(seed)
    days = np.sort(rng.uniform(0, memos, memos))
    logits = rng.normal(-1, 0.6, memos)
    logits[memos // 3 : memos // 2] += rng.uniform(0, 2.5)
    logits[3 * memos // 4 :] += rng.uniform(-1, 2.5)
    absent = rng.random(memos) < 0.05
    bundle = np.where(days > rng.uniform(0.5, 1.5) * memos, 2, 1)
    scores = [
        scored(None if absent[i] else float(logits[i]), float(days[i]), memo=f"m{i}", bundle=f"demo-{bundle[i]}")
        for i in range(memos)
    ]
    arrival = days + np.where(rng.random(memos) < 0.1, rng.uniform(0, 5, memos), 0.0)
    order = [i for i in np.argsort(arrival, kind="stable") for _ in range(2 if rng.random() < 0.03 else 1)]
    return [scores[i] for i in order]


def _given(monitor: DriftMonitor, score: RiskScored) -> Verdict:
    return monitor.update(
        score.recorded_at,
        score.probability,
        memo_id=score.memo_id,
        bundle_id=score.bundle_id,
        arrived=START + timedelta(days=2000),
    )


def test_verdicts_and_states_are_the_agents_on_fifty_thousand_values() -> None:
    now_s = (START + timedelta(days=2000)).timestamp()
    raised, values, skipped = 0, 0, set[Outcome]()
    for seed in range(125):
        scores = _course(seed, 400)
        agent = follow_in_detail(None, scores, RULES._replace(level_of=0, silences_per_year=0.0), now_s)
        monitor = DriftMonitor(user_id="u")
        verdicts = [_given(monitor, score) for score in scores]
        assert [verdict.outcome for verdict in verdicts] == list(agent.outcomes)
        steps = [
            (v.alarm, v.episode, v.statistic, v.threshold, v.baseline_days, v.baseline_mean, v.baseline_sd)
            for v in verdicts
            if v.alarm
        ]
        assert steps == [
            (a.state, a.dedup_key, a.statistic, a.threshold, a.baseline.n, a.baseline.mean, a.baseline.sd)
            for a in agent.alerts
        ]
        assert monitor.to_bytes() == delivered(agent.state, {alert.alert_id for alert in agent.alerts})
        raised, values, skipped = raised + len(steps), values + len(scores), skipped | set(agent.outcomes)
    assert values >= 50_000
    assert raised > 125
    assert skipped >= {Outcome.DUPLICATE, Outcome.LATE, Outcome.INDETERMINATE, Outcome.RESTARTED, Outcome.RETIRED}


def test_the_defaults_are_those_of_the_settings() -> None:
    settings = Settings()
    assert (settings.reorder_window_s, settings.alert_cooldown_s) == (REORDER_S, COOLDOWN_S)
    assert (settings.alerts_per_user_year, settings.memos_per_day, settings.autocorrelation) == (1.0, 1.0, None)


def test_a_stored_state_continues_at_any_value() -> None:
    scores = _course(2, 150)
    whole, parts = DriftMonitor(), DriftMonitor()
    for score in scores:
        parts = DriftMonitor.from_bytes(parts.to_bytes())
        assert _given(parts, score) == _given(whole, score)
        assert parts.to_bytes() == whole.to_bytes()
    assert len(whole.to_bytes()) <= LARGEST


def test_monitors_of_one_budget_search_the_table_once() -> None:
    threshold_for.cache_clear()
    for _ in range(5):
        DriftMonitor.from_bytes(DriftMonitor(0.7).to_bytes(), 0.7)
    assert threshold_for.cache_info().misses == 1


def test_a_state_of_the_agent_continues_with_its_undelivered_alerts() -> None:
    state, alerts = follow(None, daily([*calm(60), *(x + 2 for x in calm(20))]), RULES)
    assert alerts
    monitor = DriftMonitor.from_bytes(state, user_id="u")
    verdict = _given(monitor, daily([-1.0], 80)[0])
    assert verdict.episode == alerts[0].dedup_key
    assert list(unpack(monitor.to_bytes()).outbox) == alerts


@pytest.mark.parametrize("damaged", [b"", b"\x01", b"\x02" + b"\xff" * 700, b"\x04" + b"\0" * 700])
def test_bytes_that_are_no_state_are_refused(damaged: bytes) -> None:
    with pytest.raises(UnreadableState):
        DriftMonitor.from_bytes(damaged)


def test_a_change_passes_through_the_phases_of_an_episode() -> None:
    monitor = DriftMonitor()
    values = [*calm(60), *(x + 1.5 for x in calm(10, 4)), *calm(40, 5)]
    verdicts = [_given(monitor, score) for score in daily(values)]
    phases = [verdict.phase for verdict in verdicts]
    assert list(dict.fromkeys(phases)) == [Phase.LEARNING, Phase.WATCHING, Phase.IN_EPISODE, Phase.COOLING_DOWN]
    assert phases[-1] is Phase.WATCHING
    assert phases.index(Phase.WATCHING) == 6
    assert verdicts[0].threshold == inf
    alarms = {verdict.alarm: verdict for verdict in verdicts if verdict.alarm}
    assert set(alarms) >= {AlertState.RAISED, AlertState.RESOLVED}
    assert len({verdict.episode for verdict in alarms.values()}) == 1
    assert all(verdict.statistic > verdict.threshold for verdict in alarms.values())
    assert alarms[AlertState.RAISED].phase is Phase.IN_EPISODE
    assert not verdicts[-1].episode


def test_a_value_that_changes_nothing_says_why() -> None:
    monitor = DriftMonitor()
    assert monitor.update(10 * DAY_S, 0.3).ignored is None
    for seconds, probability, outcome in (
        (10 * DAY_S, 0.4, Outcome.DUPLICATE),
        (2 * DAY_S, 0.4, Outcome.LATE),
        (11 * DAY_S, None, Outcome.INDETERMINATE),
    ):
        verdict = monitor.update(seconds, probability)
        assert verdict.outcome is outcome
        assert str(verdict.ignored).startswith("no probability" if probability is None else str(outcome))
    assert monitor.update(11 * DAY_S, 0.3).ignored is None, "an abstention may be given its probability later"
    ahead = monitor.update(20 * DAY_S, 0.3, arrived=12 * DAY_S)
    assert ahead.outcome is Outcome.FUTURE
    for second in range(50):
        last = monitor.update(12 * DAY_S + second, 0.3)
    assert last.outcome is Outcome.CROWDED
    restarted = monitor.update(13 * DAY_S, 0.3, bundle_id="other")
    assert (restarted.outcome, restarted.ignored) == (Outcome.RESTARTED, None)
    assert monitor.update(13 * DAY_S + 1, 0.3).outcome is Outcome.RETIRED


def test_datetimes_and_seconds_are_the_same_moments() -> None:
    one, other = DriftMonitor(), DriftMonitor()
    for day, value in enumerate(calm(30)):
        moment = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(days=day)
        probability = 1 / (1 + np.exp(-value))
        assert one.update(moment, probability) == other.update(moment.timestamp(), float(probability))
    assert one.to_bytes() == other.to_bytes()


@pytest.mark.parametrize(
    ("time", "probability", "message"),
    [
        (datetime(2026, 1, 1), 0.5, "time zone"),
        (nan, 0.5, "1970 to 9999"),
        (inf, 0.5, "1970 to 9999"),
        (-1.0, 0.5, "1970 to 9999"),
        (0.0, 1.01, "from 0 to 1"),
        (0.0, nan, "from 0 to 1"),
    ],
)
def test_impossible_values_are_refused_and_change_nothing(
    time: datetime | float, probability: float, message: str
) -> None:
    monitor = DriftMonitor()
    before = monitor.to_bytes()
    with pytest.raises(ValueError, match=message):
        monitor.update(time, probability)
    assert monitor.to_bytes() == before


@pytest.mark.parametrize("budget", [1000.0, 0.0001, 0.0, -1.0, nan, inf])
def test_a_budget_outside_of_the_table_is_refused_with_its_range(budget: float) -> None:
    with pytest.raises(ConfigurationError, match=r"from [\d.]+ to [\d.]+") as refused:
        DriftMonitor(budget)
    assert isinstance(refused.value, ValueError)


def _probabilities() -> Iterator[float]:
    for value in [*calm(60), *(x + 2 for x in calm(10))]:
        yield 1 / (1 + float(np.exp(-value)))


def test_the_river_interface_detects_what_the_monitor_alarms() -> None:
    detector, monitor = RiverDriftMonitor(2.0, memos_per_day=3.0), DriftMonitor(2.0, memos_per_day=3.0)
    detected = []
    for step, probability in enumerate(_probabilities()):
        detector.update(probability)
        verdict = monitor.update(step * DAY_S / 3, probability)
        assert detector.verdict == verdict
        assert detector.drift_detected == (verdict.alarm is AlertState.RAISED)
        detected += [step] * detector.drift_detected
    assert len(detected) == 1
    assert detected[0] >= 60


def test_river_takes_the_detector_for_one_of_its_own() -> None:
    base = pytest.importorskip("river.base", reason="pip install river (the dependency group `bench`)")
    detector = RiverDriftMonitor(2.0)
    assert isinstance(detector, base.DriftDetector)
    copy = detector.clone()
    assert (copy.false_alarms_per_year, copy.drift_detected) == (2.0, False)


_IMPORTED = """
import json, sys
{before}
known = set(sys.modules)
from streams.drift.api import DriftMonitor, RiverDriftMonitor
assert not DriftMonitor().update(0.0, 0.5).alarm
RiverDriftMonitor().update(0.5)
print(json.dumps(sorted({{name.partition(".")[0] for name in set(sys.modules) - known}})))
"""


@pytest.mark.parametrize("before", ["", "sys.modules['river'] = sys.modules['river.base'] = None"])
def test_importing_the_monitor_loads_no_library(before: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTED.format(before=before)], capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stdout)) - set(sys.stdlib_module_names)
    assert loaded - {"river"} == {"schemas", "streams", "workers"}
