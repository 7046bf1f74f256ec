"""Copies from before an erasure, restored after it, and records older than retention: there, and unreadable."""

import asyncio
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Producer
from sqlalchemy import insert, select

from deploy.kafka.server import KafkaServer
from schemas.errors import ConfigurationError, Erased
from schemas.key_purposes import epoch_of
from schemas.settings import Settings
from schemas.state_keys import BASELINE, DRIFT
from schemas.topics import AUDIT, SCORED, TOPICS
from streams.privacy.erasing import erase_person, try_certificate
from streams.privacy.journal import Request
from tests.disk import contents
from tests.keys import sealing
from tests.sealed_pipeline import raw
from tests.servers import Broker, RedisServer
from workers.kafka.admin import create_topics
from workers.privacy.clear_records import Opened
from workers.privacy.envelope import seal
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.key_services.kms import VersionDestroyed, Wrapped, make_kms
from workers.privacy.key_tables import METADATA, KeyDatabase, engine_of
from workers.privacy.keyring import Keyring
from workers.privacy.sealing import Sealing
from workers.privacy.store_keys import context_of
from workers.state.redis_store import RedisStore
from workers.state.sealed_store import SealedStore

pytestmark = pytest.mark.kafka

ANN, BEN = "ann-who-left", "ben-who-stayed"
CONTENT = b"content that only two people have"
PERSONAL = tuple(topic for topic in TOPICS if topic is not AUDIT)
STATE = (DRIFT, BASELINE)


@dataclass
class System:
    """Servers with data of two people. redis: of the states."""

    settings: Settings
    redis: RedisServer
    kafka: Path

    @property
    def patient(self) -> Settings:
        """Settings of a process that keeps its keys for as long as it lives, however busy the machine is."""
        return self.settings.model_copy(update={"key_cache_s": 600.0})

    def send(self, records: Sequence[tuple[str, bytes | None, bytes | None]]) -> None:
        """Put records on topics as they are: topic, key, value."""
        producer = Producer({"bootstrap.servers": self.settings.kafka_bootstrap})
        for topic, key, value in records:
            producer.produce(topic, value, key)
        assert producer.flush(30) == 0

    async def opened(self) -> Counter[str]:
        """How many records on the topics open for each person, and how many are an erased person's."""
        records = await raw(self.settings)
        async with Sealing.open(self.patient) as border:
            outcomes = await border.opened(records)
        assert {outcome.value for outcome in outcomes if isinstance(outcome, Opened)} <= {CONTENT}
        return Counter(
            str(outcome.key, "utf-8") if isinstance(outcome, Opened) and outcome.key else type(outcome).__name__
            for outcome in outcomes
        )

    async def state(self, user: str) -> list[bytes | None]:
        """What the states of a person say."""
        keyring = Keyring.open(self.patient)
        async with RedisStore(self.redis.url) as store:
            found = await SealedStore(store, keyring, sealing=True).read([row.key(user) for row in STATE])
        keyring.close()
        return [*found.values()]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def system(request: pytest.FixtureRequest, kafka: KafkaServer, tmp_path: Path) -> Iterator[System]:
    """Two people's records on every topic, and their states."""
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    Broker(kafka.bootstrap, real=True).empty()
    with RedisServer() as redis:
        given = {"kafka_bootstrap": kafka.bootstrap, "redis_url": redis.url, "key_directory_url": url}
        made = System(sealing(tmp_path / "home", key_cache_s=0.1, **given), redis, kafka.data_folder)
        KeyDirectory.init(made.settings)
        asyncio.run(create_topics(made.settings))
        asyncio.run(fill(made))
        yield made


async def fill(system: System) -> None:
    keyring = Keyring.open(system.patient)
    keyring.warm_now([ANN, BEN], enrol=True)
    system.send(
        [
            (topic.name, keyring.subject(user).hex().encode(), seal(keyring, topic.name, kind, user, CONTENT))
            for topic in PERSONAL
            for kind in (topic.record.__name__,)
            for user in (ANN, BEN)
        ]
    )
    async with RedisStore(system.redis.url) as store:
        keys = [row.key(user) for row in STATE for user in (ANN, BEN)]
        await SealedStore(store, keyring, sealing=True).update(keys, lambda *_: (CONTENT, None), ttl_s=600.0)
    keyring.close()


Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def rows_of(settings: Settings) -> Rows:
    """Every row of a key directory: a backup."""
    database = KeyDatabase(engine_of(settings))
    with database.reading() as connection:
        found = {
            table.name: [dict(row._mapping) for row in connection.execute(select(table))]
            for table in METADATA.sorted_tables
        }
    database.engine.dispose()
    return found


