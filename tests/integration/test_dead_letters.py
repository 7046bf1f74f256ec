"""Dead letters as an operator meets them: the command, a broker, a store, and a worker that makes them."""

import asyncio
import json
from typing import Any

import pytest
from redis import Redis
from typer.testing import CliRunner, Result

from schemas import topics
from schemas.events import MemoUploaded
from schemas.redrive_headers import HISTORY
from schemas.settings import Settings
from streams.cli.dead_letters import letters_app
from tests.integration.test_worker import CheapStage, MendedStage, caught_up, event, everything, upload, working
from tests.servers import Broker, RedisServer
from workers.kafka.clients import make_reader


@pytest.fixture
def settings(broker: Broker, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    broker.create(*(topic.name for topic in topics.TOPICS))
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    monkeypatch.setenv("KAFKA_BOOTSTRAP", broker.bootstrap)
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    return Settings.load(session_timeout_s=6.0)


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(letters_app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def listed(*arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run("list", "--json", *arguments).stdout.splitlines()]


def work(settings: Settings, stage: CheapStage, *values: bytes | MemoUploaded) -> None:
    """Upload, and let a worker take everything."""

    async def story() -> None:
        await upload(settings, *values)
        async with working(settings, stage):
            await caught_up(settings)

    asyncio.run(story())


async def uploads(settings: Settings) -> list[Any]:
    """Every record on memos.uploaded, as it lies there."""
    reader = make_reader(settings, topics.UPLOADED.name)
    await reader.start()
    try:
        ends = await reader.end_offsets(list(reader.assignment()))
        records: list[Any] = []
        while len(records) < sum(ends.values()):
            records += [r for several in (await reader.getmany(timeout_ms=200)).values() for r in several]
        return records
    finally:
        await reader.stop()


def test_letters_are_listed_shown_and_sent_back_once_with_their_history(settings: Settings) -> None:
    garbage = b"this is no Avro"
    work(settings, CheapStage(), event("good"), event("bad-1"), garbage, event("bad-2"))
    assert sorted(letter["reason"] for letter in listed()) == ["acoustic:bad", "acoustic:bad", "event:undecodable"]
    assert len(listed("--stage", "acoustic", "--reason", "acoustic:bad", "--since", "1h")) == 2
    assert listed("--stage", "embedding") == listed("--since", "2999-01-01T00:00:00Z") == []
    assert "3 dead letters" in run("list").stdout

    (unreadable,) = listed("--reason", "event:undecodable")
    shown = json.loads(run("show", unreadable["dead_letter_id"][:13], "--json").stdout)
    assert (bytes.fromhex(shown["value_hex"]), shown["record"]) == (garbage, garbage.decode())
    bad = listed("--reason", "acoustic:bad")[0]["dead_letter_id"]
    assert "bad-" in json.loads(run("show", bad, "--json").stdout)["record"]["memo_id"]
    assert "on purpose" in run("show", bad).stdout

    assert "2 records would be sent back" in run("redrive", "--reason", "acoustic:bad", "--dry-run").stdout
    assert "2 records sent back" in run("redrive", "--reason", "acoustic:bad").stdout
    assert "0 records sent back; 2 had been" in run("redrive", "--reason", "acoustic:bad").stdout
    before = asyncio.run(uploads(settings))
    assert len(before) == 6
    redriven = {r.value: r for r in before if any(name == HISTORY for name, _ in r.headers)}
    for original in before:
        if original.value in redriven:
            back = redriven[original.value]
            assert (back.key, back.partition) == (original.key, original.partition)

    work(settings, CheapStage())  # they fail again: new letters, with the history of the old ones
    assert [letter["redriven"] for letter in listed("--reason", "acoustic:bad")] == [1, 1, 1, 1]
    again = listed("--reason", "acoustic:bad")[-1]
    (failure,) = json.loads(run("show", again["dead_letter_id"], "--json").stdout)["history"]
    assert failure["dead_letter_id"] in {letter["dead_letter_id"] for letter in listed("--reason", "acoustic:bad")}
    # The older two are stood for by the newer two.
    assert "2 records would be sent back" in run("redrive", "--reason", "acoustic:bad", "--again", "--dry-run").stdout
    assert "2 records sent back" in run("redrive", "--reason", "acoustic:bad").stdout
    work(settings, MendedStage())
    features = asyncio.run(everything(settings, topics.FEATURES))
    assert sorted(f.memo_id for f in features) == ["bad-1", "bad-2", "good"]


def test_an_unknown_id_is_told(settings: Settings) -> None:
    result = CliRunner().invoke(letters_app, ["show", "nothing"])
    assert result.exit_code == 2
    assert "0 dead letters have such an id" in result.output
