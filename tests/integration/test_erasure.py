"""One person is erased from Kafka, Redis, PostgreSQL and a home, killed at every step, and nobody finds anything."""

import asyncio
import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import Producer
from sqlalchemy import column, insert, table
from typer.testing import CliRunner, Result

from deploy.kafka.server import KafkaServer
from schemas.settings import Settings
from schemas.state_keys import SILENCES
from schemas.topics import AUDIT, TOPICS
from streams.cli.application import app
from streams.history.database import Database
from streams.local.inbox import Inbox
from streams.local.journal import Journal, Upload
from streams.privacy.certificate import NotCertified
from streams.privacy.erasing import LOGS_ELSEWHERE, NoSuchPerson
from streams.privacy.journal import Request
from streams.privacy.steps import NotErased, Step
from tests.disk import contents
from tests.json_output import validated
from tests.keys import sealing
from tests.killed_erasure import killed
from tests.postgres import PostgresServer
from tests.servers import Broker, RedisServer
from workers.kafka.admin import create_topics
from workers.privacy.envelope import seal, seal_field, seal_state
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.keyring import Keyring
from workers.state.redis_client import redis_client
from workers.state.redis_store import RedisStore
from workers.state.sealed_deadlines import MARK

ERASED, OTHERS = "a-rare-pseudonym", ("another-pseudonym", "a-third-pseudonym")
PEOPLE = (ERASED, *OTHERS)
CANARY = "canary features of "
REQUEST = Request("asked in writing", "T-7")


@dataclass
class World:
    """Servers and files with data of several people."""

    settings: Settings
    environment: Mapping[str, str]
    folders: tuple[Path, ...]
    subjects: dict[str, bytes] = field(default_factory=dict)

    def undertone(self, *arguments: str) -> Result:
        """Run the command in this process."""
        return CliRunner().invoke(app, arguments, env=self.environment)

    def erase(self, certificate: Path) -> Result:
        """Run the command to its end."""
        wanted = ("--reason", REQUEST.reason, "--by", str(REQUEST.ticket), "--certificate", str(certificate))
        return self.undertone("erase", "--user", ERASED, *wanted)

    def found(self, text: bytes) -> list[str]:
        """Files of servers and home in which a text is."""
        return [path.name for path, data in contents(*self.folders) if text in data]


@pytest.fixture(scope="module")
def world(
    kafka: KafkaServer,
    redis_server: RedisServer,
    postgres: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> World:
    home = tmp_path_factory.mktemp("erasure") / "home"
    Broker(kafka.bootstrap, real=True).empty()
    given = {
        "kafka_bootstrap": kafka.bootstrap,
        "redis_url": redis_server.url,
        "database_url": postgres.make("erasure"),
        "key_directory_url": postgres.make("erasure_keys"),
        "key_cache_s": 0.5,
    }
    settings = sealing(home, **given)
    names = {"kafka_bootstrap": "KAFKA_BOOTSTRAP", "redis_url": "REDIS_URL"}
    environment = {names.get(name, f"UNDERTONE_{name.upper()}"): str(value) for name, value in given.items()}
    environment = {**environment, "UNDERTONE_SEAL": "on", "UNDERTONE_HOME": str(home)}
    asyncio.run(create_topics(settings))
    world = World(settings, environment, (home, kafka.data_folder, redis_server.data_folder, postgres.data_folder))
    KeyDirectory.init(settings)
    fill(world)
    return world


def fill(world: World) -> None:
    """What a system that seals leaves of three people, in every place."""
    settings = world.settings
    keyring = Keyring.open(settings.model_copy(update={"key_cache_s": 600.0}))
    keyring.warm_now(PEOPLE, enrol=True)
    world.subjects = {user: keyring.subject(user) for user in PEOPLE}
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap, "partitioner": "murmur2_random"})
    for topic in TOPICS:
        for user in PEOPLE if topic is not AUDIT else ():
            value = seal(keyring, topic.name, topic.record.__name__, user, f"{CANARY}{user}".encode())
            producer.produce(topic.name, value, world.subjects[user].hex())
    producer.produce(AUDIT.name, b"somebody looked at hmac-sha256:00", "a clinician")
    assert producer.flush(30) == 0
    asyncio.run(_fill_redis(settings, keyring))
    Database.migrate(settings)
    database = Database.open(settings)
    people = table("cohort_members", column("user_id"), column("cohort"))
    rows = [
        {
            "user_id": keyring.subject(user).hex(),
            "cohort": seal_field(keyring, "cohort_members.cohort", user, CANARY.encode()).hex(),
        }
        for user in PEOPLE
    ]
    with database.engine.connect() as connection, connection.begin():
        connection.execute(insert(people), rows)
    database.close()
    inbox = Inbox(settings.home / "audio")
    with Journal(settings.home / "journal.db") as journal:
        for user in PEOPLE:
            sealed = seal(keyring, "memos.uploaded", "MemoUploaded", user, f"{CANARY}{user}".encode())
            subject = keyring.subject(user).hex()
            journal.accept([Upload(subject.encode(), sealed, "m1", subject, inbox.put(sealed, f"{subject}.wav"))])
    keyring.close()


