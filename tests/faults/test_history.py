"""The history under fire: `undertone history` is killed while it stores, and no row is lost or stored twice."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer
from sqlalchemy import Connection, select

from deploy.kafka.server import dies_with_parent
from schemas.codec import Codec
from schemas.event_enums import CareActionKind
from schemas.events import AlertState
from schemas.settings import Settings
from streams.history.agent import HistoryAgent
from streams.history.caseload import CaseloadFilter, caseload
from streams.history.database import Database
from streams.history.operations import positions
from streams.history.tables import FACTS, METADATA, POSITIONS
from streams.history.writes import batch
from streams.history.writes.batch import Keeping, Kept, Part
from streams.history.writes.positions import Step, stored
from streams.local.embedded import EmbeddedKafka
from tests.history import NOW, TOPICS, action, alert, letter, score
from tests.postgres import PostgresServer, programs
from tests.servers import required
from workers.service.health import HEALTH

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(300)]

USERS, DAYS, KILLS, WITHIN_S = 40, 60, 2, 240.0
CODEC = Codec()


def records() -> list[Kept]:
    """What 40 users say in 60 days, their alerts, and what was done about these; some of it twice."""
    made: list[Kept] = []
    for user in range(USERS):
        name = f"user {user:02}"
        made += [score(name, float(day), None if (user + day) % 9 == 0 else 0.3) for day in range(DAYS, 0, -1)]
        made += [alert(name, 20.0), alert(name, 5.0, AlertState.RESOLVED if user % 2 else AlertState.ESCALATED)]
        made += [action(name, CareActionKind.ACKNOWLEDGED, 4.0, dedup_key=f"episode {name}"), letter(f"dead {name}")]
    return made + made[:: len(made) // 100]


def sent(bootstrap: str, made: list[Kept]) -> int:
    """Write them; each user's in one partition. How many there are."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 50})
    for record in made:
        owner = getattr(record, "user_id", "")
        producer.produce(TOPICS[type(record)], CODEC.encode(record), partition=sum(owner.encode()) % 4)
    assert producer.flush(60) == 0
    return len(made)


def content(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    """Every row, without where it was read and what passing time has changed."""
    free = {"partition", "seq", "rank", "since_ms"}
    found = {}
    for table in METADATA.sorted_tables:
        if table not in {POSITIONS, FACTS}:
            columns = [column for column in table.columns if column.name not in free]
            found[table.name] = sorted((tuple(row) for row in connection.execute(select(*columns))), key=repr)
    return found


def expected(folder: Path, made: list[Kept]) -> dict[str, list[tuple[object, ...]]]:
    """The rows of a history that nothing disturbed."""
    database = Database.open(Settings(home=folder))
    with database.engine.connect() as connection, connection.begin():
        for kind, topic in TOPICS.items():
            own = tuple(record for record in made if isinstance(record, kind))
            stored(connection, [(topic, 0)])
            part = Part(Step((topic, 0), 0, len(own), len(own), 0, 0), own)
            batch.store(connection, [part], Keeping({}, NOW.replace(year=2000)), 0)
        found = content(connection)
    database.close()
    return found


def seen(database: Database) -> int:
    """Records that are stored so far."""
    with database.engine.connect() as connection, connection.begin():
        return sum(each.records for each in positions(connection, NOW))


def test_killed_at_any_moment_it_loses_and_doubles_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("UNDERTONE_CHAOS_SEED", time.time_ns() % 100_000))
    moments, made = random.Random(seed), records()
    with EmbeddedKafka(list(TOPICS.values())) as broker:
        settings = Settings(
            kafka_bootstrap=broker.bootstrap, home=tmp_path, session_timeout_s=6.0, history_retention_s=1e9
        )
        database = Database.open(settings)
        total = sent(broker.bootstrap, made)
        command = [*dies_with_parent(), sys.executable, "-m", "streams.cli", "history"]
        deadline = time.monotonic() + WITHIN_S
        for kill in range(KILLS + 1):
            known = seen(database)
            with (tmp_path / "log").open("ab") as log:
                process = subprocess.Popen(command, env=settings.child_environment(), stderr=log)
            # Killed once it has stored something, at some later moment; the last one ends its work.
            wanted = total if kill == KILLS else min(known + 1, total)
            try:
                while seen(database) < wanted:
                    assert process.poll() is None, (tmp_path / "log").read_text()[-3000:]
                    assert time.monotonic() < deadline, f"{seen(database)} of {total} records, seed {seed}"
                    time.sleep(0.001 + 0.05 * moments.random())
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait()
        with database.engine.connect() as connection, connection.begin():
            found = content(connection)
        assert seen(database) == total, f"seed {seed}"
        database.close()
    undisturbed = expected(tmp_path / "undisturbed", made)
    assert {name: rows for name, rows in found.items() if rows != undisturbed[name]} == {}, f"seed {seed}"


async def test_it_waits_for_a_database_that_is_gone(tmp_path: Path) -> None:
    folder = programs()
    if folder is None:
        assert not required("postgres"), "PostgreSQL is not installed; `make servers` installs it"
        pytest.skip("no PostgreSQL: `make servers` installs it")
    with PostgresServer(folder) as server, EmbeddedKafka(list(TOPICS.values())) as broker:
        settings = Settings(
            kafka_bootstrap=broker.bootstrap, database_url=server.url(), session_timeout_s=6.0, history_retention_s=1e9
        )
        Database.migrate(settings)
        database, stop = Database.open(settings), asyncio.Event()
        async with HistoryAgent(settings, CODEC, database) as agent, asyncio.timeout(WITHIN_S):
            reading = asyncio.create_task(agent.run(stop))
            sent(broker.bootstrap, [score("anna", 3.0)])
            await reached(database, {"anna": 1})
            server.kill()
            sent(broker.bootstrap, [score("anna", 2.0), score("bert", 2.0)])
            while "database" not in HEALTH.lacking():
                assert not reading.done()
                await asyncio.sleep(0.05)
            server.start()
            await reached(database, {"anna": 2, "bert": 1})
            assert "database" not in HEALTH.lacking()
            stop.set()
            await reading
        database.close()


async def reached(database: Database, wanted: dict[str, int]) -> None:
    while {row.user_id: row.memos for row in (await database.read(caseload, CaseloadFilter())).rows} != wanted:
        await asyncio.sleep(0.05)
