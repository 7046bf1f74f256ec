"""How long an HTTP receiver retries."""

import pytest

from schemas.errors import Poison, Transient
from schemas.events import AlertState, RiskAlert
from streams.notify.http_receiver import HttpReceiver
from tests.unit.streams.alerts import alert

RAISED, OTHER = alert(AlertState.RAISED), alert(AlertState.RAISED, "user-2")


class Failing(HttpReceiver):
    """A receiver whose attempts raise `outcome`, if any; now: seconds."""

    name = "failing"
    outcome: Exception | None = Transient("unavailable")
    now = 0.0

    def __init__(self) -> None:
        super().__init__(timeout_s=1.0, give_up_s=60.0, clock=lambda: self.now)
        self.assign(0, [])

    async def send(self, partition: int, alert: RiskAlert) -> None:
        if self.outcome is not None:
            raise self.outcome


async def attempt(receiver: Failing, step: RiskAlert, at: float) -> None:
    receiver.now = at
    await receiver.deliver(0, step)


async def test_an_alert_is_given_up_after_its_time_since_the_first_attempt() -> None:
    receiver = Failing()
    for at in (0.0, 59.9):
        with pytest.raises(Transient):
            await attempt(receiver, RAISED, at)
    with pytest.raises(Poison, match="not accepted within 60 s: unavailable") as given_up:
        await attempt(receiver, RAISED, 60.0)
    assert given_up.value.reason == "receiver:gave_up"


async def test_each_alert_has_its_own_time() -> None:
    receiver = Failing()
    with pytest.raises(Transient):
        await attempt(receiver, RAISED, 0.0)
    with pytest.raises(Transient):
        await attempt(receiver, OTHER, 50.0)
    with pytest.raises(Poison):
        await attempt(receiver, RAISED, 70.0)
    with pytest.raises(Transient):
        await attempt(receiver, OTHER, 100.0)


@pytest.mark.parametrize("outcome", [None, Poison("receiver:refused", "no")])
async def test_an_alert_that_was_accepted_or_refused_has_its_whole_time_again(outcome: Exception | None) -> None:
    receiver = Failing()
    with pytest.raises(Transient):
        await attempt(receiver, RAISED, 0.0)
    receiver.outcome = outcome
    if outcome is None:
        await attempt(receiver, RAISED, 10.0)
    else:
        with pytest.raises(Poison, match="refused"):
            await attempt(receiver, RAISED, 10.0)
    receiver.outcome = Transient("unavailable")
    with pytest.raises(Transient):
        await attempt(receiver, RAISED, 65.0)


async def test_the_time_that_another_process_owned_the_partition_does_not_count() -> None:
    receiver = Failing()
    with pytest.raises(Transient):
        await attempt(receiver, RAISED, 0.0)
    receiver.revoke(0)
    receiver.assign(0, [])
    with pytest.raises(Transient):
        await attempt(receiver, RAISED, 3600.0)
