"""Broken set-ups: `undertone doctor` names the cause of each, and one fault hides no other."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from deploy.kafka.acls import Right, give, rights, take
from deploy.kafka.secured import SecuredKafka
from deploy.kafka.server import KafkaServer
from schemas import topics
from schemas.codec import Codec
from schemas.settings import SHIPPED_BUNDLE, Settings
from streams.doctor.environment import usable_settings
from streams.doctor.examination import Check, Patient, Result, examine
from streams.doctor.finding import Status
from streams.doctor.sent_memo import SentMemo
from streams.doctor.table import CHECKS
from streams.local.embedded import EmbeddedKafka
from tests.faults.roles import FAKETIME
from tests.guarded import access, password
from tests.json_output import validated
from tests.servers import Broker, RedisServer, free_port
from tests.unit.schemas.records import DEAD
from tests.unit.schemas.registry_server import registry_server
from workers.kafka.admin import create_topics

HEAVY = {"decoding", "openSMILE", "bundle", "encoder"}
"""Checks in child processes, which cost seconds of CPU: asked for by name."""
SECRETS = ("hunter2", "secret-of-")


def looked(*heavy: str, role: str | None = None, **given: Any) -> dict[str, Result]:
    """What the doctor finds with these settings, by check. heavy: checks in child processes to run as well."""
    checks = [check for check in CHECKS if check.name not in HEAVY or check.name in heavy]
    return examined(checks, Patient(Settings.load(**given), role=role))


def examined(checks: list[Check], patient: Patient) -> dict[str, Result]:
    async def run() -> dict[str, Result]:
        return {result.check: result async for result in examine(checks, patient)}

    found = asyncio.run(run())
    assert not [secret for secret in SECRETS if secret in str(found)]
    return found


def only(check: str, found: Mapping[str, Result]) -> Result:
    """The result of the one check that failed."""
    assert [name for name, each in found.items() if each.status is Status.FAILED] == [check], found
    return found[check]


@pytest.fixture(scope="module")
def embedded() -> Iterator[str]:
    with EmbeddedKafka(topic.name for topic in topics.TOPICS) as broker:
        yield broker.bootstrap


# Addresses and ports


@pytest.mark.parametrize("address", ["kafka", "kafka://host:9092", "host:0", "ho st:9092", "a:1,b", "::1:9092"])
def test_an_address_that_is_none(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", address)
    settings, faults = usable_settings()
    checks = [check for check in CHECKS if check.name in {"settings", "Kafka address", "Kafka connection", "home"}]
    found = examined(checks, Patient(settings, faults))
    assert found["Kafka address"].status is Status.FAILED
    assert "host:port" in found["Kafka address"].text
    assert "host:port" in found["Kafka address"].fix
    assert found["Kafka connection"].status is Status.SKIPPED
    assert found["home"].status is Status.OK


def test_a_wrong_host() -> None:
    found = only("Kafka connection", looked(kafka_bootstrap="no-such-host.invalid:9092"))
    assert "no-such-host.invalid is unknown (DNS)" in found.text


def test_a_closed_port_hides_nothing_of_redis(redis_server: RedisServer) -> None:
    found = looked(kafka_bootstrap=f"127.0.0.1:{free_port()}", redis_url=redis_server.url)
    assert "does not accept connections (connection refused)" in only("Kafka connection", found).text
    assert found["topics"].status is Status.SKIPPED
    assert found["Redis persistence"].status is Status.OK


def test_a_port_of_another_server(redis_server: RedisServer) -> None:
    found = looked(kafka_bootstrap=f"127.0.0.1:{redis_server.port}")
    text = only("Kafka connection", found).text
    assert "ends the connection" in text or "never answers" in text


def test_servers_that_accept_and_never_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        found = looked(kafka_bootstrap=f"127.0.0.1:{port}", redis_url=f"redis://127.0.0.1:{port}")
    assert f"127.0.0.1:{port} accepts connections and never answers" in found["Kafka connection"].text
    assert "Redis accepts connections and never answers" in found["Redis connection"].text


def test_one_address_of_two_that_is_wrong(embedded: str) -> None:
    found = looked(kafka_bootstrap=f"127.0.0.1:{free_port()},{embedded}")
    assert found["Kafka connection"].status is Status.WARNING
    assert "1 of 2 addresses answer" in found["Kafka connection"].text
    assert found["topics"].status is Status.OK


# Topics on Apache Kafka


@pytest.fixture(scope="module")
def broken_topics(kafka: KafkaServer) -> Settings:
    """The topics, each with another fault, and one of them missing."""
    Broker(kafka.bootstrap, real=True).empty()
    settings = Settings.load(kafka_bootstrap=kafka.bootstrap)
    asyncio.run(create_topics(settings))
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    for future in admin.delete_topics([topics.FEATURES.name, topics.ALERTS.name]).values():
        future.result(30)
    gone = {topics.FEATURES.name, topics.ALERTS.name}
    until(lambda: not gone & set(admin.list_topics(timeout=10).topics))
    alter(admin, topics.UPLOADED.name, {"retention.ms": "3600000"})
    alter(admin, topics.SCORED.name, {"max.message.bytes": "1000000", "cleanup.policy": "compact"})
    alter(admin, topics.DEAD.name, {"min.insync.replicas": "2"})
    for future in admin.create_topics([NewTopic(topics.FEATURES.name, 3, 1)]).values():
        future.result(30)
    until(lambda: len(admin.list_topics(timeout=10).topics[topics.FEATURES.name].partitions) == 3)
    return settings


def until(state: Callable[[], bool]) -> None:
    """Return when a broker shows what was changed."""
    deadline = time.monotonic() + 30
    while not state():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alter(admin: AdminClient, topic: str, values: Mapping[str, str]) -> None:
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in values.items()]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)
    shown = ConfigResource(ResourceType.TOPIC, topic)
    until(lambda: values.items() <= configured(admin, shown).items())


def configured(admin: AdminClient, resource: ConfigResource) -> dict[str, str]:
    (future,) = admin.describe_configs([resource]).values()
    return {name: entry.value for name, entry in future.result(30).items()}


TOPIC_FAULTS = {
    "topics": "risk.alerts does not exist",
    "partitions": "partitions are unequal: memos.uploaded 4, memos.features 3",
    "retention": "memos.uploaded keeps records for 0.0417 days, not 7",
    "cleanup policy": "risk.scored is compacted",
    "message sizes": "risk.scored takes messages of 1,000,000 bytes, and its records may have 4,194,304",
    "replicas": "memos.dead has 1 replicas in sync of 1, and min.insync.replicas=2",
}


def test_every_fault_of_topics_is_named_beside_the_others(broken_topics: Settings) -> None:
    found = looked(kafka_bootstrap=broken_topics.kafka_bootstrap)
    for check, words in TOPIC_FAULTS.items():
        assert found[check].status is Status.FAILED, check
        assert words in found[check].text
        assert found[check].fix
    assert found["record time"].status is Status.WARNING, "a topic that somebody created by hand"
    assert found["permissions"].status is Status.OK
    assert found["Kafka listeners"].status is Status.OK


def test_it_creates_no_topic(broken_topics: Settings) -> None:
    admin = AdminClient({"bootstrap.servers": str(broken_topics.kafka_bootstrap), "log_level": 0})
    assert topics.ALERTS.name not in admin.list_topics(timeout=10).topics


# Permissions and passwords


@pytest.fixture(scope="module")
def guarded_topics(guarded: SecuredKafka) -> SecuredKafka:
    known = guarded.admin.list_topics(timeout=10).topics
    missing = [NewTopic(topic.name, 2, 1) for topic in topics.TOPICS if topic.name not in known]
    for future in guarded.admin.create_topics(missing).values() if missing else ():
        future.result(timeout=30)
    return guarded


def guarded_settings(guarded: SecuredKafka, role: str, **changes: object) -> dict[str, Any]:
    return {
        "kafka_bootstrap": guarded.secured,
        "kafka_security": "SASL_SSL",
        "kafka_ca": guarded.authority.certificate,
        "kafka_mechanism": "SCRAM-SHA-512",
        "kafka_user": role,
        "kafka_password": password(role),
        **changes,
    }


@pytest.mark.parametrize("named", ["acoustic", None])
def test_a_permission_that_is_missing(guarded_topics: SecuredKafka, named: str | None) -> None:
    missing = [Right("acoustic", "topic", topics.FEATURES.name, "Write")]
    take(guarded_topics.admin, missing)
    try:
        found = looked(role=named, **guarded_settings(guarded_topics, "acoustic"))
    finally:
        give(guarded_topics.admin, missing)
    text = only("permissions", found).text
    assert "not do all that acoustic needs; missing: Write on topic memos.features" in text
    assert "may not see the configuration" in found["topic configurations"].text


def test_a_missing_permission_on_a_group(guarded_topics: SecuredKafka) -> None:
    missing = [right for right in rights() if right.role == "acoustic" and right.resource == "group"]
    take(guarded_topics.admin, missing)
    try:
        found = looked(**guarded_settings(guarded_topics, "acoustic"))
    finally:
        give(guarded_topics.admin, missing)
    assert "missing: Read on group undertone-acoustic" in only("permissions", found).text


@pytest.mark.parametrize("role", ["acoustic", "agents", "bridge"])
def test_a_role_with_its_permissions_may_do_its_work(guarded_topics: SecuredKafka, role: str) -> None:
    found = looked(role=role, alertmanager_url=None, **guarded_settings(guarded_topics, role))
    assert found["permissions"].status is Status.OK, found["permissions"]


def test_the_user_of_the_doctor_sees_everything(guarded_topics: SecuredKafka) -> None:
    found = looked(role="doctor", **guarded_settings(guarded_topics, "doctor"))
    assert found["permissions"].status is Status.OK
    assert found["topic configurations"].status is Status.OK


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "a wrong password": ({"kafka_password": "hunter2"}, "SaslAuthenticationFailed"),
    "an authority that is not trusted": ({"kafka_ca": None}, "certificate"),
    "a listener that wants encryption": (
        {"kafka_security": "PLAINTEXT", "kafka_mechanism": None, "kafka_ca": None},
        "UNDERTONE_KAFKA_SECURITY is PLAINTEXT",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_who_is_not_let_in(fault: str, guarded_topics: SecuredKafka) -> None:
    changes, words = REFUSED[fault]
    found = only("Kafka connection", looked(**guarded_settings(guarded_topics, "acoustic", **changes)))
    assert words in found.text or words in found.fix


# Producers


def write(bootstrap: str, keys: list[bytes | None], **options: object) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0, **options})
    for key in keys:
        producer.produce(topics.UPLOADED.name, b"any", key=key)
    assert producer.flush(30) == 0


def test_a_producer_with_librdkafkas_partitioner() -> None:
    keys: list[bytes | None] = [f"user-{number}".encode() for number in range(40)]
    with EmbeddedKafka([topics.UPLOADED.name]) as broker:
        write(broker.bootstrap, keys, partitioner="murmur2_random")
        good = looked(kafka_bootstrap=broker.bootstrap)["partitioner"]
        write(broker.bootstrap, keys)
        bad = looked(kafka_bootstrap=broker.bootstrap)["partitioner"]
    assert good.status is Status.OK
    assert bad.status is Status.FAILED
    assert "CRC32, the default of librdkafka" in bad.text
    assert "murmur2_random" in bad.fix


def test_a_producer_without_keys() -> None:
    with EmbeddedKafka(topic.name for topic in topics.TOPICS) as broker:
        write(broker.bootstrap, [b"user", None])
        found = looked(kafka_bootstrap=broker.bootstrap)
    assert "1 of the 2 newest records on memos.uploaded have no key" in only("partitioner", found).text


# Redis


def test_a_store_that_evicts_forgets_and_is_full() -> None:
    options = ("--maxmemory", "2mb", "--maxmemory-policy", "allkeys-lru")
    with RedisServer(durable=False, options=options) as server:
        found = looked(redis_url=server.url)
    assert "maxmemory-policy is allkeys-lru" in found["Redis eviction"].text
    assert "appendonly is off and it saves no snapshots" in found["Redis persistence"].text
    failed = {name for name, each in found.items() if each.status is Status.FAILED}
    assert failed >= {"Redis eviction", "Redis persistence"}
    assert found["Redis memory"].status in {Status.WARNING, Status.OK, Status.FAILED}


def test_a_store_with_another_password() -> None:
    with RedisServer(options=("--user", "someone", "on", ">right", "~*", "+@all")) as server:
        wrong = only("Redis connection", looked(redis_url=server.url, redis_user="someone", redis_password="hunter2"))
        right = looked(redis_url=server.url, redis_user="someone", redis_password="right")
    assert "Redis authentication failed" in wrong.text
    assert right["Redis permissions"].status is Status.OK


def test_a_store_that_is_down_or_that_forbids_our_keys(redis_server: RedisServer) -> None:
    down = only("Redis connection", looked(redis_url=f"redis://127.0.0.1:{free_port()}"))
    assert "does not accept connections" in down.text
    with RedisServer(options=("--user", "other", "on", ">right", "~other:*", "+@all")) as server:
        found = looked(redis_url=server.url, redis_user="other", redis_password="right")
    assert "lacks permission for a command or key" in only("Redis permissions", found).text


def test_nothing_stays_in_redis(redis_server: RedisServer) -> None:
    from redis import Redis

    with Redis(port=redis_server.port) as client:
        before = set(client.keys("undertone:doctor:*"))
        looked(redis_url=redis_server.url)
        assert set(client.keys("undertone:doctor:*")) == before == set()


# Registry, receivers, ports


def test_a_registry_that_is_down_or_empty_or_foreign() -> None:
    down = looked(schema_registry_url=f"http://127.0.0.1:{free_port()}")
    assert "connection refused" in only("schema registry", down).text
    with registry_server() as server:
        empty = looked(schema_registry_url=server.url)
        assert empty["subjects"].status is Status.WARNING
        assert "memos.uploaded-value is not registered" in empty["subjects"].text
        assert "undertone topics create" in empty["subjects"].fix
        server.subjects.add("risk.scored-value")
        server.incompatible.add("risk.scored-value")
        foreign = only("subjects", looked(schema_registry_url=server.url))
        assert "risk.scored-value has a schema that today's is incompatible with" in foreign.text
        assert not [request for request in server.requests if request.endswith("-value/versions")], "it registers none"


def test_a_metrics_port_that_is_taken_and_a_receiver_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        found = looked(metrics_port=other.getsockname()[1], alertmanager_url=f"http://hunter2@127.0.0.1:{free_port()}")
    assert "is taken by another program" in found["metrics port"].text
    assert "UNDERTONE_ALERTMANAGER_URL does not accept connections" in found["receivers"].text


# This machine


def test_prefixes_that_are_missing_or_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    missing, file = (tmp_path / name for name in ("missing", "file"))
    found = only("audio prefixes", looked(audio_prefixes=(missing.as_uri(), file.as_uri(), tmp_path.as_uri())))
    assert "prefix 1 of UNDERTONE_AUDIO_PREFIXES does not exist" in found.text
    assert "prefix 2 of UNDERTONE_AUDIO_PREFIXES is a file" in found.text
    assert str(tmp_path) not in found.text


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "is, or lies below, a file" in only("home", looked(home=tmp_path / "file" / "home")).text


@dataclass(frozen=True, slots=True)
class Bundles:
    """A bundle per fault."""

    folder: Path

    def copy(self, damage: Callable[[Path], object]) -> Path:
        target = self.folder / "bundle"
        shutil.copytree(SHIPPED_BUNDLE, target)
        damage(target)
        return target


def test_a_damaged_bundle(tmp_path: Path) -> None:
    damaged = Bundles(tmp_path).copy(lambda folder: (folder / "head.safetensors").write_bytes(b"nothing"))
    found = only("bundle", looked("bundle", bundle=damaged))
    assert "head.safetensors does not match its digest" in found.text


def test_a_missing_bundle_and_modalities_that_are_not_the_bundles(tmp_path: Path) -> None:
    missing = only("bundle", looked("bundle", bundle=tmp_path / "none"))
    assert "manifest.json cannot be read" in missing.text
    other = only("modalities", looked(modalities="acoustic"))
    assert "needs acoustic,embedding, and UNDERTONE_MODALITIES is acoustic: every memo lacks embedding" in other.text
    assert "unset UNDERTONE_MODALITIES" in other.fix


def other_encoder(folder: Path) -> None:
    """The shipped encoder with one weight changed."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(SHIPPED_BUNDLE / "encoder", folder)
    weights = load_file(folder / "model.safetensors")
    name = min(weights)
    save_file({**weights, name: weights[name] * 1.5}, folder / "model.safetensors")


