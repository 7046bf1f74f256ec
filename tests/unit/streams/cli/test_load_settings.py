"""Commands and processes of the pipeline tell about variables that look like a setting and are none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.bundle_manifest import MANIFEST
from schemas.errors import ConfigurationError
from streams.cli.load_settings import PROGRAMS, check_scoring, load_settings, with_kept_programs

ROOT = Path(__file__).parents[4]


def test_a_misspelt_variable_is_told_once_and_the_settings_are_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNDERTONE_ALERT_PER_USER_YEAR", "3")
    assert load_settings().alerts_per_user_year == 1.0
    load_settings()
    assert capsys.readouterr().err.splitlines() == [
        "UNDERTONE_ALERT_PER_USER_YEAR is no setting and is ignored; did you mean UNDERTONE_ALERTS_PER_USER_YEAR?"
    ]


def test_a_file_of_secrets_that_no_setting_reads_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "undertone_kafka_pasword").write_text("secret")
    (tmp_path / "undertone_log_key").write_text("key")
    (tmp_path / "..data").mkdir()
    monkeypatch.setenv("UNDERTONE_SECRETS_DIR", str(tmp_path))
    load_settings()
    told = capsys.readouterr().err
    assert "undertone_kafka_pasword is no setting" in told
    assert "UNDERTONE_KAFKA_PASSWORD?" in told
    assert "secret" not in told.replace("docs/settings", "")
    assert len(told.splitlines()) == 1


def test_a_process_of_the_pipeline_logs_it_as_a_line_of_its_own() -> None:
    environment = {
        "UNDERTONE_WEBHOOK_SECRETS": "s",
        "UNDERTONE_LOG_FORMAT": "json",
        "KAFKA_BOOTSTRAP": "127.0.0.1:9",
        "REDIS_URL": "redis://127.0.0.1:9",
        "UNDERTONE_KAFKA_SECURITY": "SSL",
        "UNDERTONE_KAFKA_CA": os.devnull,  # ends the process before it would connect
        "UNDERTONE_WEBHOOK_URL": "http://127.0.0.1:9",
        "UNDERTONE_WEBHOOK_SECRET": "a secret of twenty-four bytes",
    }
    command = [sys.executable, "-m", "streams.cli", "bridge", "webhook"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == ConfigurationError.exit_code, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    (told,) = [line for line in lines if "UNDERTONE_WEBHOOK_SECRETS is no setting" in line["message"]]
    assert (told["level"], told["role"]) == ("WARNING", "bridge-webhook")


@pytest.mark.parametrize(
    ("modalities", "fault"),
    [
        ("acoustic", None),
        ("acoustic,embedding", "names none: it scores acoustic features; unset UNDERTONE_MODALITIES"),
        ("embedding", "scores acoustic features, and only embedding features are asked for"),
    ],
)
def test_modalities_that_contradict_the_bundle_are_refused_before_a_model_is_loaded(
    tmp_path: Path, modalities: str, fault: str | None
) -> None:
    made = {"name": "markers", "version": "1", "weights_hash": "ab" * 32}
    (tmp_path / MANIFEST).write_text(json.dumps({"extractors": {"acoustic": made}, "encoder": None, "files": {}}))
    check_scoring(load_settings(bundle=tmp_path))
    settings = load_settings(bundle=tmp_path, modalities=modalities)
    if fault is None:
        check_scoring(settings)
    else:
        with pytest.raises(ConfigurationError, match=fault):
            check_scoring(settings)


def test_compiled_programs_are_kept_in_the_home_by_one_process_at_a_time(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first, second = (with_kept_programs(load_settings(home=home)) for _ in range(2))
    assert first.program_cache == home / PROGRAMS
    assert second.program_cache is None, "the first still has the folder"
    assert (home / PROGRAMS).stat().st_mode & 0o777 == 0o700
    elsewhere = tmp_path / "elsewhere"
    assert with_kept_programs(load_settings(home=home, program_cache=elsewhere)).program_cache == elsewhere


@pytest.mark.parametrize("name", ["with a space", "file/home"])
def test_a_home_that_cannot_keep_programs_is_no_fault(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert with_kept_programs(load_settings(home=tmp_path / name)).program_cache is None
