"""A cluster of Alertmanagers of which some misbehave; a real one is in tests/integration."""

import asyncio

import pytest

from schemas.errors import Transient
from schemas.events import AlertState
from schemas.settings import Settings
from streams.notify.alertmanager import Alertmanager
from tests.raw_server import Connection, RawServer, always, misbehaving, ok, status
from tests.unit.streams.alerts import alert

TIMEOUT_S = 0.5
OVERLOADED = always(status(503, "Retry-After: 60"))
SOON_S = 30.0
"""Less than an instance asks for, and much more than a post takes."""


async def silent(connection: Connection) -> None:
    await connection.wait()


async def deliver(*instances: RawServer) -> None:
    urls = ",".join(instance.url for instance in instances)
    async with Alertmanager(Settings.load(alertmanager_url=urls, bridge_timeout_s=TIMEOUT_S)) as receiver:
        receiver.assign(0, [])
        await receiver.deliver(0, alert(AlertState.RAISED))


async def test_one_that_accepts_is_enough_and_waits_for_none_that_is_overloaded() -> None:
    with misbehaving(always(ok(b""))) as accepting, misbehaving(OVERLOADED) as overloaded:
        async with asyncio.timeout(SOON_S):
            await deliver(overloaded, accepting)
        assert accepting.connections
        assert overloaded.connections


async def test_one_that_does_not_answer_costs_the_timeout() -> None:
    with misbehaving(always(ok(b""))) as accepting, misbehaving(silent) as stalled:
        async with asyncio.timeout(SOON_S):
            await deliver(stalled, accepting)


async def test_when_none_accepts_the_longest_wait_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    with misbehaving(OVERLOADED) as overloaded, misbehaving(always(status(500))) as failing:
        monkeypatch.setattr(asyncio, "sleep", sleep)
        with pytest.raises(Transient):
            await deliver(failing, overloaded)
    assert waits == [60.0]
