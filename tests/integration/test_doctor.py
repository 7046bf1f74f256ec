"""Broken set-ups: `undertone doctor` names the cause of each, and one fault hides no other."""

import asyncio
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from confluent_kafka import Producer

from schemas import topics
from schemas.codec import Codec
from schemas.settings import SHIPPED_BUNDLE, Settings
from streams.doctor.environment import usable_settings
from streams.doctor.examination import Patient, Result, examine
from streams.doctor.finding import Status
from streams.doctor.sent_memo import SentMemo
from streams.doctor.table import CHECKS
from streams.local.embedded import EmbeddedKafka
from tests.faults.roles import FAKETIME
from tests.integration.examinations import command, examined, looked, only
from tests.servers import RedisServer, free_port
from tests.unit.schemas.records import DEAD
from tests.unit.schemas.registry_server import registry_server


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


def test_settings_that_do_not_go_together_leave_the_rest_to_be_examined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_KAFKA_MECHANISM", "PLAIN")
    settings, faults = usable_settings()
    assert "UNDERTONE_KAFKA_MECHANISM" in str(faults)
    assert settings.kafka_mechanism is None
