"""Where the dashboard of a laptop listens, and when its address is shown."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from schemas.settings import Settings
from streams.local import dashboard
from streams.local.dashboard import Dashboard

HOST = "127.0.0.1"


@pytest.fixture
def of() -> Iterator[Callable[[Settings], Dashboard]]:
    """`Dashboard.of`, closed at the end."""
    with ExitStack() as exits:

        def made(settings: Settings) -> Dashboard:
            found = Dashboard.of(settings)
            assert found is not None
            exits.callback(found.close)
            return found

        yield made


def default(port: int) -> Settings:
    """Settings with a port that no one chose."""
    return Settings.model_construct(_fields_set=set(), dashboard_host=HOST, dashboard_port=port)


def test_zero_takes_a_free_port(of: Callable[[Settings], Dashboard]) -> None:
    found = of(Settings(dashboard_port=0))
    assert found.port > 0
    assert found.address == f"http://{HOST}:{found.port}"


def test_a_port_in_use_is_kept_where_it_was_chosen_and_left_where_it_is_the_default(
    of: Callable[[Settings], Dashboard],
) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        chosen = of(Settings(dashboard_port=port))
        assert (chosen.port, chosen.listening) == (port, None)
        assert of(default(port)).port != port
    assert of(default(port)).port == port


def test_two_systems_that_start_at_once_have_two_ports(of: Callable[[Settings], Dashboard]) -> None:
    """Neither has a process that listens yet."""
    first = of(Settings(dashboard_port=0))
    again = default(first.port)
    assert len({first.port, of(again).port, of(again).port}) == 3
    assert first.listening is not None
    first.close()
    assert of(again).port == first.port, "and an ended one gives its port back"


def test_without_its_packages_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "PACKAGES", ("no_such_package",))
    assert Dashboard.of(Settings()) is None


async def test_it_answers_once_a_request_is_answered(of: Callable[[Settings], Dashboard]) -> None:
    """Connections alone are accepted before its process is there."""
    found = of(Settings(dashboard_port=0))
    asked = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        assert not waiting.done()
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    waiting = asyncio.create_task(found.answers())
    async with asyncio.timeout(10), await asyncio.start_server(answer, sock=found.listening):
        await waiting
    assert asked.is_set()


def test_an_address_of_version_six_is_written_in_brackets() -> None:
    assert Dashboard("::1", 80).address == "http://[::1]:80"
