"""The commands of the key directory."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from schemas.errors import ConfigurationError, Stop
from schemas.key_purposes import epoch_of
from streams.cli.application import app
from tests.json_output import validated
from tests.keys import sealing
from workers.privacy.key_directory import KeyDirectory

THIS_MONTH = f"{datetime.now(UTC):%Y-%m}"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNDERTONE_HOME", str(tmp_path))
    return tmp_path


def run(*arguments: str) -> dict[str, Any]:
    """The JSON line of `keys …`, checked against its schema."""
    (line,) = validated(f"keys {arguments[0]}", output(*arguments, "--json"))
    return dict(line)


def output(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["keys", *arguments])
    if isinstance(result.exception, Stop):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_keys_are_made_once(home: Path) -> None:
    assert run("init") == {"made": True}
    assert run("init") == {"made": False}
    assert {path.name for path in home.iterdir()} >= {"keys.db", "keyset.json"}
    assert "nothing to make" in output("init")


def test_status_says_what_is_sealed_and_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("init")
    directory = KeyDirectory.open(sealing(home))
    directory.enrol(["ann", "ben"])
    directory.close()
    monkeypatch.setenv("UNDERTONE_SEAL", "on")
    monkeypatch.setenv("UNDERTONE_SEAL_CLEAR_TOPICS", "risk.alerts")
    found = run("status")
    assert found | {"store_key_made_at": None} == {
        "sealing": "on",
        "clear_topics": ["risk.alerts"],
        "key_cache_s": 600.0,
        "key_service": "local",
        "store_key": 1,
        "store_key_made_at": None,
        "rotating": False,
        "people": 2,
        "erasing": 0,
        "erased": 0,
        "keys": 4,
        "damaged": 0,
        "oldest_month": THIS_MONTH,
        "destroyed_before": None,
    }
    assert "ann" not in output("status")


@pytest.mark.parametrize("command", [("status",), ("rotate",), ("destroy-epochs", "--before", THIS_MONTH)])
def test_commands_make_no_directory(home: Path, command: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="keys init"):
        output(*command)
    assert not (home / "keys.db").exists()


def test_what_is_due_follows_from_the_retention_and_nothing_due_changes_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("init")
    directory = KeyDirectory.open(sealing(home))
    subject = directory.enrol(["ann"])["ann"].id
    month = epoch_of(datetime.now(UTC))
    directory.make_keys([(subject, month - 1), (subject, month - 15)])
    directory.close()
    with pytest.raises(ConfigurationError, match="UNDERTONE_KEYS_RETENTION_S"):
        output("destroy-epochs", "--due", "--yes")
    monkeypatch.setenv("UNDERTONE_KEYS_RETENTION_S", str(400 * 86400))
    with pytest.raises(ConfigurationError, match="1 keys of the months before"):
        output("destroy-epochs", "--due")
    assert run("destroy-epochs", "--due", "--yes")["destroyed"] == 1
    store_key = run("status")["store_key"]
    assert run("destroy-epochs", "--due", "--yes")["destroyed"] == 0
    assert run("status")["store_key"] == store_key, "no rotation of every key each night for nothing"


def test_rotating_and_destroying_months(home: Path) -> None:
    run("init")
    directory = KeyDirectory.open(sealing(home))
    subject = directory.enrol(["ann"])["ann"].id
    month = epoch_of(datetime.now(UTC))
    directory.make_keys([(subject, month - 1), (subject, month - 2)])
    directory.close()
    rotated = run("rotate")
    assert (rotated["store_key"], rotated["rewrapped"], rotated["damaged"]) == (2, 4, 0)
    with pytest.raises(ConfigurationError, match="2 keys of the months before"):
        output("destroy-epochs", "--before", THIS_MONTH)
    destroyed = run("destroy-epochs", "--before", THIS_MONTH, "--yes")
    assert (destroyed["destroyed"], destroyed["destroyed_before"]) == (2, THIS_MONTH)
    found = run("status")
    assert (found["store_key"], found["keys"], found["destroyed_before"]) == (3, 2, THIS_MONTH)
    versions = json.loads((home / "keyset.json").read_text())
    assert set(versions["keys"]) == {"3"}
    assert set(versions["destroyed"]) == {"1", "2"}