async def _fill_redis(settings: Settings, keyring: Keyring) -> None:
    url = settings.redis_url or ""
    async with redis_client(url, {}, 5.0) as client, RedisStore(url) as store:
        await client.flushall()
        for user in PEOPLE:
            subject = keyring.subject(user).hex()
            for key in (f"drift:{{{subject}}}~", f"baseline:{{{subject}}}~"):
                value = seal_state(keyring, key, user, f"{CANARY}{user}".encode())
                await store.update([key], lambda _, __, value=value: (value, None), ttl_s=600)  # type: ignore[misc]
            await client.zadd(f"undertone:{SILENCES.key()}", {MARK + subject: 1.0})


def test_one_person_is_erased_though_it_is_killed_at_every_step(world: World, tmp_path: Path) -> None:
    certificate = tmp_path / "certificate.json"
    subject = world.subjects[ERASED]
    assert world.found(subject.hex().encode()), "there is something to erase"
    for step in Step:
        for before in (True, False):
            assert killed(world.settings, ERASED, REQUEST, step, before=before) == -signal.SIGKILL, step
    done = world.erase(certificate)
    assert done.exit_code == 0, done.output
    assert ERASED not in done.output + certificate.read_text()

    statement = json.loads(certificate.read_bytes())["certificate"]
    assert statement["subject"] == subject.hex()
    assert (statement["reason"], statement["ticket"]) == ("asked in writing", "T-7")
    tried = statement["steps"]["try"]
    assert {row["opened"] + row["named"] for place in tried.values() for row in place.values()} == {0}
    assert tried["Kafka"]["memos.features"] == {"tried": 3, "sealed": 1, "opened": 0, "named": 0, "kept": 0}
    assert set(tried["Kafka"]) == {topic.name for topic in TOPICS}
    assert statement["steps"]["rewrite"] == {"rewritten": ["Kafka", "Redis", "SQL", "home"], "left": []}
    assert LOGS_ELSEWHERE in statement["outside"]

    again = world.erase(tmp_path / "again.json")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "again.json").read_bytes() == certificate.read_bytes(), "an erasure has one certificate"

    # By somebody with every disk: neither the pseudonym, nor anything of the features; in Redis and in the home not
    # even the subject.
    for text in (ERASED.encode(), f"{CANARY}{ERASED}".encode()):
        assert world.found(text) == []
    home, _, redis, _ = world.folders
    assert [path.name for path, data in contents(home, redis) if subject.hex().encode() in data] == []

    verified = world.undertone("erase", "verify", str(certificate), "--user", ERASED, "--json")
    assert verified.exit_code == 0, verified.output
    rows = validated("erase verify", verified.stdout)
    assert {(row["opened"], row["named"]) for row in rows} == {(0, 0)}
    assert {row["place"] for row in rows} == {"Kafka", "Redis", "SQL", "home"}
    assert world.undertone("erase", "verify", str(certificate)).exit_code == 0, "the signature and every record"
    changed = bytearray(certificate.read_bytes())
    changed[len(changed) // 2] ^= 1
    (tmp_path / "changed.json").write_bytes(changed)
    assert isinstance(world.undertone("erase", "verify", str(tmp_path / "changed.json")).exception, NotCertified)
    other = world.undertone("erase", "verify", str(certificate), "--user", OTHERS[0])
    assert "another person" in str(other.exception)

    # Everybody else is as before.
    keyring = Keyring.open(world.settings)
    keyring.warm_now(OTHERS)
    assert {user: keyring.subject(user) for user in OTHERS} == {user: world.subjects[user] for user in OTHERS}
    keyring.close()
    unknown = world.undertone(
        "erase", "--user", "nobody", "--reason", "asked", "--certificate", str(tmp_path / "none.json")
    )
    assert isinstance(unknown.exception, NoSuchPerson)


def test_somebody_who_is_still_there_in_clear_is_no_erased_person(world: World, tmp_path: Path) -> None:
    """Records in clear, from before sealing, are found by the trial: there is no certificate until they are gone."""
    user = "somebody-in-clear"
    producer = Producer({"bootstrap.servers": world.settings.kafka_bootstrap})
    producer.produce("risk.scored", b"\xc3\x01 a score", user)
    assert producer.flush(30) == 0
    options = ("--user", user, "--reason", "asked", "--certificate", str(tmp_path / "c.json"))
    assert isinstance(world.undertone("erase", *options).exception, NoSuchPerson)
    refused = world.undertone("erase", *options, "--unsealed")
    assert isinstance(refused.exception, NotErased)
    assert "Kafka risk.scored (0 open, 1 with the pseudonym)" in str(refused.exception)
    assert not (tmp_path / "c.json").exists()
    named = world.undertone(
        "erase", "--user", user, "--reason", f"{user} asked", "--certificate", str(tmp_path / "c.json")
    )
    assert "leave the name out" in str(named.exception)
