"""Which episodes are of one change."""

from datetime import timedelta

from schemas.events import AlertKind, AlertState
from streams.views.changes import changes
from tests.unit.streams.alerts import START, alert, episode_of

RAISED, RESOLVED = AlertState.RAISED, AlertState.RESOLVED


def test_a_drift_and_a_level_alert_of_one_change_are_one_change_with_two_kinds() -> None:
    drift = [alert(RAISED, day=10), alert(RESOLVED, day=40)]
    level = [alert(state, day=day, kind=AlertKind.LEVEL) for state, day in ((RAISED, 14), (RESOLVED, 44))]
    (change,) = changes([*level, *drift])
    assert change.label == "drift 11 May, level 15 May"
    assert (change.since, change.until) == (START + timedelta(days=4), START + timedelta(days=44))
    assert [step.at for step in change.steps] == sorted(step.at for step in [*drift, *level])


def test_a_change_is_open_until_all_of_its_episodes_are_resolved() -> None:
    level = [alert(state, day=day, kind=AlertKind.LEVEL) for state, day in ((RAISED, 14), (RESOLVED, 20))]
    (change,) = changes([alert(RAISED, day=10), *level])
    assert change.until is None


def test_episodes_after_each_other_are_two_changes() -> None:
    first, second = changes([*episode_of(episode=2, day=60), *episode_of(episode=1, day=0)])
    assert first.until is not None
    assert first.until < second.steps[0].at
    assert {step.dedup_key for step in first.steps}.isdisjoint(step.dedup_key for step in second.steps)


def test_without_alerts_there_is_no_change() -> None:
    assert changes([]) == []
