"""Connecting: a client anew while no broker answers, and no client left open behind an error."""

import asyncio
from dataclasses import dataclass

import pytest
from aiokafka.errors import KafkaConnectionError, SaslAuthenticationFailed

from schemas.errors import BrokerRefused
from schemas.settings import Settings
from workers.kafka import connect
from workers.kafka.connect import started, stopped

SETTINGS = Settings.load(kafka_bootstrap="127.0.0.1:1")


@dataclass
class Client:
    """A client whose start fails with `error`, if any."""

    error: Exception | None
    running: bool = False
    stopped: bool = False

    async def start(self) -> None:
        if self.error is not None:
            raise self.error
        self.running = True

    async def stop(self) -> None:
        self.stopped = True


class Factory:
    """Makes one client after the other, with these faults."""

    def __init__(self, *errors: Exception | None) -> None:
        self._errors = iter(errors)
        self.made: list[Client] = []

    def __call__(self) -> Client:
        self.made.append(Client(next(self._errors)))
        return self.made[-1]


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None: ...

    monkeypatch.setattr(asyncio, "sleep", sleep)


async def test_a_client_that_connects_is_given_running() -> None:
    factory = Factory(None)
    client = await started(factory, SETTINGS, stage="test")
    assert factory.made == [client]
    assert client.running
    assert not client.stopped


async def test_while_no_broker_answers_each_attempt_has_a_client_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answered(settings: Settings) -> None: ...

    monkeypatch.setattr(connect, "answered", answered)
    factory = Factory(KafkaConnectionError("away"), KafkaConnectionError("away"), None)
    client = await started(factory, SETTINGS, stage="test")
    assert client is factory.made[2]
    assert [each.stopped for each in factory.made] == [True, True, False]


async def test_a_broker_that_refuses_is_heard_though_the_client_only_says_that_it_could_not_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refused(settings: Settings) -> None:
        raise BrokerRefused("the broker refuses this client")

    monkeypatch.setattr(connect, "answered", refused)
    factory = Factory(KafkaConnectionError("away"))
    with pytest.raises(BrokerRefused):
        await started(factory, SETTINGS, stage="test")
    assert factory.made[0].stopped


@pytest.mark.parametrize(
    ("error", "raised"), [(SaslAuthenticationFailed(), BrokerRefused), (ZeroDivisionError(), ZeroDivisionError)]
)
async def test_an_error_that_stays_leaves_no_client_open(error: Exception, raised: type[Exception]) -> None:
    factory = Factory(error)
    with pytest.raises(raised):
        await started(factory, SETTINGS, stage="test")
    assert [each.stopped for each in factory.made] == [True]


class Cut:
    """A client whose `stop` ends by its own cancellation, as aiokafka's does while a broker is unavailable."""

    def __init__(self) -> None:
        self.closed: list[str] = []
        self._client = self

    async def stop(self) -> None:
        pending = asyncio.create_task(asyncio.sleep(60))
        pending.cancel()
        await pending

    async def close(self) -> None:
        self.closed.append("connections")


async def test_a_client_that_cancels_its_own_stop_is_closed() -> None:
    client = Cut()
    await stopped(client)
    assert client.closed == ["connections"]


async def test_a_cancelled_caller_stays_cancelled() -> None:
    class Slow(Cut):
        async def stop(self) -> None:
            await asyncio.sleep(60)

    stopping = asyncio.create_task(stopped(Slow()))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
