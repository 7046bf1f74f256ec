import os
from pathlib import Path

import pytest

from schemas.events import Modality
from schemas.setting_types import Role
from schemas.settings import Settings


def test_a_child_loads_the_very_settings_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    parent = Settings.load(
        kafka_bootstrap="localhost:1", audio_prefixes=("file:///a", "s3://b"), alerts_per_user_year=0.2,
        modalities=(Modality.ACOUSTIC,), supervised=True, log_level="ERROR",
    ).model_copy(update={"redis_url": "redis://localhost:2/0"})  # fmt: skip
    for name, value in parent.child_environment().items():
        monkeypatch.setenv(name, value)
    assert Settings.load() == parent


def test_the_rest_of_the_environment_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMETHING_ELSE", "kept")
    assert Settings.load().child_environment() == {**os.environ}


SECRETS = {
    "UNDERTONE_WEBHOOK_SECRET": "of the webhook",
    "UNDERTONE_REDIS_PASSWORD": "of Redis",
    "UNDERTONE_KAFKA_PASSWORD": "of Kafka",
    "undertone_slack_url": "http://slack.example/secret",
    "REDIS_URL": "redis://:secret@store:6379/0",
}


@pytest.mark.parametrize("from_files", [False, True])
@pytest.mark.parametrize(
    ("role", "read"),
    [
        (Role.WORKER, {"of Kafka"}),
        (Role.AGENTS, {"of Kafka", "of Redis", "redis://:secret@store:6379/0"}),
        (Role.BRIDGE, {"of Kafka", "of the webhook", "http://slack.example/secret", "redis://:secret@store:6379/0"}),
    ],
)
def test_a_role_gets_the_secrets_that_it_reads_and_no_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, role: Role, read: set[str], from_files: bool
) -> None:
    for name, value in SECRETS.items():
        if from_files:
            (tmp_path / name).write_text(value)
        else:
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("UNDERTONE_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("SOMETHING_ELSE", "kept")
    given = Settings.load().child_environment(role)
    assert {value for value in given.values() if value in SECRETS.values()} == read
    assert "UNDERTONE_SECRETS_DIR" not in given
    assert given["SOMETHING_ELSE"] == "kept"