def test_an_encoder_that_is_not_the_bundles(tmp_path: Path) -> None:
    other_encoder(tmp_path / "encoder")
    found = only("encoder", looked("encoder", encoder=str(tmp_path / "encoder")))
    assert "and the bundle was trained with" in found.text
    assert "UNDERTONE_ENCODER" in found.fix


# A memo of its own


def sent(memo: SentMemo, settings: Settings) -> dict[str, Result]:
    """What becomes of a memo, and the checks that it needs."""
    needed = {"Kafka address", "Kafka connection", "topics", "Redis connection"}

    async def run() -> dict[str, Result]:
        checks = [check for check in CHECKS if check.name in needed]
        checks += memo.checks(settings.modalities)
        return {result.check: result async for result in examine(checks, Patient(settings))}

    return asyncio.run(run())


def test_a_memo_that_no_worker_takes(embedded: str, tmp_path: Path, redis_server: RedisServer) -> None:
    settings = Settings.load(
        kafka_bootstrap=embedded, redis_url=redis_server.url, audio_prefixes=(tmp_path.as_uri(), "http://127.0.0.1:1/")
    )
    found = sent(SentMemo(None, 1.0), settings)
    assert found["memo sent"].status is Status.OK
    assert found["memo acoustic"].text == "nothing within 1 s"
    assert "undertone worker acoustic" in found["memo acoustic"].fix
    assert found["memo score"].status is Status.FAILED
    left = found["memo clean-up"].text
    assert "removed: its audio, its keys in Redis; stays: its records (memos.uploaded " in left
    assert "what a stage that runs later makes of it" in left
    assert list(tmp_path.iterdir()) == []


