"""Dead letters as an operator meets them: the command, a broker, a store, and a worker that makes them."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis
from typer.testing import CliRunner, Result

from schemas import topics
from schemas.events import DeadLetter, MemoUploaded
from schemas.ids import dead_letter_id
from schemas.redrive_headers import HISTORY, REDRIVES
from schemas.settings import Settings
from schemas.state_keys import MUTES
from schemas.trimmed_letters import VALUE_SHA256
from streams.cli.alerts import alerts_app
from streams.cli.dead_letters import letters_app
from streams.drift import mutes
from streams.recovery.redrive import DeadLetterFilter
from streams.web.system.redriving import Redriven, preview, redrive
from tests.integration.test_worker import CODEC, CheapStage, MendedStage, caught_up, event, everything, upload, working
from tests.json_output import validated
from tests.servers import Broker, RedisServer
from tests.unit.schemas.records import ALERT, SCORED
from workers.kafka.clients import make_producer, make_reader
from workers.state.redis_store import RedisStore


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
    return validated("dead-letters list", run("list", "--json", *arguments).stdout)


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
    assert listed("--stage", "embedding") == listed("--since", "0m") == []
    assert "3 dead letters" in run("list").stdout

    (unreadable,) = listed("--reason", "event:undecodable")
    (shown,) = validated("dead-letters show", run("show", unreadable["dead_letter_id"][:13], "--json").stdout)
    assert (bytes.fromhex(shown["value_hex"]), shown["record"]) == (garbage, garbage.decode())
    bad = listed("--reason", "acoustic:bad")[0]["dead_letter_id"]
    assert "bad-" in json.loads(run("show", bad, "--json").stdout)["record"]["memo_id"]
    assert "on purpose" in run("show", bad).stdout

    assert "2 records would be sent back" in run("redrive", "--reason", "acoustic:bad", "--dry-run").stdout
    told = validated("dead-letters redrive", run("redrive", "--reason", "acoustic:bad", "--dry-run", "--json").stdout)
    assert [line["outcome"] for line in told] == ["would_be_sent"] * 2
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


def test_the_page_of_the_system_redrives_once_what_it_announced(settings: Settings) -> None:
    work(settings, CheapStage(), event("good"), event("bad-1"), event("bad-2"), b"this is no Avro")
    wanted = DeadLetterFilter(stage="acoustic", reason="acoustic:bad")

    async def scenario() -> tuple[Redriven, Redriven, Redriven]:
        producer = make_producer(settings)
        await producer.start()
        try:
            async with RedisStore.of(settings) as store:
                announced = await preview(settings, CODEC, store, wanted)
                done = await redrive(settings, CODEC, store, producer, wanted)
                return announced, done, await preview(settings, CODEC, store, wanted)
        finally:
            await producer.stop()

    announced, done, left = asyncio.run(scenario())
    assert announced == done == Redriven(records=2, refused=0, before=0)
    assert left == Redriven(records=0, refused=0, before=2)
    assert len(asyncio.run(uploads(settings))) == 6


def test_an_unknown_id_is_told(settings: Settings) -> None:
    result = CliRunner().invoke(letters_app, ["show", "nothing"])
    assert result.exit_code == 2
    assert "0 dead letters have such an id" in result.output


HOSTILE = "[/x]\x1b[2J\x9b31m\n2026-01-01 00:00 raised drift critical user=forged\u202e"
"""Markup, escape sequences, a line of its own and a reversal of direction."""
DEEP = b"[" * 20_000
AT = datetime(2026, 5, 1, 8, tzinfo=UTC)


def letter(stage: str, topic: str, value: bytes | None, **changes: Any) -> DeadLetter:
    """A dead letter as anyone may write it."""
    id_ = dead_letter_id(stage, topic, 0, 10_000)
    made = DeadLetter(id_, stage, topic, 0, 10_000, b"u", value, {}, "audio:missing", "forged", AT)
    return replace(made, **changes)


FORGED = [
    letter("drift", "risk.scored", CODEC.encode(SCORED)),
    letter("acoustic", "risk.scored", CODEC.encode(SCORED)),
    letter("acoustic", "memos.uploaded", b"any bytes"),
    letter("acoustic", "memos.uploaded", CODEC.encode(event("another's", user="another"))),
    letter("[/x]", "memos.uploaded", b"v"),
    letter("acoustic", "[red]orders", b"v", reason="[bold]r[/]"),
    letter("embedding", "memos.uploaded", b"v", headers={HISTORY: DEEP, HOSTILE: HOSTILE.encode()}, detail=HOSTILE),
    letter("embedding", "memos.uploaded", None, offset=3, dead_letter_id="x" * 128),
    letter("embedding", "memos.uploaded", None, headers={VALUE_SHA256: b"ab" * 32, REDRIVES: b"9" * 40}),
]


async def send(settings: Settings, *records: tuple[str, bytes]) -> None:
    producer = make_producer(settings)
    await producer.start()
    try:
        for topic, value in records:
            await producer.send_and_wait(topic, value, key=b"u")
    finally:
        await producer.stop()


def test_forged_dead_letters_are_refused_one_by_one_and_stop_nothing(settings: Settings) -> None:
    work(settings, CheapStage(), event("bad-1"))
    gone = event("expired", user="u")
    expired = letter("acoustic", "memos.uploaded", CODEC.encode(gone), offset=9999)
    expired = replace(expired, dead_letter_id=dead_letter_id("acoustic", "memos.uploaded", 0, 9999))
    letters = [CODEC.encode(each) for each in [*FORGED, expired]]
    asyncio.run(send(settings, *((topics.DEAD.name, value) for value in [*letters, b"no dead letter at all"])))
    assert len(listed()) == len(FORGED) + 2
    assert "1 records on memos.dead are no dead letters" in run("list").stderr

    dry = run("redrive", "--dry-run").stdout
    assert f"2 records would be sent back; {len(FORGED)} refused" in dry
    done = run("redrive").stdout
    assert f"2 records sent back; {len(FORGED)} refused" in done
    assert "nothing" not in done
    for why in (
        "that reads risk.scored",
        "shows that it is genuine",
        "its value is not a memo",
        "too large to be kept",
    ):
        assert why in done
    assert asyncio.run(everything(settings, topics.SCORED)) == []
    work(settings, MendedStage())
    assert sorted(f.memo_id for f in asyncio.run(everything(settings, topics.FEATURES))) == ["bad-1", "expired"]


def test_a_dead_letter_that_contradicts_its_record_is_refused(settings: Settings) -> None:
    work(settings, CheapStage(), event("bad-1"))
    (real,) = asyncio.run(everything(settings, topics.DEAD))
    forged = replace(real, value=CODEC.encode(event("forged")))
    asyncio.run(send(settings, (topics.DEAD.name, CODEC.encode(forged))))
    assert "1 records would be sent back; 1 refused" in run("redrive", "--dry-run").stdout
    assert "is another one" in run("redrive").stdout
    assert [CODEC.decode(each.value, MemoUploaded).memo_id for each in asyncio.run(uploads(settings))] == ["bad-1"] * 2


async def mute(settings: Settings, name: str) -> None:
    """Mute a user whom the command would refuse, as an older version or another program may have done."""
    now = datetime.now(UTC)
    one = mutes.Mute(mutes.Scope.USER, name, now, now + timedelta(hours=1), name, by=name)
    async with RedisStore.of(settings) as store:
        await store.update([MUTES.key()], lambda *_: (mutes.dump([one], now), None), ttl_s=mutes.TTL_S)


def test_every_command_that_prints_shows_hostile_records_escaped(settings: Settings) -> None:
    alert = replace(ALERT, user_id="[/x]", bundle_id="[red]b")
    records = [(topics.DEAD.name, CODEC.encode(each)) for each in FORGED] + [(topics.ALERTS.name, CODEC.encode(alert))]
    asyncio.run(send(settings, *records))
    ids = sorted({each.dead_letter_id for each in FORGED})
    invoke = CliRunner().invoke
    asyncio.run(mute(settings, HOSTILE))
    outputs = [run("list").stdout, run("list", "--json").stdout, run("redrive", "--dry-run").stdout]
    outputs += [invoke(letters_app, ["show", id_, *more]).output for id_ in ids for more in ([], ["--json"])]
    outputs += [invoke(alerts_app, arguments).output for arguments in (["--once"], ["--once", "--json"], ["mutes"])]
    for output in outputs:
        assert output
        assert [line for line in output.splitlines() if not line.isprintable()] == []
        assert not any(line.startswith("2026-01-01 00:00 raised") for line in output.splitlines())
    assert "[/x]" in outputs[0]
    assert "user=[/x]" in outputs[-3]
    assert r"\x1b[2J" in outputs[-1].replace("\n", "")
