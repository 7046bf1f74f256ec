"""The key server between a key directory and roles: what each gets, what nobody gets, and what its absence costs."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.kafka.certificates import Authority
from schemas import topics
from schemas.codec import Codec
from schemas.errors import ConfigurationError, Erased, ExitCode, Poison, Transient, Unknown
from schemas.headers import headers_of
from schemas.key_grants import KEY_GRANTS
from schemas.key_purposes import LASTING, Purpose, epoch_of
from schemas.settings import Settings
from streams.roles.key_service import run_key_service
from tests.key_services import KeyServices
from tests.keys import note_erasure
from tests.unit.schemas.records import FEATURES, SCORED
from tests.unit.streams.alerts import episode_of
from workers.privacy.clear_records import Opened
from workers.privacy.holders.held_keyring import HeldKeyring
from workers.privacy.holders.key_holders import Standing, standing
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.keyring import Keyring
from workers.privacy.sealing import Sealing
from workers.privacy.sources import messages, service_source
from workers.privacy.sources.service_source import KeysRefused, tls_context
from workers.service.health import HEALTH

# Sockets that httpcore could not connect, and TLS connections at the end of a loop, are left to Python's collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ALERT = episode_of()[0]
ANNA = ALERT.user_id
MONTH = epoch_of(datetime.now(UTC))
RECORDS = ((topics.ALERTS, ALERT), (topics.SCORED, SCORED), (topics.FEATURES, FEATURES))


class Record:
    """A record as a client gives it."""

    def __init__(self, topic: str, written: Any) -> None:
        self.topic, self.key, self.value = topic, written.key, written.value
        self.headers, self.timestamp = written.headers, None


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyServices]:
    made = KeyServices(tmp_path_factory.mktemp("keys"))
    KeyDirectory.init(made.home)
    with made.running():
        yield made


@pytest.fixture
def directory(services: KeyServices) -> Iterator[KeyDirectory]:
    opened = KeyDirectory.open(services.home)
    yield opened
    opened.close()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks waits for no longer than this test does."""
    monkeypatch.setattr(service_source, "ANSWER_S", 0.5)


async def sealed(settings: Settings, user: str = ANNA) -> dict[str, Record]:
    """One record of each topic, of the same person, as the directory's owner seals them."""
    async with Sealing.open(settings) as border:
        await border.keys_of(user, enrol=True)
        found = {}
        for topic, record in RECORDS:
            headers = headers_of(record, "test", None)
            written = await border.sealed(topic.name, user.encode(), Codec().encode(record), headers)
            found[topic.name] = Record(topic.name, written)
        return found


def client(settings: Settings) -> httpx.Client:
    """Whoever has these certificates, and says what it likes."""
    context = tls_context(settings, ssl.Purpose.SERVER_AUTH)
    return httpx.Client(base_url=settings.key_service_url or "", verify=context, trust_env=False)


async def test_a_bridge_opens_alerts_and_nothing_else(services: KeyServices) -> None:
    records = await sealed(services.home)
    async with Sealing.open(services.asking("bridge")) as border:
        (alert,) = await border.opened([records[topics.ALERTS.name]])
        assert isinstance(alert, Opened)
        assert (alert.key, alert.value) == (ANNA.encode(), Codec().encode(ALERT))
        for topic in (topics.SCORED, topics.FEATURES):
            with pytest.raises(KeysRefused, match="grants this process no keys of") as refused:
                await border.opened([records[topic.name]])
            assert refused.value.exit_code is ExitCode.NOPERM
        # What came over the wire is the key of alerts alone: none of its bytes give another one.
        (person,) = border.keyring._people.values()
        month = person.epoch
        assert len(person.key(month) or b"") == 32
        assert person.key(LASTING) == b""
    async with Sealing.open(services.asking("bridge-fhir")) as border:
        outcomes = await border.opened([records[topics.ALERTS.name], records[topics.SCORED.name]])
        assert all(isinstance(each, Opened) for each in outcomes)


async def test_a_worker_that_has_no_directory_seals_what_its_owner_opens(services: KeyServices) -> None:
    settings = services.asking("acoustic")
    async with Sealing.open(settings) as border:
        await border.keys_of("ben", enrol=True)
        headers = headers_of(FEATURES, "test", None)
        written = await border.sealed(topics.FEATURES.name, b"ben", Codec().encode(FEATURES), headers)
        with pytest.raises(KeysRefused):
            await border.sealed(topics.ALERTS.name, b"ben", b"alert", [])
    async with Sealing.open(services.home) as border:
        (opened,) = await border.opened([Record(topics.FEATURES.name, written)])
        assert isinstance(opened, Opened)
        assert (opened.key, opened.value) == (b"ben", Codec().encode(FEATURES))
    assert not (settings.home / "keys.db").exists()


