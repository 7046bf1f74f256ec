"""Settings in the environment are hidden from a block and from the processes that it starts."""

import os

import pytest

from schemas.settings import Settings
from streams.local.hidden_settings import settings_hidden

GIVEN = {
    "KAFKA_BOOTSTRAP": "kafka.example:9092",
    "redis_url": "redis://store.example",
    "SCHEMA_REGISTRY_URL": "https://registry.example",
    "UNDERTONE_AUDIO_PREFIXES": "s3://memos/",
    "UNDERTONE_SLACK_URL": "https://chat.example/hook",
    "UNDERTONE_SECRETS_DIR": "/run/secrets",
    "UNDERTONE_LEVEL_OF": "not a number",
}


def test_no_setting_is_left_in_the_block_and_all_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in GIVEN.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("UNDERTONE_WINDOW_S", "7")
    with settings_hidden(["UNDERTONE_WINDOW_S"]) as hidden:
        assert set(hidden) >= GIVEN.keys()
        assert not GIVEN.keys() & os.environ.keys()
        settings = Settings.load()
    assert {name: os.environ[name] for name in GIVEN} == GIVEN
    assert settings.window_s == 7
    assert (settings.kafka_bootstrap, settings.redis_url, settings.slack_url) == (None, None, None)
    assert settings.audio_prefixes == ()


def test_what_is_no_setting_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER", "less")
    with settings_hidden() as hidden:
        assert os.environ["PAGER"] == "less"
    assert "PAGER" not in hidden


def test_they_come_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "kafka.example:9092")
    with pytest.raises(RuntimeError), settings_hidden():
        raise RuntimeError
    assert os.environ["KAFKA_BOOTSTRAP"] == "kafka.example:9092"
