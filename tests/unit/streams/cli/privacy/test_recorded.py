"""Commands record what they are about to do, before they do it."""

from typing import Any

import pytest
import typer

from schemas.errors import Transient
from streams.cli.application import app
from streams.cli.privacy import recorded

NOWHERE = {"KAFKA_BOOTSTRAP": "127.0.0.1:9", "REDIS_URL": "redis://127.0.0.1:9"}


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in NOWHERE.items():
        monkeypatch.setenv(name, value)
    found = typer.main.get_command(app)
    recorded.record_commands(found)
    return found


def test_a_command_that_cannot_be_recorded_is_not_run(commands: Any) -> None:
    with pytest.raises(Transient, match="could not be recorded in the audit trail"):
        commands(["scores"], standalone_mode=False)
    with pytest.raises(Transient, match="could not be recorded in the audit trail"):
        commands(["alerts"], standalone_mode=False)


def test_a_command_without_an_event_asks_for_no_broker(commands: Any, capsys: pytest.CaptureFixture[str]) -> None:
    commands(["topics", "schemas", "--json"], standalone_mode=False)
    assert "audit.events" in capsys.readouterr().out
