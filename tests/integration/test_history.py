"""The history between a real broker and a real database."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from confluent_kafka import Producer
from sqlalchemy import Connection, select

from schemas.codec import Codec
from schemas.event_enums import CareActionKind
from schemas.events import RiskScored
from schemas.settings import Settings
from streams.history.agent import HistoryAgent
from streams.history.caseload import CaseloadFilter, caseload
from streams.history.database import Database
from streams.history.operations import positions
from streams.history.person import scores
from streams.history.tables import SCORES
from streams.history.writes.batch import Kept, store
from streams.history.writes.erasure import forget_person
from streams.history.writes.positions import stored
from streams.local.embedded import EmbeddedKafka
from streams.roles.history import lost_by_rebuild, rebuild
from tests.history import KEEPING, NOW, NOW_MS, TOPICS, action, alert, parts, score
from tests.servers import Broker
from workers.privacy.sealing import Sealing, close_all, sealing_of

WITHIN_S = 60.0
CODEC = Codec()


@pytest.fixture
def kafka_bootstrap() -> AsyncIterator[str]:  # type: ignore[misc]
    with EmbeddedKafka(list(TOPICS.values())) as broker:
        yield broker.bootstrap


def settings_of(bootstrap: str, home: Path) -> Settings:
    return Settings(kafka_bootstrap=bootstrap, home=home, session_timeout_s=6.0, history_retention_s=1e9)


def send(bootstrap: str, records: Sequence[Kept | tuple[str, bytes]], partition: int = 0) -> None:
    """Write records, or any bytes, to their topics."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    for record in records:
        topic, value = record if isinstance(record, tuple) else (TOPICS[type(record)], CODEC.encode(record))
        producer.produce(topic, value, partition=partition)
    assert producer.flush(30) == 0


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await condition():
            await asyncio.sleep(0.05)


@asynccontextmanager
async def running(settings: Settings, database: Database) -> AsyncIterator[HistoryAgent]:
    """An agent that reads; what it raises is raised."""
    stop = asyncio.Event()
    async with HistoryAgent(settings, CODEC, database) as agent:
        reading = asyncio.create_task(agent.run(stop))
        try:
            yield agent
        finally:
            stop.set()
            with suppress(asyncio.CancelledError):
                await reading


async def people(database: Database) -> dict[str, int]:
    """How many memos are stored of each person."""
    page = await database.read(caseload, CaseloadFilter(), None, 1000)
    return {row.user_id: row.memos for row in page.rows}


def has(database: Database, wanted: dict[str, int]) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return await people(database) == wanted

    return reached


async def test_what_the_topics_say_is_stored_once(kafka_bootstrap: str, tmp_path: Path) -> None:
    settings = settings_of(kafka_bootstrap, tmp_path)
    database = Database.open(settings)
    one = score("anna", 2.0)
    junk = [("risk.scored", b"junk"), ("risk.alerts", b""), ("memos.dead", b"\xc3\x01"), ("care.actions", b"\0" * 9)]
    send(kafka_bootstrap, [one, *junk, one, score("bert", 1.0)])
    async with running(settings, database):
        await until(has(database, {"anna": 1, "bert": 1}))
        send(kafka_bootstrap, [alert("anna", 1.0), action("anna", CareActionKind.NOTED), score("anna", 1.0)])
        await until(has(database, {"anna": 2, "bert": 1}))
    async with running(settings, database):
        send(kafka_bootstrap, [score("anna", 0.5)], partition=3)
        await until(has(database, {"anna": 3, "bert": 1}))
    database.close()


async def test_a_log_that_was_created_again_is_read_from_its_beginning(tmp_path: Path) -> None:
    with EmbeddedKafka(list(TOPICS.values())) as first:
        settings = settings_of(first.bootstrap, tmp_path)
        database = Database.open(settings)
        send(first.bootstrap, [score("anna", day) for day in (5.0, 4.0, 3.0)])
        async with running(settings, database):
            await until(has(database, {"anna": 3}))
    # Longer than the first log, so only its last record shows that it is another.
    with EmbeddedKafka(list(TOPICS.values())) as other:
        settings = settings_of(other.bootstrap, tmp_path)
        send(other.bootstrap, [score("anna", day) for day in (2.0, 1.9, 1.8, 1.7, 1.6)])
        async with running(settings, database):
            await until(has(database, {"anna": 8}))
    (position,) = [each for each in await database.read(positions, NOW) if each.records]
    assert (position.next_offset, position.records) == (5, 8)
    database.close()


