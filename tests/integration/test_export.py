"""One person's data leave as one archive: from a broker, a Redis and a database, in clear and sealed."""

import asyncio
import csv
import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import typer
from redis import Redis

from schemas import topics
from schemas.codec import Codec
from schemas.errors import ExitCode, Transient
from schemas.event_enums import AuditAction
from schemas.events import AuditEvent
from schemas.settings import Settings
from schemas.state_keys import DRIFT, MUTES
from streams.audit.reading import read_trail
from streams.audit.settings import keys_of as trail_keys
from streams.audit.verify import Stored
from streams.cli.application import app
from streams.cli.privacy.recorded import record_commands
from streams.drift.user_state import follow
from streams.history.care import apply_action
from streams.history.database import Database
from streams.history.writes import positions
from streams.history.writes.batch import store
from streams.local.embedded import EmbeddedKafka
from tests.history import KEEPING, NOW_MS, parts
from tests.json_output import validated
from tests.servers import RedisServer
from tests.unit.schemas.records import CARE, SCORED
from tests.unit.streams.scores import RULES
from tests.unit.streams.views.export.held import OTHER, USER, known, records
from workers.kafka.clients import make_producer
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.sealing import close_all, sealing_of
from workers.state.open_store import open_store

CODEC = Codec()
CANARY = "a note about somebody else"
KEPT = "kept in the database alone"
OLD = replace(CARE, user_id=USER, action_id="older than the topic", note=KEPT)


@pytest.fixture(params=["off", "on"])
def settings(
    request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    with EmbeddedKafka(topic.name for topic in topics.TOPICS) as kafka:
        environment = {
            "KAFKA_BOOTSTRAP": kafka.bootstrap,
            "REDIS_URL": redis_server.url,
            "UNDERTONE_HOME": str(tmp_path / "home"),
            "UNDERTONE_SEAL": request.param,
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        found = Settings.load()
        if request.param == "on":
            KeyDirectory.init(found)
        yield found
        close_all()


def export(out: Path, *more: str, user: str = USER) -> None:
    """Run the command in this process, as `undertone` does, and with no keys of another."""
    close_all()
    root = typer.main.get_command(app)
    record_commands(root)
    root(["export", "--user", user, "--out", str(out), "--reason", "asked", *more], standalone_mode=False)


def looks(settings: Settings) -> list[tuple[object, ...]]:
    """What the audit trail has."""
    found: list[AuditEvent] = []

    def take(record: Stored) -> None:
        found.append(CODEC.decode(record.value, AuditEvent))

    close_all()
    asyncio.run(read_trail(settings, lambda extent: extent.begins, take))
    return [(each.action, each.resource, each.user_ids, each.reason) for each in found]


async def fill(settings: Settings) -> None:
    """What a system has of one person, and of another one."""
    for user in (USER, OTHER):
        await sealing_of(settings).keys_of(user, enrol=True)
    producer = make_producer(settings)
    await producer.start()
    try:
        for name, some in records().items():
            for each in some:
                await producer.send_and_wait(name, CODEC.encode(each, f"{name}-value"), USER.encode())
        for each in (replace(SCORED, user_id=OTHER), replace(CARE, user_id=OTHER, note=CANARY)):
            name = "risk.scored" if each.__class__ is SCORED.__class__ else "care.actions"
            await producer.send_and_wait(name, CODEC.encode(each, f"{name}-value"), OTHER.encode())
    finally:
        await producer.stop()
    mutes = known().state[MUTES.key()]
    drift = {user: follow(None, [replace(SCORED, user_id=user)], RULES)[0] for user in (USER, OTHER)}
    values = {MUTES.key(): mutes, **{DRIFT.key(user): state for user, state in drift.items()}}
    async with open_store(settings) as redis:
        for key, value in values.items():
            await redis.update([key], lambda _, __, value=value: (value, None), ttl_s=600)  # type: ignore[misc]
    database = Database.open(settings)
    older = replace(SCORED, user_id=USER, memo_id="older than the topic")
    made = parts([older, replace(older, user_id=OTHER)])
    await database.write(positions.stored, [part.step.at for part in made])
    await database.write(store, made, KEEPING, NOW_MS)
    await database.write(apply_action, OLD)
    await database.write(apply_action, replace(OLD, action_id="other", user_id=OTHER, note=CANARY))
    database.close()


def test_everything_of_one_person_and_nothing_of_another_is_in_a_file_of_its_owner(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(fill(settings))
    out = tmp_path / "data.zip"
    export(out, "--json")
    (line,) = validated("export", capsys.readouterr().out)
    assert looks(settings) == [(AuditAction.EXPORTED, "export", (trail_keys(settings).person(USER),), "asked")]
    assert line["records"] == {name: len(some) for name, some in records().items()}
    assert (line["database"], line["bytes"]) == (True, out.stat().st_size)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    with ZipFile(out) as file:
        found = {name: file.read(name).decode() for name in file.namelist()}
    every = "".join(found.values())
    assert CANARY not in every
    assert OTHER not in every

    notes = [each["note"] for each in json.loads(found["records/care.actions.json"])]
    assert KEPT not in notes
    assert KEPT in found["index.html"]
    assert KEPT in [each["note"] for each in json.loads(found["history.json"])["actions"]]
    memos = {row["memo_id"] for row in csv.DictReader(StringIO(found["scores.csv"][1:], newline=""))}
    assert memos == {"'=HYPERLINK(1)", "older than the topic"}
    now: Any = json.loads(found["state.json"])["now"]
    assert now["drift"]["days"] == 1
    assert [mute["name"] for mute in json.loads(found["state.json"])["mutes"]] == [USER]

    # Nothing is overwritten, and a failure leaves nothing.
    before = out.read_bytes()
    with pytest.raises(typer.BadParameter, match="nothing is overwritten"):
        export(out)
    assert out.read_bytes() == before
    with pytest.raises(SystemExit) as nobody:
        export(tmp_path / "none.zip", user="nobody")
    assert nobody.value.code == ExitCode.FAILED
    assert "check the pseudonym" in capsys.readouterr().err
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "127.0.0.1:9")
    with pytest.raises(Transient):
        export(tmp_path / "away.zip")
    assert [path.name for path in tmp_path.glob("*.zip*")] == ["data.zip"]
