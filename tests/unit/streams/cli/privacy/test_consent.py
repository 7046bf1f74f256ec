"""`undertone consent` on an embedded broker: what it records, shows and refuses."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from schemas import topics
from schemas.codec import Codec
from schemas.events import Consent
from schemas.settings import Settings
from streams.cli.application import app
from streams.local.embedded import EmbeddedKafka
from workers.kafka.topic_reader import follow


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    with EmbeddedKafka(topic.name for topic in topics.TOPICS) as kafka:
        monkeypatch.setenv("KAFKA_BOOTSTRAP", kafka.bootstrap)
        monkeypatch.setenv("UNDERTONE_HOME", str(tmp_path))
        yield Settings.load()


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["consent", *words])
    return result.exit_code, result.output


async def recorded(settings: Settings) -> list[Consent]:
    reading = follow(settings, Codec(), topics.CONSENTS, Consent, from_start=True, once=True)
    return [record async for record in reading]


def test_what_was_said_is_recorded_and_shown_and_withdrawal_leads_to_erasure(settings: Settings) -> None:
    assert run("--user", "ann") == (0, "ann never said anything: memos are read\n")
    code, shown = run("--user", "ann", "withdrawn", "--reason", "asked in writing")
    assert code == 0
    assert "ann: withdrawn since" in shown
    assert "undertone erase --user" in shown
    code, line = run("--user", "ann", "--json")
    found = json.loads(line)
    assert (code, found["state"], found["read"]) == (0, "withdrawn", False)
    (said,) = asyncio.run(recorded(settings))
    assert (said.user_id, said.state, said.reason) == ("ann", "withdrawn", "asked in writing")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--user", "ann", "paused"), "say why"),
        (("--user", "ann", "perhaps", "--reason", "x"), "given, paused, withdrawn"),
        (("--user", "ann", "paused", "--reason", "ann asked"), "leave the name out"),
        (("--reason", "ann asked", "--user", "ann", "paused"), "leave the name out"),
    ],
    ids=["no reason", "no such word", "a name", "a name, the other way round"],
)
def test_what_is_wrong_is_refused_before_anything_is_recorded(words: tuple[str, ...], says: str) -> None:
    code, shown = run(*words)
    assert code != 0
    assert says in " ".join(shown.replace("│", " ").split())
