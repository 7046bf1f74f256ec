"""Finding the embedded system by its home."""

from pathlib import Path

import pytest

from schemas.errors import ConfigurationError, Stop
from schemas.settings import Settings
from streams.local.discover import Running, announce, connected, lock, running, without_credentials

FOUND = Running("127.0.0.1:9092", "redis://127.0.0.1:6379/0", embedded=True)


def at(home: Path, **given: str | None) -> Settings:
    return Settings.load(**{"home": home, "kafka_bootstrap": None, "redis_url": None, **given})


def note(home: Path) -> None:
    """As a running system leaves it."""
    announce(home, FOUND)


def test_a_home_is_one_process_s_and_free_again_after(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    with lock(home), pytest.raises(Stop, match="UNDERTONE_HOME"):
        lock(home)
    with lock(home):
        pass


def test_a_system_is_found_while_it_runs(tmp_path: Path) -> None:
    assert running(at(tmp_path)) is None
    with lock(tmp_path):
        assert running(at(tmp_path)) is None, "it has not said yet where it is"
        note(tmp_path)
        assert running(at(tmp_path)) == FOUND
    assert running(at(tmp_path)) is None, "it was killed and left its note"


def test_looking_for_a_system_keeps_nobody_from_starting_one(tmp_path: Path) -> None:
    note(tmp_path)
    assert running(at(tmp_path)) is None
    with lock(tmp_path):
        pass


def test_the_note_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    with lock(tmp_path):
        (tmp_path / "up.json").write_text(
            '{"bootstrap": "127.0.0.1:9092", "redis_url": "redis://127.0.0.1:6379/0", "embedded": true}'
        )
        assert running(at(tmp_path)) == FOUND


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("rediss://user:hunter2@store:6379/1", "rediss://store:6379/1"),
        ("redis://store/0?username=u&password=hunter2&socket_timeout=3", "redis://store/0?socket_timeout=3"),
        ("unix://user:hunter2@/run/redis.sock?db=0", "unix:///run/redis.sock?db=0"),
    ],
)
def test_no_password_is_in_the_note_and_commands_say_which_they_need(tmp_path: Path, given: str, told: str) -> None:
    with lock(tmp_path):
        written = announce(tmp_path, Running("kafka:9092", given, embedded=False)).read_text()
        assert "hunter2" not in written
        with pytest.raises(ConfigurationError, match="UNDERTONE_REDIS_PASSWORD"):
            connected(at(tmp_path))
        assert connected(at(tmp_path, redis_password="hunter2")).redis_url == told
        assert connected(at(tmp_path), redis=False).kafka_bootstrap == "kafka:9092"
        own = connected(at(tmp_path, redis_url="redis://:other@store/0"))
        assert own.redis_url == "redis://:other@store/0"


def test_settings_name_what_is_given_and_else_what_runs(tmp_path: Path) -> None:
    both = at(tmp_path, kafka_bootstrap="kafka:9092", redis_url="redis://store/0")
    assert connected(both) is both
    with lock(tmp_path):
        note(tmp_path)
        found = connected(at(tmp_path))
        assert (found.kafka_bootstrap, found.redis_url) == (FOUND.bootstrap, FOUND.redis_url)
        mixed = connected(at(tmp_path, kafka_bootstrap="kafka:9092"))
        assert (mixed.kafka_bootstrap, mixed.redis_url) == ("kafka:9092", FOUND.redis_url)


@pytest.mark.parametrize(
    ("given", "lacking"),
    [
        ({}, "KAFKA_BOOTSTRAP and REDIS_URL are not set"),
        ({"kafka_bootstrap": "kafka:9092"}, "REDIS_URL is not set"),
        ({"redis_url": "redis://store/0"}, "KAFKA_BOOTSTRAP is not set"),
    ],
)
def test_the_message_says_what_to_set_or_start(tmp_path: Path, given: dict[str, str], lacking: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{lacking}, .*undertone up"):
        connected(at(tmp_path, **given))


def test_what_is_not_needed_need_not_be_set(tmp_path: Path) -> None:
    kafka, redis = at(tmp_path, kafka_bootstrap="kafka:9092"), at(tmp_path, redis_url="redis://store/0")
    assert connected(kafka, redis=False) is kafka
    assert connected(redis, kafka=False) is redis
    with pytest.raises(ConfigurationError, match="REDIS_URL is not set"):
        connected(kafka)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("rediss://:secret@store:6379/1", "rediss://***@store:6379/1"),
        ("redis://user:se@cret@store", "redis://***@store"),
        ("redis://store/0?username=u&password=secret", "redis://store/0"),
        ("unix:///home/me/store/valkey.sock?db=0", "unix:///home/me/store/valkey.sock"),
        ("unix://user:secret@/run/redis.sock", "unix://***@/run/redis.sock"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_credentials(url) == shown
