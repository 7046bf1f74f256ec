"""`undertone transcribe`: words on the terminal of whoever asks, and nowhere else."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from schemas.errors import ConfigurationError, ExitCode
from streams.cli.application import app
from tests.audio_files import sndfile, spoken
from tests.json_output import validated
from tests.unit.workers.text.vocabularies import checkpoint_folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint_folder(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def memo(tmp_path: Path) -> Path:
    path = tmp_path / "memo.wav"
    path.write_bytes(sndfile(spoken()))
    return path


def transcribe(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["transcribe", *map(str, arguments)])


def test_words_are_printed_with_their_times_and_left_nowhere(
    memo: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("UNDERTONE_HOME", str(home))
    caplog.set_level("DEBUG")
    done = transcribe(memo, "--encoder", encoder, "--json")
    assert done.exit_code == ExitCode.OK
    (line,) = validated("transcribe", done.stdout)
    words = {each["text"] for each in line["words"] if len(each["text"]) > 6}
    assert len(words) > 2
    assert all(each["begin_s"] < each["end_s"] for each in line["words"])
    assert done.stderr == ""

    shown = transcribe(memo, "--encoder", encoder)
    assert shown.exit_code == ExitCode.OK
    assert all(word in shown.stdout.replace("\n", "") for word in words if len(word) < 30)

    written = [path for path in tmp_path.rglob("*") if path.is_file() and path != memo]
    assert all(word.encode() not in path.read_bytes() for path in written for word in words)
    assert all(word not in caplog.text for word in words)


def test_the_setting_refuses_the_command(memo: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_TRANSCRIBE", "off")
    done = transcribe(memo, "--encoder", encoder)
    assert isinstance(done.exception, ConfigurationError)
    assert done.exception.exit_code == ExitCode.CONFIG
    assert "UNDERTONE_TRANSCRIBE" in str(done.exception)
    assert done.stdout == ""


def test_the_shipped_encoder_has_no_head(memo: Path) -> None:
    done = transcribe(memo)
    assert isinstance(done.exception, ConfigurationError)
    assert "no CTC head" in str(done.exception)


def test_a_file_that_is_no_audio_fails(encoder: Path, tmp_path: Path) -> None:
    path = tmp_path / "memo.wav"
    path.write_bytes(b"RIFF")
    done = transcribe(path, "--encoder", encoder)
    assert done.exit_code == ExitCode.FAILED
    assert "audio:" in done.stderr
    assert done.stdout == ""
