"""The budget against the alerts."""

from datetime import UTC, datetime, timedelta

import pytest

from streams.history.operations import AlertCount
from streams.web.system.budget import Week, budget

NOW = datetime(2026, 3, 30, tzinfo=UTC)


def test_the_budget_grows_with_people_and_weeks_are_summed_over_cohorts() -> None:
    last, before = NOW, NOW - timedelta(days=7)
    raised = [AlertCount(before, "a", "b-1", 2), AlertCount(last, "a", "b-1", 1), AlertCount(last, "b", "b-1", 4)]
    found = budget(0.5, 1000, raised, NOW)
    assert found.false_alarms == pytest.approx(0.5 * 1000 * 84 / 365.25)
    assert found.weeks == (Week(last, 5), Week(before, 2))
    assert found.raised == 7


def test_without_people_nothing_is_allowed_for() -> None:
    assert (budget(1.0, 0, [], NOW).false_alarms, budget(1.0, 0, [], NOW).raised) == (0.0, 0)
