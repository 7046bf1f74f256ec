"""The commands of the audit trail, against a broker and anchors."""

import asyncio
import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from schemas.audit_keys import KEYED
from schemas.codec import Codec
from schemas.errors import ConfigurationError, ExitCode
from schemas.event_enums import ActorProof, AuditAction
from schemas.events import AuditEvent
from schemas.settings import Settings
from schemas.topics import ALERTS, AUDIT
from streams.api.publish import Publisher
from streams.audit.commands import COMMANDS, CommandEvent
from streams.audit.reading import read_trail
from streams.audit.settings import keys_of
from streams.audit.trail import KafkaAuditTrail
from streams.audit.verify import Stored
from streams.cli.application import app
from streams.cli.privacy.recorded import record_commands
from streams.local.embedded import EmbeddedKafka
from streams.roles.start_events import record_start
from tests.commands import commands
from tests.unit.schemas.records import AUDIT as EVENT
from workers.kafka.clients import make_producer

KEY = "the key of the trail of these tests"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Settings]:
    """A broker, a key of the trail, a signer, and two anchors."""
    key = tmp_path / "audit.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    key.chmod(0o600)
    with EmbeddedKafka([AUDIT.name, ALERTS.name]) as kafka:
        for name, value in {
            "KAFKA_BOOTSTRAP": kafka.bootstrap,
            "UNDERTONE_AUDIT_KEY": KEY,
            "UNDERTONE_AUDIT_SIGNING_KEY": str(key),
            "UNDERTONE_AUDIT_ANCHORS": f"file://{tmp_path}/heads.jsonl,file://{tmp_path}/copy.jsonl",
        }.items():
            monkeypatch.setenv(name, value)
        yield Settings.load()


def undertone(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments])


def write(settings: Settings, count: int) -> None:
    async def run() -> None:
        async with make_producer(settings) as producer:
            trail = KafkaAuditTrail(Publisher(producer, Codec()), keys_of(settings))
            await asyncio.gather(*(trail.record(EVENT) for _ in range(count)))

    asyncio.run(run())


def verified() -> tuple[int, dict[str, object]]:
    result = undertone("verify", "--json")
    return result.exit_code, json.loads(result.stdout)


def test_a_trail_is_signed_and_verified_listed_and_exported(settings: Settings, tmp_path: Path) -> None:
    write(settings, 12)
    code, found = verified()
    assert (code, found["events"], found["heads"], found["unsigned"]) == (0, 12, 0, 12)
    assert json.loads(undertone("anchor", "--json").stdout) == {"head": 1, "events": 12}
    write(settings, 3)
    code, found = verified()
    assert (code, found["events"], found["heads"], found["holds"], found["unsigned"]) == (0, 15, 1, 1, 3)
    assert found["findings"] == []
    assert "head 1 of" in undertone("verify").stdout

    lines = [json.loads(line) for line in undertone("list", "--user", "user-1", "--json").stdout.splitlines()]
    assert len(lines) == 15
    assert all(person.startswith(KEYED) for line in lines for person in line["user_ids"])
    assert undertone("list", "--user", "another", "--json").stdout == ""
    assert "user-1" not in undertone("list").stdout

    exported = [json.loads(line) for line in undertone("export").stdout.splitlines()]
    assert len([line for line in exported if "event" in line]) == 15
    assert [line["line"] for line in exported if "anchor" in line] == [
        line for name in ("heads", "copy") for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()
    ]


def test_a_start_with_other_settings_is_listed_as_a_change(settings: Settings) -> None:
    for budget in (1.0, 1.0, 3.0):
        asyncio.run(record_start(settings.model_copy(update={"alerts_per_user_year": budget}), "agents", keys_of))
    write(settings, 1)
    listed = [json.loads(line) for line in undertone("list", "--changes", "--json").stdout.splitlines()]
    assert [each["resource"] for each in listed] == ["start.agents", "start.agents"]
    assert listed[0]["reason"] != listed[1]["reason"]
    assert len(undertone("list", "--json").stdout.splitlines()) == 4
    code, found = verified()
    assert (code, found["events"]) == (0, 4)


