"""Precision with its uncertainty, and nothing where there is too little to say."""

import pytest

from schemas.event_enums import CareOutcome
from streams.history.operations import Precision
from streams.web.system.precision import FEWEST, precision_rows, wilson


def found(false_alarms: int, contacted: int, unknown: int = 0) -> Precision:
    outcomes = {
        CareOutcome.FALSE_ALARM: false_alarms,
        CareOutcome.CONTACTED: contacted,
        CareOutcome.UNKNOWN: unknown,
    }
    return Precision("north", "b-1", 40, outcomes)


def test_the_share_is_of_answered_alerts_with_its_interval() -> None:
    (row,) = precision_rows([found(5, 15)])
    assert (row.answered, row.true_alerts, row.share) == (20, 15, 0.75)
    assert row.low is not None
    assert row.high is not None
    assert row.low < 0.75 < row.high


def test_below_ten_answers_nothing_is_said_and_an_outcome_of_a_newer_version_is_none() -> None:
    (row,) = precision_rows([found(1, FEWEST - 2, unknown=5)])
    assert (row.answered, row.share, row.low, row.high) == (FEWEST - 1, None, None, None)


@pytest.mark.parametrize(("successes", "trials", "low", "high"), [(0, 10, 0.0, 0.278), (10, 10, 0.722, 1.0)])
def test_an_interval_stays_within_the_scale(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=1e-3)