def restored(rows: Rows, settings: Settings, home: Path) -> Settings:
    """Settings of a new directory that is made of a backup, with the key service of now."""
    shutil.copytree(settings.home, home, ignore=lambda _, names: [name for name in names if name != "keyset.json"])
    older = sealing(home)
    database = KeyDatabase(engine_of(older))
    METADATA.create_all(database.engine)
    with database.writing() as connection:
        for table in METADATA.sorted_tables:
            if rows[table.name]:
                connection.execute(insert(table), [dict(row) for row in rows[table.name]])
    database.engine.dispose()
    return older


async def test_copies_from_before_an_erasure_open_nothing_of_the_person(system: System, tmp_path: Path) -> None:
    settings = system.settings
    assert await system.opened() == {ANN: len(PERSONAL), BEN: len(PERSONAL)}
    assert await system.state(ANN) == await system.state(BEN) == [CONTENT, CONTENT]
    directory = rows_of(settings)
    records = [(record.topic, record.key, record.value) for record in await raw(settings)]
    shutil.copytree(system.redis.data_folder, tmp_path / "redis")

    certificate = await erase_person(settings, ANN, Request("asked in writing"))
    system.send(records)
    system.redis.kill()
    system.redis.lose_data()
    shutil.copytree(tmp_path / "redis", system.redis.data_folder, dirs_exist_ok=True)
    system.redis.start()

    # The data of before under the keys of now: everything of one person opens, and nothing of the other.
    assert await system.opened() == {"Erased": 2 * len(PERSONAL), BEN: 2 * len(PERSONAL)}
    assert await system.state(BEN) == [CONTENT, CONTENT]
    assert await system.state(ANN) == [None, None]
    tried = await try_certificate(settings, certificate, ANN)
    assert sum(trial.sealed for trial in tried["Kafka"].values()) == 2 * len(PERSONAL)
    assert sum(trial.sealed for trial in tried["Redis"].values()) == len(STATE)
    assert {trial.opened + trial.named for place in tried.values() for trial in place.values()} == {0}

    # The keys of before: no process starts on them, and by hand no store key of them opens either.
    older = restored(directory, settings, tmp_path / "older")
    with pytest.raises(ConfigurationError, match="older than the last rotation"):
        KeyDirectory.open(older)
    kms = make_kms(older)
    for row in directory["store_keys"]:
        with pytest.raises(VersionDestroyed):
            kms.unwrap(Wrapped(row["kms_version"], row["wrapped"]), context_of(row["version"]))


async def test_a_record_older_than_retention_is_unreadable_though_it_is_on_disk(system: System) -> None:
    now = datetime.now(UTC)
    half_a_year_ago = now - timedelta(days=183)
    keyring = Keyring(KeyDirectory.open(system.settings), 600.0, today=lambda: half_a_year_ago)
    keyring.warm_now([ANN])
    old = seal(keyring, SCORED.name, SCORED.record.__name__, ANN, CONTENT)
    subject = keyring.subject(ANN)
    keyring.close()
    system.send([(SCORED.name, subject.hex().encode(), old)])
    assert await system.opened() == {ANN: len(PERSONAL) + 1, BEN: len(PERSONAL)}

    directory = KeyDirectory.open(system.settings)
    assert directory.destroy_epochs(epoch_of(now)) == 1
    directory.close()
    assert await system.opened() == {"Erased": 1, ANN: len(PERSONAL), BEN: len(PERSONAL)}
    assert any(old in data for path, data in contents(system.kafka) if path.suffix == ".log"), "it is on disk"
    async with Sealing.open(system.patient) as border:
        record = SimpleNamespace(topic=SCORED.name, key=subject.hex().encode(), value=old, headers=(), timestamp=None)
        assert [type(outcome) for outcome in await border.opened([record])] == [Erased]
    assert await system.state(ANN) == [CONTENT, CONTENT], "the person's state lasts"
