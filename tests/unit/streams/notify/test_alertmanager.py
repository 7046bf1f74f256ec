"""A cluster of Alertmanagers of which some misbehave; a real one is in tests/integration."""

import asyncio

import pytest

from schemas.errors import Transient
from schemas.events import AlertState
from schemas.settings import Settings
from streams.notify import alertmanager
from streams.notify.alertmanager import Alertmanager
from tests.raw_server import Connection, RawServer, always, misbehaving, ok, status
from tests.receivers import Request, receiving
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


async def test_an_open_episode_of_somebody_who_was_erased_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """No record says so that a bridge could open: the key directory does."""
    erased: set[str] = set()

    async def since(_: object, users: set[str]) -> set[str]:
        return users & erased

    monkeypatch.setattr(alertmanager, "erased_since", since)

    def open_ones(request: Request) -> set[str]:
        return {each["annotations"]["user"] for each in request.json if each["annotations"]["state"] != "resolved"}

    with receiving() as server:
        settings = Settings.load(alertmanager_url=server.url, alertmanager_again_s=0.02)
        async with Alertmanager(settings) as receiver:
            receiver.assign(0, [alert(AlertState.RAISED, "gone"), alert(AlertState.RAISED, "here")])
            wait = asyncio.to_thread
            await wait(server.wait_for, lambda sent: sent and open_ones(sent[-1]) == {"gone", "here"})
            erased.add("gone")
            await wait(server.wait_for, lambda sent: open_ones(sent[-1]) == {"here"})
    (last,) = [each for each in server.requests[-1].json if each["annotations"]["user"] == "gone"]
    assert last["annotations"]["state"] == "resolved"