async def test_two_processes_share_the_partitions(one_broker: Broker, tmp_path: Path) -> None:
    one_broker.create(*TOPICS.values())
    settings = settings_of(one_broker.bootstrap, tmp_path)
    database = Database.open(settings)
    for partition in range(4):
        send(one_broker.bootstrap, [score(f"user {partition}", day) for day in (3.0, 2.0)], partition)
    async with running(settings, database):
        await until(has(database, {f"user {partition}": 2 for partition in range(4)}))
        async with running(settings, database):
            for partition in range(4):
                send(one_broker.bootstrap, [score(f"user {partition}", 1.0)], partition)
            await until(has(database, {f"user {partition}": 3 for partition in range(4)}))
    for partition in range(4):
        send(one_broker.bootstrap, [score(f"user {partition}", 0.5)], partition)
    async with running(settings, database):
        await until(has(database, {f"user {partition}": 4 for partition in range(4)}))
    stored = await database.read(positions, NOW)
    assert sum(each.records for each in stored) == 16
    database.close()


async def test_a_rebuild_ends_where_the_topics_have_lost_all_records(one_broker: Broker, tmp_path: Path) -> None:
    if not one_broker.real:
        pytest.skip("the embedded broker deletes no records: `make servers` installs Apache Kafka")
    one_broker.create(*TOPICS.values())
    settings = settings_of(one_broker.bootstrap, tmp_path)
    send(one_broker.bootstrap, [score("anna", day) for day in (3.0, 2.0, 1.0)])
    assert await rebuild(settings) == 3
    one_broker.forget("risk.scored")
    assert await lost_by_rebuild(settings) == 3
    async with asyncio.timeout(WITHIN_S):
        assert await rebuild(settings) == 0
    database = Database.open(settings)
    found = {each.topic: each.next_offset for each in await database.read(positions, NOW) if each.next_offset}
    assert found == {"risk.scored": 3}
    database.close()


async def test_a_history_is_rebuilt_from_the_topics(kafka_bootstrap: str, tmp_path: Path) -> None:
    settings = settings_of(kafka_bootstrap, tmp_path)
    database = Database.open(settings)
    send(kafka_bootstrap, [score("anna", day) for day in (3.0, 2.0, 1.0)] + [alert("anna", 1.0)])
    assert await rebuild(settings) == 4
    before = await database.read(scores, "anna", NOW.replace(year=2020), NOW)
    assert len(before) == 3
    assert await lost_by_rebuild(settings) == 0
    assert await rebuild(settings) == 4
    assert await database.read(scores, "anna", NOW.replace(year=2020), NOW) == before
    database.close()


def stored_before(connection: Connection, records: Sequence[Kept]) -> None:
    """Records of another partition."""
    (part,) = parts(records, partition=1)
    stored(connection, [part.step.at])
    store(connection, [part], KEEPING, NOW_MS)


async def sealed(border: Sealing, record: RiskScored) -> tuple[str, bytes, bytes]:
    """Topic, key and value of a record as it is on its topic."""
    written = await border.sealed("risk.scored", record.user_id.encode(), CODEC.encode(record), [])
    assert written is not None
    assert written.key is not None
    return "risk.scored", written.key, written.value


async def test_rows_from_before_are_sealed_and_nothing_of_an_erased_person_is_stored(
    kafka_bootstrap: str, tmp_path: Path
) -> None:
    clear = settings_of(kafka_bootstrap, tmp_path)
    database = Database.open(clear)
    await database.write(stored_before, [score("carla", 3.0)])
    database.close()
    send(kafka_bootstrap, [score("anna", 3.0), score("berta", 3.0)])
    settings = clear.model_copy(update={"seal": "on"})
    border, database = sealing_of(settings), Database.open(settings)
    files = [tmp_path / name for name in ("history.db", "history.db-wal")]
    producer = Producer({"bootstrap.servers": kafka_bootstrap, "acks": "all"})
    async with running(settings, database):

        async def nobody_is_named() -> bool:
            held = b"".join(file.read_bytes() for file in files)
            return not any(name in held for name in (b"anna", b"berta", b"carla"))

        await until(has(database, {"anna": 1, "berta": 1, "carla": 1}))
        await until(nobody_is_named)
        for user in ("anna", "berta"):
            topic, key, value = await sealed(border, score(user, 2.0))
            producer.produce(topic, value, key, partition=0)
        producer.flush(30)
        await until(has(database, {"anna": 2, "berta": 2, "carla": 1}))
        late = [await sealed(border, score(user, 1.0)) for user in ("berta", "anna")]
        directory = border.keyring.directory
        subject = directory.mark_erasing("berta")
        assert subject is not None
        directory.destroy_keys(subject.id)
        border.keyring.forget(subject.id)
        await database.write(forget_person, subject.id)
        for topic, key, value in late:
            producer.produce(topic, value, key, partition=0)
        producer.flush(30)
        await until(has(database, {"anna": 3, "carla": 1}))
        rows = await database.read(lambda connection: connection.scalars(select(SCORES.c.user_id)).all())
        named = {border.keyring.subject(user).hex(): memos for user, memos in (("anna", 3), ("carla", 1))}
        assert Counter(rows) == named
        assert directory.subjects_of(["berta"]) == {}
    database.close()
    close_all()
