"""Whether the broker answers: a broker that is away is waited for, one that refuses ends the process."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from schemas.errors import BrokerRefused, ConfigurationError, Transient
from schemas.settings import Settings
from workers.kafka import broker_probe
from workers.kafka.broker_probe import MOST_REFUSALS, Probe, answered, watch_broker
from workers.service.health import Health

REFUSED, AWAY = BrokerRefused("the broker refuses this client"), Transient("the broker does not answer")


def at(*addresses: str) -> Settings:
    return Settings.load(kafka_bootstrap=",".join(addresses))


@contextmanager
def hanging_up() -> Iterator[tuple[str, list[int]]]:
    """The address of a listener that hangs up on everybody, and whom it hung up on."""
    visits: list[int] = []

    def welcome() -> None:
        while True:
            visitor, (_, port) = listener.accept()
            visitor.close()
            if stopping.is_set():
                return
            visits.append(port)

    stopping = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address: tuple[str, int] = listener.getsockname()
        thread = threading.Thread(target=welcome)
        thread.start()
        yield f"127.0.0.1:{address[1]}", visits
        stopping.set()
        socket.create_connection(address).close()
        thread.join()


@pytest.fixture
def closed() -> Iterator[str]:
    """An address at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


class Answers:
    """Stands for `Probe.ask`: gives one answer after the other, then waits until it is cancelled."""

    def __init__(self, *answers: Exception | None) -> None:
        self._answers = iter(answers)
        self.all_given = asyncio.Event()

    async def __call__(self, probe: Probe) -> None:
        for answer in self._answers:
            if answer is not None:
                raise answer
            return
        self.all_given.set()
        await asyncio.Event().wait()


@pytest.fixture
def health(monkeypatch: pytest.MonkeyPatch) -> Health:
    """Of a process that asks without a pause."""
    monkeypatch.setattr(broker_probe, "EVERY_S", 0.0)
    return Health()


async def state_after(answers: Answers, health: Health, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the process lacks once all answers were given."""
    monkeypatch.setattr(Probe, "ask", lambda probe: answers(probe))
    watching = asyncio.create_task(watch_broker(at("127.0.0.1:1"), health))
    given = asyncio.create_task(answers.all_given.wait())
    await asyncio.wait({watching, given}, return_when=asyncio.FIRST_COMPLETED)
    for task in (watching, given):
        task.cancel()
    results = await asyncio.gather(watching, given, return_exceptions=True)
    if isinstance(results[0], Exception):
        raise results[0]
    return health.lacking()


@pytest.mark.parametrize(
    ("bootstrap", "addresses"),
    [
        ("kafka:9092", [("kafka", 9092)]),
        ("a:1, b:2", [("a", 1), ("b", 2)]),
        ("[::1]:9092,10.0.0.7:9093", [("::1", 9092), ("10.0.0.7", 9093)]),
    ],
)
def test_addresses_are_hosts_and_ports(bootstrap: str, addresses: list[tuple[str, int]]) -> None:
    assert list(broker_probe.addresses(bootstrap)) == addresses


async def test_without_an_address_a_setting_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="KAFKA_BOOTSTRAP"):
        await answered(Settings.load(kafka_bootstrap=None))


async def test_a_broker_that_is_not_there_may_come_later(closed: str) -> None:
    with pytest.raises(Transient, match=f"KAFKA_BOOTSTRAP={closed}: connection refused"):
        await answered(at(closed))


async def test_a_listener_that_hangs_up_is_a_hint_at_encryption() -> None:
    with hanging_up() as (address, _), pytest.raises(Transient, match="encrypt"):
        await answered(at(address))


@pytest.mark.parametrize("place", [0, 1])
async def test_every_address_is_tried(place: int, closed: str) -> None:
    with hanging_up() as (address, visits):
        addresses = [closed]
        addresses.insert(place, address)
        with pytest.raises(Transient):
            await answered(at(*addresses))
    assert visits


async def test_a_probe_asks_anew_after_a_failure() -> None:
    with hanging_up() as (address, visits):
        probe = Probe(at(address))
        for _ in range(2):
            with pytest.raises(Transient):
                await probe.ask()
        await probe.close()
        await probe.close()
    assert len(visits) >= 2


async def test_a_broker_that_answers_again_is_lacked_no_more(health: Health, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = await state_after(Answers(None, AWAY), health, monkeypatch)
    assert lacking == {"broker": "the broker does not answer"}
    assert await state_after(Answers(AWAY, None), health, monkeypatch) == {}


async def test_refusals_end_the_process_only_when_they_come_one_after_the_other(
    health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearly = [REFUSED] * (MOST_REFUSALS - 1)
    assert await state_after(Answers(*nearly, None, *nearly), health, monkeypatch) == {"broker": str(REFUSED)}
    with pytest.raises(BrokerRefused):
        await state_after(Answers(*nearly, REFUSED), health, monkeypatch)


async def test_a_defect_of_the_probe_ends_the_process(health: Health, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        await state_after(Answers(ZeroDivisionError()), health, monkeypatch)
