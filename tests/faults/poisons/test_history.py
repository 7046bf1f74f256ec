"""Poisons on the topics that the history reads: the records around each are stored, and nothing ends it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from schemas.codec import Codec
from schemas.settings import Settings
from streams.history.agent import HistoryAgent
from streams.history.caseload import CaseloadFilter, caseload
from streams.history.database import Database
from streams.history.operations import positions
from streams.local.embedded import EmbeddedKafka
from tests.faults.parade.world import LARGEST
from tests.faults.poisons import avro
from tests.faults.poisons.downstream import downstream
from tests.faults.poisons.poison import Kitchen
from tests.history import NOW, TOPICS, score
from tests.postgres import PostgresServer, programs
from tests.servers import required
from tests.unit.schemas.registry_server import RegistryServer, registry_server

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(120)]

WITHIN_S = 60.0


def poisoned(folder: Path, registry: RegistryServer) -> Iterator[tuple[str, bytes | None]]:
    """Topic and value of each poison."""
    for row in downstream(Kitchen(folder, b"", registry)):
        yield from ((sent.topic, sent.value) for sent in row.records if sent.topic in TOPICS.values())
    whole = avro.framed("care_action", _action("whole"))
    yield from (
        ("care.actions", value) for value in (None, b"", b"{}", whole[:-3], whole[:9], b"\xc3\x01" + bytes(200))
    )
    hostile: dict[str, dict[str, object]] = {
        "year of 146 million": {"at": 2**62},
        "before all years": {"at": -(2**62)},
        "end before its beginning": {"action": "marked", "mark": "illness", "since": 2**50, "until": -(2**50)},
        "mute without an end": {"action": "muted"},
        "mute of a far year": {"action": "muted", "until": 2**61},
        "unknown mark": {"action": "unmarked", "mark_id": "nobody's"},
        "note of 1 MB": {"action": "noted", "note": "n" * (1 << 20)},
        "note of zeros": {"action": "noted", "note": "\0\r\n\x1b[31m"},
        "zero in an id": {"dedup_key": "a\0b"},
        "person with a zero": {"user_id": "a\0b"},
        "id of 1 MB": {"action_id": "i" * (1 << 20)},
    }
    for name, changes in hostile.items():
        yield "care.actions", avro.framed("care_action", {**_action(name), **changes})
    yield "risk.scored", avro.framed("risk_scored", avro.score("a\0b", "memo\0"))
    yield "risk.alerts", avro.framed("risk_alert", avro.alert("a\0b", "alert\0", summary="\0"))
    yield "memos.dead", avro.framed("dead_letter", avro.letter("\0", b"", stage="\0", reason="\0:\0"))


def _action(name: str) -> dict[str, object]:
    """A CareAction."""
    return {
        "action_id": name, "user_id": f"poison {name}", "at": avro.NOON_MS, "actor": "dr-a", "action": "acknowledged",
        "dedup_key": f"episode of {name}", "outcome": None, "note": None, "assignee": None, "since": None,
        "until": None, "mark": None, "excluded": False, "mark_id": None,
    }  # fmt: skip


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    if request.param == "sqlite":
        yield None
        return
    folder = programs()
    if folder is None:
        assert not required("postgres"), "PostgreSQL is not installed; `make servers` installs it"
        pytest.skip("no PostgreSQL: `make servers` installs it")
    with PostgresServer(folder) as server:
        yield server.url()


async def test_what_stands_beside_a_poison_is_stored(database_url: str | None, tmp_path: Path) -> None:
    with registry_server() as registry:
        poisons = list(poisoned(tmp_path, registry))
    with EmbeddedKafka(list(TOPICS.values())) as broker:
        settings = Settings(
            kafka_bootstrap=broker.bootstrap, home=tmp_path, database_url=database_url,
            session_timeout_s=6.0, history_retention_s=1e9,
        )  # fmt: skip
        if database_url:
            Database.migrate(settings)
        database, stop = Database.open(settings), asyncio.Event()
        _send(broker.bootstrap, poisons)
        ends = {topic: sum(each == topic for each, _ in poisons) for topic in TOPICS.values()}
        ends["risk.scored"] += len(poisons)
        async with HistoryAgent(settings, Codec(), database) as agent, asyncio.timeout(WITHIN_S):
            reading = asyncio.create_task(agent.run(stop))
            while {at.topic: at.next_offset for at in await database.read(positions, NOW) if not at.partition} != ends:
                assert not reading.done(), reading.exception()
                await asyncio.sleep(0.05)
            stop.set()
            await reading
        page = await database.read(caseload, CaseloadFilter(search="neighbour"), None, 1000)
        assert {row.user_id: row.memos for row in page.rows} == {"neighbour": len(poisons)}
        database.close()


def _send(bootstrap: str, poisons: list[tuple[str, bytes | None]]) -> None:
    """Each, and after each another memo of a neighbour."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "message.max.bytes": LARGEST})
    for number, (topic, value) in enumerate(poisons):
        producer.produce(topic, value, partition=0)
        producer.produce("risk.scored", Codec().encode(score("neighbour", number)), partition=0)
    assert producer.flush(60) == 0