def test_a_memo_that_becomes_a_dead_letter(embedded: str, tmp_path: Path) -> None:
    """A stand-in for a worker writes the dead letter, keyed as its source."""
    memo = SentMemo("s3://elsewhere/memo.wav", 30.0)
    letter = replace(DEAD, key=memo.user_id.encode(), stage="acoustic", reason="audio:uri_refused", detail="outside")
    settings = Settings.load(kafka_bootstrap=embedded)
    producer = Producer({"bootstrap.servers": embedded, "partitioner": "murmur2_random", "log_level": 0})

    async def after_upload() -> dict[str, Result]:
        needed = {"Kafka address", "Kafka connection", "topics"}
        checks = [check for check in CHECKS if check.name in needed] + [*memo.checks(settings.modalities)]
        found = {}
        async for result in examine(checks, Patient(settings)):
            found[result.check] = result
            if result.check == "memo sent":
                producer.produce(topics.DEAD.name, Codec().encode(letter), key=memo.user_id.encode())
                producer.flush(30)
        return found

    found = asyncio.run(after_upload())
    for check in ("memo acoustic", "memo embedding", "memo score"):
        assert found[check].status is Status.FAILED
        assert "a dead letter of acoustic after" in found[check].text
        assert "audio:uri_refused: outside" in found[check].text
    assert "its keys in Redis, which is not reached from here" in found["memo clean-up"].text


