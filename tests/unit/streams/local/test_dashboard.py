"""Where the dashboard of a laptop listens, and when its address is shown."""

import asyncio
import socket

import pytest

from schemas.settings import Settings
from streams.local import dashboard
from streams.local.dashboard import Dashboard

HOST = "127.0.0.1"


def test_zero_takes_a_free_port() -> None:
    found = Dashboard.of(Settings(dashboard_port=0))
    assert found is not None
    assert found.port > 0
    assert found.address == f"http://{HOST}:{found.port}"


def test_a_port_in_use_is_kept_where_it_was_chosen_and_left_where_it_is_the_default() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        assert Dashboard.of(Settings(dashboard_port=port)) == Dashboard(HOST, port)
        default = Settings.model_construct(_fields_set=set(), dashboard_host=HOST, dashboard_port=port)
        found = Dashboard.of(default)
    assert found is not None
    assert found.port != port
    assert Dashboard.of(default) == Dashboard(HOST, port)


def test_without_its_packages_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "PACKAGES", ("no_such_package",))
    assert Dashboard.of(Settings()) is None


async def test_it_answers_once_something_listens() -> None:
    found = Dashboard.of(Settings(dashboard_port=0))
    assert found is not None
    waiting = asyncio.create_task(found.answers())
    await asyncio.sleep(0)
    assert not waiting.done()
    with socket.create_server((HOST, found.port)):
        await asyncio.wait_for(waiting, 10)


def test_an_address_of_version_six_is_written_in_brackets() -> None:
    assert Dashboard("::1", 80).address == "http://[::1]:80"
