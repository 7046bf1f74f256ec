"""The contract of every channel of the table, with a real HTTP server as its receiver."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from typer.testing import CliRunner

import streams.notify
from schemas.channels import ALERTMANAGER, CHANNELS, Channel
from schemas.errors import ConfigurationError, Poison, Transient
from schemas.events import AlertState
from schemas.settings import Settings
from streams.cli.application import app
from streams.local.system import System
from streams.notify.receivers import Receiver, make_receiver
from tests.receivers import Answer, receiving
from tests.unit.streams.alerts import alert

PARTITION = 3
RAISED = alert(AlertState.RAISED)
PATIENTS = Path(__file__).parent / "patients.csv"
MAY_PASS = [500, 503, 429, 401, 403, 404, 302, None]


@pytest.fixture(params=CHANNELS, ids=lambda channel: channel.name)
def channel(request: pytest.FixtureRequest) -> Channel:
    """Each row of the table."""
    row: Channel = request.param
    return row


def made(channel: Channel, url: str | None) -> Receiver:
    """The receiver of a channel, with everything but its address in order."""
    others = {"webhook_secret": "a sentence of enough bytes", "fhir_patients": PATIENTS}
    return make_receiver(channel, Settings.load(**{channel.setting: url, **others}))


async def delivered(channel: Channel, url: str) -> None:
    """Deliver one step, as a bridge does."""
    async with made(channel, url) as receiver:
        receiver.assign(PARTITION, [])
        await receiver.deliver(PARTITION, RAISED)
        receiver.revoke(PARTITION)


def test_modules_with_a_receiver_and_rows_are_the_same() -> None:
    modules = {module.name for module in iter_modules(streams.notify.__path__)}
    with_receiver = {
        name
        for name in modules - {"receivers"}
        if hasattr(import_module(f"{streams.notify.__name__}.{name}"), "make_receiver")
    }
    assert with_receiver == {channel.name for channel in CHANNELS}


def test_a_receiver_has_the_name_of_its_row(channel: Channel) -> None:
    receiver = made(channel, "https://receiver.example")
    assert receiver.name == channel.name
    assert receiver.needs_history is (channel is ALERTMANAGER)


async def test_a_step_is_one_request_to_the_address(channel: Channel) -> None:
    with receiving() as server:
        await delivered(channel, f"{server.url}/h1dden")
    (request,) = server.requests
    assert request.path.startswith("/h1dden")
    assert request.headers["content-type"] in {"application/json", "application/fhir+json"}
    assert request.json


async def test_a_permanent_refusal_is_poison_without_the_address(channel: Channel) -> None:
    with receiving(lambda *_: (422, "h1dden answer")) as server, pytest.raises(Poison, match="HTTP 422") as refused:
        await delivered(channel, f"{server.url}/h1dden")
    assert refused.value.reason == "receiver:refused"
    assert not re.search(r"h1dden|127\.0\.0\.1", str(refused.value))


@pytest.mark.parametrize("answer", MAY_PASS)
async def test_a_failure_that_a_retry_or_an_operator_may_resolve_is_transient_and_names_the_host_alone(
    channel: Channel, answer: Answer
) -> None:
    message = str(answer or f"{channel.variable}=http://127.0.0.1:")
    with receiving(lambda *_: answer) as server, pytest.raises(Transient, match=message) as failed:
        await delivered(channel, f"{server.url}/h1dden")
    assert len(server.requests) == 1
    assert f"{channel.variable}={server.url}: " in str(failed.value)
    assert "h1dden" not in str(failed.value)


async def test_a_redirect_is_not_followed(channel: Channel) -> None:
    with receiving() as elsewhere, receiving(lambda *_: 307) as server:
        server.headers["Location"] = elsewhere.url
        with pytest.raises(Transient, match="HTTP 307"):
            await delivered(channel, server.url)
    assert elsewhere.requests == []


@pytest.mark.parametrize("url", [None, "", "h1dden.example", "ftp://h1dden.example/", "https://"])
def test_without_an_address_the_error_names_the_variable_and_not_its_value(channel: Channel, url: str | None) -> None:
    with pytest.raises(ConfigurationError, match=channel.variable) as refused:
        made(channel, url)
    assert "h1dden" not in str(refused.value)


def test_the_command_of_a_channel_without_an_address_names_the_setting(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "127.0.0.1:9")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:9")
    refused = CliRunner().invoke(app, ["bridge", channel.name]).exception
    assert isinstance(refused, ConfigurationError)
    assert channel.variable in str(refused)


def test_the_help_lists_every_channel_and_how_to_set_it(channel: Channel) -> None:
    listed, shown = (
        " ".join(CliRunner().invoke(app, ["bridge", *words, "--help"], env={"COLUMNS": "200"}).output.split())
        for words in ([], [channel.name])
    )
    assert channel.meaning[:30] in listed  # a list may cut what it says of a command
    assert channel.meaning in shown
    assert channel.address in shown


def test_up_runs_the_bridge_of_a_channel_that_has_an_address(channel: Channel, tmp_path: Path) -> None:
    system = System(Settings.load(home=tmp_path, **{channel.setting: "https://receiver.example"}))
    assert system.dashboard is not None
    system.dashboard.close()
    bridges = [command for name, command in system._roles().items() if name.startswith("bridge ")]
    assert bridges == [("bridge", channel.name)]


def test_making_one_receiver_loads_no_other_channel(channel: Channel) -> None:
    script = (
        "import sys\n"
        "from schemas.channels import CHANNELS\n"
        "from schemas.settings import Settings\n"
        "from streams.notify.receivers import make_receiver\n"
        "assert 'httpx' not in sys.modules\n"
        f"row = next(row for row in CHANNELS if row.name == {channel.name!r})\n"
        f"others = {{'webhook_secret': 'x' * 24, 'fhir_patients': {str(PATIENTS)!r}}}\n"
        "make_receiver(row, Settings.load(**{row.setting: 'https://x.example', **others}))\n"
        "print([row.name for row in CHANNELS if f'streams.notify.{row.name}' in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{[channel.name]}\n"
