"""Who is not let in, and who may not do what it must: one clear message, an exit code of its own, and no storm."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from confluent_kafka.admin import NewTopic

from deploy.kafka.acls import Right, give, rights, take
from deploy.kafka.certificates import Authority
from deploy.kafka.secured import SecuredKafka
from schemas import topics
from schemas.errors import BrokerRefused, ConfigurationError, StoreRefused, Transient
from schemas.pipeline import ACOUSTIC, STAGES
from schemas.settings import Settings
from streams.agents.lag_exporter import LagExporter
from streams.roles.feature_worker import run_worker
from streams.web.system.stage_lag import StageLags
from tests.guarded import REDIS_PASSWORD, GuardedRedis, access, password
from tests.integration.test_worker import CheapStage, event, load, upload
from tests.issuing import issuing
from workers.kafka.broker_probe import MOST_REFUSALS, answered, watch_broker
from workers.service.health import Health
from workers.state.redis_client import redis_access
from workers.state.redis_store import RedisStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

REFUSED = BrokerRefused.exit_code
SECRETS = ("secret-of-", "hunter2", "BEGIN")


def settings_for(guarded: SecuredKafka, role: str, **changes: object) -> Settings:
    return Settings.load(
        **{
            "kafka_bootstrap": guarded.secured,
            "kafka_security": "SASL_SSL",
            "kafka_ca": guarded.authority.certificate,
            "kafka_mechanism": "SCRAM-SHA-512",
            "kafka_user": role,
            "kafka_password": password(role),
            "session_timeout_s": 6.0,
            **changes,
        }
    )


@pytest.fixture
def way(guarded: SecuredKafka) -> Settings:
    """The topics, made by the administrator; settings of the administrator."""
    known = guarded.admin.list_topics(timeout=10).topics
    missing = [NewTopic(topic.name, 2, 1) for topic in topics.TOPICS if topic.name not in known]
    for future in guarded.admin.create_topics(missing).values() if missing else ():
        future.result(timeout=30)
    return Settings.load(kafka_bootstrap=guarded.server.bootstrap)


@contextmanager
def counting(address: str) -> Iterator[tuple[str, list[float]]]:
    """A way to `address` that notes when somebody comes along it."""
    host, port = address.split(":")
    visits: list[float] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def guide(visitor: socket.socket) -> None:
        with visitor, socket.create_connection((host, int(port))) as there:
            open_ways.extend((visitor, there))
            back = threading.Thread(target=pump, args=(there, visitor))
            back.start()
            pump(visitor, there)
            back.join()

    def welcome() -> None:
        with suppress(OSError):
            while True:
                visitor, _ = listener.accept()
                visits.append(time.monotonic())
                guides.append(threading.Thread(target=guide, args=(visitor,)))
                guides[-1].start()

    guides: list[threading.Thread] = []
    open_ways: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        welcoming = threading.Thread(target=welcome)
        welcoming.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", visits
        for each in (listener, *open_ways):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in (welcoming, *guides):
            thread.join()


def test_a_wrong_password_ends_a_role_with_one_line_its_own_code_and_no_storm(guarded: SecuredKafka) -> None:
    with counting(guarded.secured) as (address, visits):
        wrong = {"KAFKA_BOOTSTRAP": address, "UNDERTONE_KAFKA_PASSWORD": "hunter2", "UNDERTONE_LOG_FORMAT": "json"}
        environment = {**os.environ, **access(guarded, "acoustic", **wrong)}
        command = [sys.executable, "-m", "streams.cli", "worker", "acoustic"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == REFUSED, done.stderr
    assert "refuses this client (SaslAuthenticationFailed)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [secret for secret in SECRETS if secret in done.stderr + done.stdout]
    assert len(visits) <= 3


async def test_a_password_that_no_longer_holds_ends_a_role_after_few_tries(
    guarded: SecuredKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.kafka.broker_probe.EVERY_S", 0.05)
    health = Health()
    with counting(guarded.secured) as (address, visits):
        changed = settings_for(guarded, "acoustic", kafka_bootstrap=address, kafka_password="hunter2")
        with pytest.raises(BrokerRefused):
            await watch_broker(changed, health)
    assert len(visits) == MOST_REFUSALS
    assert "SaslAuthenticationFailed" in health.lacking()["broker"]


REFUSALS: dict[str, tuple[dict[str, object], str]] = {
    "a password that is wrong": ({"kafka_password": "hunter2"}, "SaslAuthenticationFailed"),
    "a PLAIN password that is wrong": ({"kafka_password": "hunter2", "kafka_mechanism": "PLAIN"}, "SaslAuth"),
    "a user that nobody knows": ({"kafka_user": "stranger"}, "SaslAuthenticationFailed"),
    "an authority that we do not trust": ({"kafka_ca": "another"}, "certificate"),
    "the authorities of the system": ({"kafka_ca": None}, "certificate"),
    "a certificate that has expired": ({"kafka_bootstrap": "expired"}, "certificate has expired"),
    "a token that is none": (
        {"kafka_mechanism": "OAUTHBEARER", "kafka_token_file": "hunter2"},
        "rejected the token",
    ),
    "a token file that is not there": ({"kafka_mechanism": "OAUTHBEARER", "kafka_token_file": "none"}, "TOKEN_FILE"),
}


@pytest.mark.parametrize("fault", REFUSALS)
async def test_who_is_not_let_in_is_told_why_and_no_secret(fault: str, guarded: SecuredKafka, tmp_path: Path) -> None:
    changes, told = REFUSALS[fault]
    (tmp_path / "hunter2").write_text("hunter2")
    named: dict[object, object] = {
        "another": Authority(tmp_path / "another", "Somebody else").certificate,
        "expired": guarded.expired,
    }
    given = {name: named.get(value, value) for name, value in changes.items()}
    if "kafka_token_file" in given:
        given["kafka_token_file"] = tmp_path / str(given["kafka_token_file"])
    with pytest.raises(BrokerRefused, match=told) as refused:
        await answered(settings_for(guarded, "acoustic", **given))
    assert not [secret for secret in SECRETS if secret in str(refused.value)]


async def test_a_listener_that_speaks_otherwise_than_the_settings_is_hinted_at(guarded: SecuredKafka) -> None:
    nameless = Settings.load(
        kafka_bootstrap=guarded.mutual, kafka_security="SSL", kafka_ca=guarded.authority.certificate
    )
    for settings in (
        nameless,
        settings_for(guarded, "acoustic", kafka_bootstrap=guarded.server.bootstrap),
        Settings.load(kafka_bootstrap=guarded.secured),
    ):
        with pytest.raises((BrokerRefused, Transient), match="encrypt"):
            await answered(settings)


async def test_a_client_secret_that_is_wrong_is_refused_by_the_issuer(guarded: SecuredKafka) -> None:
    with issuing(guarded.issuer, {"alerts": "the secret"}) as url:
        given = {"kafka_mechanism": "OAUTHBEARER", "kafka_token_url": url, "kafka_client_id": "alerts"}
        await answered(settings_for(guarded, "alerts", **given, kafka_client_secret="the secret"))
        with pytest.raises(BrokerRefused, match="UNDERTONE_KAFKA_TOKEN_URL returned HTTP 401") as refused:
            await answered(settings_for(guarded, "alerts", **given, kafka_client_secret="hunter2"))
    assert "hunter2" not in str(refused.value)
    with pytest.raises(Transient):
        await answered(settings_for(guarded, "alerts", **given, kafka_client_secret="the secret"))


async def test_files_that_hold_no_certificate_are_a_wrong_setting(guarded: SecuredKafka, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(ConfigurationError, match="UNDERTONE_KAFKA_CA"):
        await answered(settings_for(guarded, "acoustic", kafka_ca=tmp_path / "empty.pem"))
    pair, other = (guarded.authority.vouch(name) for name in ("one", "another"))
    with pytest.raises(ConfigurationError, match="UNDERTONE_KAFKA_CERTIFICATE and UNDERTONE_KAFKA_KEY"):
        await answered(settings_for(guarded, "acoustic", kafka_certificate=pair.certificate, kafka_key=other.key))


OF_ACOUSTIC = [right for right in rights() if right.role == "acoustic"]
NEEDED = [right for right in OF_ACOUSTIC if right.name != topics.AUDIT.name]
"""A start that the audit trail does not take is logged, and the work goes on."""


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> CheapStage:
    stage = CheapStage()
    monkeypatch.setattr("streams.roles.feature_worker.make_stage", lambda *_: stage)
    monkeypatch.setattr("streams.roles.feature_worker.load_memo", lambda event, **_: load(event))
    return stage


@pytest.mark.parametrize("missing", NEEDED, ids=lambda right: f"{right.operation} {right.name}")
async def test_a_right_that_is_missing_ends_a_worker(
    missing: Right, guarded: SecuredKafka, way: Settings, cheap: CheapStage
) -> None:
    await upload(way, event(f"memo without {missing}"), b"garbage")
    take(guarded.admin, [missing])
    try:
        with pytest.raises(BrokerRefused, match=r"AuthorizationFailed.*: grant permission"):
            async with asyncio.timeout(60):
                await run_worker(settings_for(guarded, "acoustic"), ACOUSTIC, asyncio.Event())
    finally:
        give(guarded.admin, [missing])


async def test_a_right_that_is_taken_away_ends_a_worker_at_its_work(
    guarded: SecuredKafka, way: Settings, cheap: CheapStage
) -> None:
    await upload(way, event("memo before"))
    reading = next(right for right in OF_ACOUSTIC if right.operation == "Read" and right.resource == "topic")
    working = asyncio.create_task(run_worker(settings_for(guarded, "acoustic"), ACOUSTIC, asyncio.Event()))
    try:
        async with asyncio.timeout(60):
            while not cheap.processed["memo before"]:
                await asyncio.sleep(0.1)
            take(guarded.admin, [reading])
            await upload(way, event("memo after"))
            with pytest.raises(BrokerRefused, match="TopicAuthorizationFailed"):
                await working
    finally:
        working.cancel()
        give(guarded.admin, [reading])


async def test_who_may_not_look_at_a_group_is_told_so_and_takes_it_for_no_lag(
    guarded: SecuredKafka, way: Settings
) -> None:
    looking = [right for right in rights() if right.role == "agents" and right.name == "undertone-embedding"]
    take(guarded.admin, looking)
    try:
        with pytest.raises(Exception, match="GroupAuthorizationFailed"):
            async with asyncio.timeout(60):
                await LagExporter(settings_for(guarded, "agents")).run()
    finally:
        give(guarded.admin, looking)


async def test_the_dashboard_may_ask_for_the_lag_of_every_stage(
    guarded: SecuredKafka, way: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.web.system.stage_lag.WITHIN_S", 60.0)
    lags = await StageLags(settings_for(guarded, "dashboard")).lags()
    assert lags is not None
    assert {lag.stage for lag in lags} == {stage.name for stage in STAGES}


async def test_redis_that_does_not_let_us_in_ends_a_role_and_one_that_is_away_does_not(
    guarded_redis: GuardedRedis, tmp_path: Path
) -> None:
    another = Authority(tmp_path, "Somebody else").certificate

    async def read(url: str = guarded_redis.url, prefix: str = "undertone:", **changes: object) -> None:
        known = {"redis_ca": guarded_redis.authority.certificate, "redis_user": "undertone"}
        settings = Settings.load(**{"redis_url": url, **known, "redis_password": REDIS_PASSWORD, **changes})
        async with RedisStore(url, redis_access(settings), prefix=prefix) as store:
            await store.read(["a"])

    await read()
    with pytest.raises(StoreRefused, match="Redis authentication failed") as wrong:
        await read(redis_password="hunter2")
    with pytest.raises(StoreRefused, match="certificate verification failed"):
        await read(redis_ca=another)
    with pytest.raises(ConfigurationError, match="rediss://"):
        await read(url=f"redis://127.0.0.1:{guarded_redis.port}")
    with pytest.raises(Transient):
        await read(url="rediss://127.0.0.1:1/0")
    with pytest.raises(StoreRefused, match=r"deploy/redis/users\.acl"):
        await read(prefix="somebody else's:")
    assert "hunter2" not in str(wrong.value)