def test_an_event_of_a_writer_without_the_key_is_found(settings: Settings) -> None:
    write(settings, 4)
    undertone("anchor")
    write(settings.model_copy(update={"audit_key": SecretStr("a key that somebody made up by herself")}), 1)
    code, found = verified()
    assert code == ExitCode.FAILED
    assert [each["kind"] for each in found["findings"]] == ["invented"]  # type: ignore[attr-defined]
    assert found["holds"] == 1


def test_an_anchor_that_was_rewritten_is_found(settings: Settings, tmp_path: Path) -> None:
    for _ in range(3):
        write(settings, 4)
        undertone("anchor")
    heads = tmp_path / "heads.jsonl"
    heads.write_bytes(b"".join(heads.read_bytes().splitlines(keepends=True)[:2]))
    result = undertone("verify")
    assert result.exit_code == ExitCode.FAILED
    assert "ends with head 2" in result.stdout
    assert "head 2 of" in result.stdout


def test_a_topic_of_another_broker_is_a_cut_and_nothing_more_is_signed(settings: Settings) -> None:
    write(settings, 8)
    undertone("anchor")
    with EmbeddedKafka([AUDIT.name]) as other, pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAFKA_BOOTSTRAP", other.bootstrap)
        code, found = verified()
        assert code == ExitCode.FAILED
        assert {each["kind"] for each in found["findings"]} == {"cut"}  # type: ignore[attr-defined]
        assert undertone("anchor").exit_code != 0


ARGUMENTS: dict[str, list[str]] = {
    "submit": [__file__, "--user", "p-1"],
    "scores": ["--user", "p-1"],
    "user": ["p-1"],
    "alerts": ["--once"],
    "alerts mute": ["p-1", "--for", "1h", "--reason", "on leave"],
    "alerts unmute": ["p-1"],
    "drift plot": ["--user", "p-1"],
    "consent": ["--user", "p-1", "paused"],
    "history cohorts": [__file__],
    "keys grant": ["alerts"],
    "keys destroy-epochs": ["--before", "2026-01", "--yes"],
    "export": ["--user", "p-1", "--out", f"{__file__}.zip"],
    "erase": ["--user", "p-1", "--reason", "asked to", "--certificate", os.devnull],
    "erase verify": ["--user", "p-1", __file__],
    "dead-letters show": ["some-id"],
    "rescore": ["--since", "1h"],
    "doctor": ["--send-memo"],
    "audit list": ["--user", "p-1"],
}
"""With which a command is run; without a row with none."""
AUDITED = {path: row for path, row in COMMANDS.items() if isinstance(row, CommandEvent)}


def test_every_command_of_the_table_is_on_the_topic_before_it_runs(settings: Settings) -> None:
    ran: list[str] = []
    root = typer.main.get_command(app)
    for path, command in commands(root):
        if not hasattr(command, "commands"):
            command.callback = partial(noted, ran, " ".join(path))
    record_commands(root)
    for count, name in enumerate(AUDITED, 1):
        with contextlib.suppress(ConfigurationError):  # of groups, which run themselves: there is no Redis here
            root([*name.split(), *ARGUMENTS.get(name, [])], standalone_mode=False)
        assert len(events(settings)) == count, name
    found = {event.resource: event for event in events(settings)}
    assert ran == [name for name in AUDITED if name not in ("alerts", "erase")]
    person = keys_of(settings).person("p-1")
    for name, row in AUDITED.items():
        event = found[name.replace(" ", ".")]
        assert event.action is row.action
        assert event.proof is ActorProof.OS_USER
        assert event.user_ids == ((person,) if row.people else ())
    assert found["alerts.mute"].reason == "on leave"
    assert found["erase"].action is AuditAction.ERASED
    assert verified()[0] == 0


def noted(ran: list[str], ran_path: str, **_: object) -> None:
    """Instead of a command: that it ran."""
    ran.append(ran_path)


def events(settings: Settings) -> list[AuditEvent]:
    async def run() -> list[AuditEvent]:
        found: list[AuditEvent] = []
        codec = Codec()

        def take(record: Stored) -> None:
            found.append(codec.decode(record.value, AuditEvent))

        await read_trail(settings, lambda extent: extent.begins, take)
        return found

    return asyncio.run(run())
