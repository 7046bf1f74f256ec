"""Settings in the environment are hidden from a block and from the processes that it starts."""

import os
import stat
from pathlib import Path

import pytest

from schemas.settings import Settings
from streams.local.hidden_settings import secret_files, settings_hidden, with_secrets_in_files

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


PASSWORD, ADDRESS = "UNDERTONE_REDIS_PASSWORD", "REDIS_URL"


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of secrets, as a platform mounts it."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    (folder / PASSWORD.lower()).write_text("hunter2\n")
    (folder / ADDRESS).write_text("rediss://store.example:6380/0")
    (folder / "ca.pem").write_text("of no setting")
    (folder / "..data").mkdir()
    for name in (PASSWORD, ADDRESS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UNDERTONE_SECRETS_DIR", str(folder))
    return folder


def test_a_process_reads_from_files_what_its_parent_has_read_from_files(
    mounted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, parent, files = tmp_path / "of a role", Settings.load(), secret_files()
    with settings_hidden():
        given = with_secrets_in_files(parent.child_environment(), files, folder)
        assert not {PASSWORD, ADDRESS} & given.keys()
        assert "hunter2" not in "".join(given.values())
        for name, text in given.items():
            monkeypatch.setenv(name, text)
        child = Settings.load()
    assert child == parent
    assert child.redis_password is not None
    assert {path.name for path in folder.iterdir()} == {PASSWORD.lower(), ADDRESS.lower()}, "and no other's secret"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())} == {0o700, 0o600}


def test_a_value_that_the_parent_changed_is_the_one_that_counts(mounted: Path, tmp_path: Path) -> None:
    changed = Settings.load().model_copy(update={"redis_url": "unix:///store.sock"})
    given = with_secrets_in_files(changed.child_environment(), secret_files(), tmp_path / "of a role")
    assert given[ADDRESS] == "unix:///store.sock"
    assert [path.name for path in (tmp_path / "of a role").iterdir()] == [PASSWORD.lower()]


def test_secrets_of_an_earlier_start_go(mounted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "of a role"
    folder.mkdir(mode=0o755)
    (folder / "undertone_slack_url").symlink_to(mounted / PASSWORD.lower())
    with_secrets_in_files({PASSWORD: "hunter2"}, secret_files(), folder)
    assert [path.name for path in folder.iterdir()] == [PASSWORD.lower()]


def test_without_a_folder_of_secrets_an_environment_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNDERTONE_SECRETS_DIR", raising=False)
    assert with_secrets_in_files({PASSWORD: "hunter2"}, secret_files(), tmp_path / "of a role") == {PASSWORD: "hunter2"}
