"""The simulation behind the shipped thresholds is the rule that is shipped."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.events import AlertKind, AlertState, Band, RiskAlert
from schemas.settings import Settings
from streams.drift.cusum import Chart
from streams.drift.detector import Observation
from streams.drift.rules import Rules
from streams.drift.user_state import User, advance
from tests.benchmarks.drift_simulation import simulate

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _pure(logits: NDArray[np.float64], rules: Rules) -> tuple[User, list[RiskAlert]]:
    """One user through the agent's code; logits: (days, memos a day)."""
    user, alerts = User(), list[RiskAlert]()
    for d, day in enumerate(logits):
        for j, logit in enumerate(day):
            moment = EPOCH + timedelta(days=d * rules.chart.spacing + j / len(day))
            memo = Observation(
                f"{d}.{j}", moment, moment.timestamp(), moment.timestamp(), float(logit), Band.LOW, "demo"
            )
            user, _, new = advance(user, "u", memo, rules)
            alerts += new
    return user, alerts


@pytest.mark.parametrize("memos", [1, 3])
@pytest.mark.parametrize("spacing", [1.0, 4.0])
def test_the_simulation_matches_the_agent(memos: int, spacing: float) -> None:
    rng = np.random.default_rng(7)
    users, days = 24, 330
    logits = rng.normal(-1.0, 0.7, (days, memos, users))
    logits[60:75] += 1.5
    logits[100:220, :, :8] += 2.0
    logits[160:, :, 8:12] -= 3.0
    rules = Rules.from_settings(Settings())
    rules = rules._replace(chart=rules.chart._replace(spacing=spacing))
    history = simulate(logits, rules.chart, rules.cooldown_s)
    for u in range(users):
        user, alerts = _pure(logits[:, :, u], rules)
        for state, flags in (
            (AlertState.RAISED, history.raised),
            (AlertState.ESCALATED, history.escalated),
            (AlertState.RESOLVED, history.resolved),
        ):
            expected = [f"{d}.{j}" for d, j in np.argwhere(flags[:, :, u])]
            assert [a.memo_id for a in alerts if a.state is state and a.kind is AlertKind.DRIFT] == expected
        for name in Chart._fields:
            assert getattr(user.drift.chart, name) == pytest.approx(history.last[name][u], abs=1e-6), name
    assert history.raised.sum() > users
    assert history.resolved.sum() > users / 2