def test_a_memo_without_a_place_for_its_audio(embedded: str) -> None:
    found = sent(SentMemo(None, 1.0), Settings.load(kafka_bootstrap=embedded))
    assert "--audio-uri" in found["memo sent"].text
    assert found["memo score"].status is Status.SKIPPED
    assert found["memo clean-up"].text == "nothing to remove"


# The command


def command(*arguments: str, **environment: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, results by check, and standard error of the command without its heavy checks."""
    skips = [part for name in sorted(HEAVY) for part in ("--skip", name)]
    kept = {name: text for name, text in os.environ.items() if not name.startswith("UNDERTONE_")}
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "doctor", "--json", *skips, *arguments],
        env={**kept, **environment}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.returncode, {row["check"]: row for row in validated("doctor", done.stdout)}, done.stderr


def test_a_misspelt_variable_and_a_value_that_cannot_be_used(tmp_path: Path) -> None:
    code, found, errors = command(
        UNDERTONE_ALERT_PER_USER_YEAR="2",
        UNDERTONE_WINDOW_S="hunter2",
        UNDERTONE_MODALITIES="smell",
        UNDERTONE_HOME=str(tmp_path),
    )
    assert code == 1
    assert found["variables"]["status"] == "warning"
    assert "UNDERTONE_ALERT_PER_USER_YEAR" in found["variables"]["text"]
    assert "UNDERTONE_ALERTS_PER_USER_YEAR" in found["variables"]["text"], "the nearest name"
    assert found["settings"]["status"] == "failed"
    assert "UNDERTONE_WINDOW_S" in found["settings"]["text"]
    assert "UNDERTONE_MODALITIES" in found["settings"]["text"]
    assert found["home"]["status"] == "ok", "one value that is wrong hides no other check"
    assert "Traceback" not in errors


def test_a_clock_that_is_an_hour_behind(redis_server: RedisServer, tmp_path: Path) -> None:
    code, found, _ = command(
        REDIS_URL=redis_server.url, UNDERTONE_HOME=str(tmp_path), LD_PRELOAD=str(FAKETIME), FAKETIME="-1h"
    )
    assert code == 1
    assert found["clock"]["status"] == "failed"
    assert "s behind Redis" in found["clock"]["text"]
    assert found["Redis persistence"]["status"] == "ok"


def test_the_command_prints_no_secret_and_imports_no_model(guarded_topics: SecuredKafka, tmp_path: Path) -> None:
    environment = access(guarded_topics, "acoustic", UNDERTONE_KAFKA_PASSWORD="hunter2", UNDERTONE_HOME=str(tmp_path))
    code, found, errors = command(**environment, PYTHONPROFILEIMPORTTIME="1")
    assert code == 1
    assert "SaslAuthenticationFailed" in found["Kafka connection"]["text"]
    assert "hunter2" not in json.dumps(found)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in errors.splitlines()}
    assert not loaded & {"tensorflow", "keras", "opensmile", "faust", "av"}


def test_settings_that_do_not_go_together_leave_the_rest_to_be_examined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_KAFKA_MECHANISM", "PLAIN")
    settings, faults = usable_settings()
    assert "UNDERTONE_KAFKA_MECHANISM" in str(faults)
    assert settings.kafka_mechanism is None
