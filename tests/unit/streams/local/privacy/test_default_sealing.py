"""Whether a system of one machine is sealed where nobody has said so, and whether commands follow it."""

from pathlib import Path

import pytest

from schemas.settings import Settings
from streams.local.discover import Running, announce, connected, lock
from streams.local.privacy.default_sealing import SHARED, open_keys, sealed_as_home, sealed_unless_shared
from streams.local.system import System
from tests.keys import sealing
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.sealing import Sealing

OWN = {
    "kafka_bootstrap": "kafka:9092",
    "redis_url": "redis://store/0",
    "database_url": "postgresql://history",
    "key_directory_url": "postgresql://keys",
    "key_service_url": "https://keys:8471",
}


@pytest.fixture(autouse=True)
def _nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UNDERTONE_SEAL", "KAFKA_BOOTSTRAP", "REDIS_URL", "UNDERTONE_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


def at(home: Path, **given: str) -> Settings:
    return Settings.load(home=home, **given)


def test_a_system_seals_unless_somebody_decides_or_others_read_its_servers(tmp_path: Path) -> None:
    assert sealed_unless_shared(at(tmp_path)).seal == "on"
    assert sealed_unless_shared(at(tmp_path, seal="off")).seal == "off"
    assert set(OWN) == set(SHARED)
    for name, address in OWN.items():
        assert sealed_unless_shared(at(tmp_path, **{name: address})).seal == "off", name
        assert sealed_unless_shared(at(tmp_path, **{name: address}, seal="on")).seal == "on", name


@pytest.mark.parametrize("said", [None, "off"])
def test_every_role_is_told_what_the_system_does(tmp_path: Path, said: str | None) -> None:
    system = System(at(tmp_path, **({} if said is None else {"seal": said})))
    system.settings = system._given.model_copy(update={"kafka_bootstrap": "127.0.0.1:1", "redis_url": "unix:///s"})
    assert system.dashboard is not None
    told = {environment["UNDERTONE_SEAL"] for environment in system._environments().values()}
    system.dashboard.close()
    assert told == {said or "on"}


def test_a_command_follows_the_keys_of_its_home_and_makes_none(tmp_path: Path) -> None:
    assert sealed_as_home(at(tmp_path)).seal == "off"
    assert list(tmp_path.iterdir()) == []
    KeyDirectory.init(sealing(tmp_path))
    assert sealed_as_home(at(tmp_path)).seal == "on"
    assert sealed_as_home(at(tmp_path, seal="off")).seal == "off"
    assert sealed_as_home(at(tmp_path, database_url="postgresql://history")).seal == "off"


@pytest.mark.parametrize("seal", ["on", "off"])
def test_a_command_seals_as_the_system_that_runs(tmp_path: Path, seal: str) -> None:
    """Also one that has its addresses from the line that `up` prints, and one beside a system that was told otherwise
    than its home has keys for."""
    KeyDirectory.init(sealing(tmp_path))
    with lock(tmp_path):
        announce(tmp_path, Running("127.0.0.1:9092", "unix:///store", embedded=True, seal=seal))
        assert sealed_as_home(at(tmp_path)).seal == seal
        assert connected(at(tmp_path)).seal == seal
        assert connected(at(tmp_path, kafka_bootstrap="127.0.0.1:9092", redis_url="unix:///store")).seal == seal
        assert connected(at(tmp_path, kafka_bootstrap="kafka:9092", redis_url="redis://store")).seal == "off"
        other = "off" if seal == "on" else "on"
        assert connected(at(tmp_path, seal=other)).seal == other


@pytest.mark.parametrize("seal", ["on", "off"])
async def test_keys_are_made_at_the_start_however_long_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seal: str
) -> None:
    monkeypatch.setattr("workers.privacy.key_requests._Process.is_command", False)
    monkeypatch.setattr("workers.privacy.key_requests.ANSWER_WITHIN_S", 0.0)
    async with Sealing.open(at(tmp_path, seal=seal)) as border:
        await open_keys(border)
    assert (tmp_path / "keys.db").exists() == (seal == "on")


def test_a_home_of_another_user_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "exists", refused)
    assert sealed_as_home(at(tmp_path)).seal == "off"