def test_many_people_are_warmed_in_one_request_and_then_in_none(
    services: KeyServices, directory: KeyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [f"person {number}" for number in range(300)]
    directory.enrol(people)
    keyring = Keyring.open(services.asking("agents"))
    asked = []
    answer = service_source.ServiceSource._answer

    def counted(self: service_source.ServiceSource, method: str, path: str, *rest: Any) -> Any:
        asked.append(path)
        return answer(self, method, path, *rest)

    monkeypatch.setattr(service_source.ServiceSource, "_answer", counted)
    keyring.warm_now(people)
    assert asked == [messages.BEAT, messages.KEYS]
    keyring.warm_now(people)
    assert len(asked) == 2
    own = Keyring(directory, 600.0)
    own.warm_now(people)
    for user in people:
        subject = keyring.subject(user)
        assert subject == own.subject(user)
        for purpose, epoch in ((Purpose.SCORES, keyring.epoch(subject)), (Purpose.STATE, LASTING)):
            assert keyring.subkey(subject, epoch, purpose) == own.subkey(subject, epoch, purpose)
    keyring.close()


def test_a_key_of_another_kind_of_month_is_a_forgery_and_not_waited_for(services: KeyServices) -> None:
    keyring = Keyring.open(services.asking("agents"))
    keyring.warm_now(["ann"], enrol=True)
    with pytest.raises(Poison, match="record:forged"):
        keyring.subkey(keyring.subject("ann"), LASTING, Purpose.SCORES)
    keyring.close()


def test_an_erasure_waits_until_whoever_asked_has_dropped_the_keys(
    services: KeyServices, directory: KeyDirectory
) -> None:
    keyring = Keyring.open(services.asking("agents"))
    assert isinstance(keyring, HeldKeyring)
    keyring.warm_now(["carl"], enrol=True)
    subject = keyring.subject("carl")
    note_erasure(directory, "carl", subject)
    directory.mark_erasing("carl")
    before = standing(directory.database, subject, 600.0, 0.0)
    assert before.missing > 0
    keyring._holder.beat()
    with pytest.raises(Erased):
        keyring.subkey(subject, LASTING, Purpose.STATE)
    assert standing(directory.database, subject, 600.0, 0.0) == Standing(before.holders, before.missing - 1)
    directory.destroy_keys(subject)
    keyring.close()
    other = Keyring.open(services.asking("bridge"))
    other.warm_now(frames=[(subject, LASTING)])
    with pytest.raises(Erased):
        other.user(subject)
    other.meet_now({"carl": 1.0}, enrol=False)
    with pytest.raises(Erased):
        other.check_newer("carl", 1.0)
    other.close()


@pytest.mark.usefixtures("short")
def test_what_is_not_a_bridges_is_refused_whatever_it_asks(services: KeyServices, directory: KeyDirectory) -> None:
    subject = directory.enrol(["dora"])["dora"].id
    people = directory.status().people
    with client(services.asking("bridge")) as bridge:

        def asked(**given: object) -> httpx.Response:
            said = messages.Asked(**{"purposes": (Purpose.ALERTS,), "month": MONTH, **given})  # type: ignore[arg-type]
            return bridge.post(messages.KEYS, content=messages.encoded(said))

        own = asked(frames=[(subject, MONTH)])
        assert own.status_code == 200
        assert own.content == asked(frames=[(subject, MONTH)]).content, "repeated, it changes nothing"
        for purpose in set(Purpose) - KEY_GRANTS["bridge"].purposes:
            answer = asked(purposes=(Purpose.ALERTS, purpose), frames=[(subject, LASTING)])
            assert (answer.status_code, purpose in answer.json()["detail"]) == (403, True)
        assert asked(users=["dora"]).status_code == 403
        assert asked(known={"dora": subject}).status_code == 403
        assert asked(users=["new"], enrol=True).status_code == 403
        assert b"dora" not in asked(frames=[(bytes(16), LASTING)]).content
        for body in (b"", b"{", b"[]", b'{"purposes":["all"],"month":1}', b"\xff" * 100, b"[" * 100_000):
            assert bridge.post(messages.KEYS, content=body).status_code == 400
        many = messages.Asked((Purpose.ALERTS,), 1, frames=[(bytes(16), 1)] * (messages.PEOPLE + 1))
        assert bridge.post(messages.KEYS, content=messages.encoded(many)).status_code == 400
        assert bridge.post(messages.KEYS, content=b" " * (messages.BODY_BYTES + 1)).status_code == 413
        assert bridge.get(messages.KEYS).status_code == 405
        assert bridge.get("/docs").status_code == 404
    with client(services.asking("agents")) as agents:
        years = messages.encoded(messages.Asked((Purpose.SCORES,), 9999, users=["dora"]))
        assert agents.post(messages.KEYS, content=years).status_code == 403, "no months are made years ahead"
    assert directory.status().people == people


def test_who_has_no_certificate_or_one_of_another_authority_or_name_gets_nothing(
    services: KeyServices, tmp_path: Path
) -> None:
    url = f"https://127.0.0.1:{services.port}"
    trusting = ssl.create_default_context(cafile=services.authority.certificate)
    with (
        httpx.Client(base_url=url, verify=trusting, trust_env=False) as nobody,
        pytest.raises(httpx.TransportError),
    ):
        nobody.get(messages.GRANT)
    with httpx.Client(trust_env=False) as plain, pytest.raises(httpx.TransportError):
        plain.get(f"http://127.0.0.1:{services.port}{messages.GRANT}")
    foreign = services.asking("bridge", Authority(tmp_path, "foreign"))
    with pytest.raises(Transient, match="accept the certificate of this process"):
        Keyring.open(foreign)
    with pytest.raises(KeysRefused, match="not in the table of key grants"):
        Keyring.open(services.asking("somebody"))
    without = Settings.load(seal="on", home=tmp_path, key_service_url=url)
    with pytest.raises(ConfigurationError, match="by certificate alone"):
        Keyring.open(without)


def test_whoever_has_the_service_alone_erases_and_rotates_nothing(services: KeyServices) -> None:
    settings = services.asking("dashboard")
    keyring = Keyring.open(settings)
    with pytest.raises(ConfigurationError, match="run it where UNDERTONE_KEY_DIRECTORY_URL"):
        _ = keyring.directory
    with pytest.raises(ConfigurationError, match="run it where UNDERTONE_KEY_DIRECTORY_URL"):
        KeyDirectory.open(settings)
    with pytest.raises(ConfigurationError, match="run it where UNDERTONE_KEY_DIRECTORY_URL"):
        KeyDirectory.init(settings)
    keyring.close()
    assert not (settings.home / "keys.db").exists()


@pytest.mark.usefixtures("short")
async def test_a_service_that_is_away_costs_nothing_but_time(tmp_path: Path) -> None:
    services = KeyServices(tmp_path)
    KeyDirectory.init(services.home)
    anna, ben = await sealed(services.home), await sealed(services.home, "ben")
    async with Sealing.open(services.asking("bridge")) as border:
        alerts = [anna[topics.ALERTS.name], ben[topics.ALERTS.name]]
        (before,) = await border.opened(alerts[:1])
        assert isinstance(before, Transient)
        assert "the key server does not answer" in HEALTH.lacking()["keys"]
        with services.running():
            (known,) = await border.opened(alerts[:1])
            assert isinstance(known, Opened)
            assert "keys" not in HEALTH.lacking()
        known, unknown = await border.opened(alerts)
        assert isinstance(known, Opened), "its keys are in memory"
        assert isinstance(unknown, Transient)
        assert not isinstance(unknown, Unknown)
        with services.running():
            both = await border.opened(alerts)
            assert [each.key for each in both if isinstance(each, Opened)] == [ANNA.encode(), b"ben"]


@pytest.mark.usefixtures("short")
async def test_a_slow_service_is_waited_for(
    services: KeyServices, directory: KeyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = await sealed(services.home, "emil")
    hangs, goes_on = threading.Event(), threading.Event()
    found = KeyDirectory.look_up

    def slow(self: KeyDirectory, lookup: Any) -> Any:
        hangs.set()
        assert goes_on.wait(30)
        return found(self, lookup)

    monkeypatch.setattr(KeyDirectory, "look_up", slow)
    async with Sealing.open(services.asking("bridge")) as border:
        (waiting,) = await border.opened([records[topics.ALERTS.name]])
        assert hangs.is_set()
        assert isinstance(waiting, Transient)
        assert "takes too long" in HEALTH.lacking()["keys"]
        goes_on.set()
        (opened,) = await border.opened([records[topics.ALERTS.name]])
        assert isinstance(opened, Opened)


async def test_where_nothing_is_sealed_there_is_nothing_to_give(tmp_path: Path) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(run_key_service(Settings.load(home=tmp_path, seal="off"), stop))
    await asyncio.sleep(0)
    assert not running.done()
    stop.set()
    await running
    with pytest.raises(ConfigurationError, match="keys init"):
        await run_key_service(KeyServices(tmp_path).served, stop)


def test_on_one_machine_the_file_of_a_socket_says_who_asks(tmp_path: Path) -> None:
    services = KeyServices(tmp_path / "s")
    KeyDirectory.init(services.home)
    folder = tmp_path / "sockets"
    served = services.served.model_copy(update={"key_service_sockets": folder, "key_service_certificate": None})
    for _ in range(2):  # it starts again on what it left
        with services.running(served):
            assert (folder / "bridge.sock").stat().st_mode & 0o777 == 0o600
            url = f"unix:{folder / 'bridge.sock'}"
            settings = Settings.load(seal="on", home=tmp_path / "bridge", key_service_url=url)
            source = service_source.ServiceSource.open(settings)
            assert source.purposes == (Purpose.ALERTS,)
            source.close()
    with pytest.raises(Transient):
        service_source.ServiceSource.open(settings)
