"""The command as its users start it: how it ends, and what it then says."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from schemas.errors import EXIT_CODES, ExitCode
from schemas.version import version
from streams.cli import application
from streams.cli.application import app
from tests.commands import commands, paths

ROOT = Path(__file__).parent.parent.parent.parent.parent


def run(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "streams.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **options)


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_the_installed_one(option: str) -> None:
    result = CliRunner().invoke(app, [option])
    assert (result.exit_code, result.stdout) == (0, f"undertone {version()}\n")


@pytest.mark.parametrize("path", [*paths(typer.main.get_command(app))], ids=" ".join)
def test_every_command_helps_with_either_option(path: tuple[str, ...]) -> None:
    short, long = (CliRunner().invoke(app, [*path, option]) for option in ("-h", "--help"))
    assert short.exit_code == long.exit_code == 0
    assert short.stdout == long.stdout != ""


def test_help_in_a_pipe_is_plain_text_with_the_exit_codes() -> None:
    done = run("--help")
    assert done.returncode == ExitCode.OK
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not set(done.stdout) & set("\x1b│╭╰─")
    text = " ".join(done.stdout.split())
    assert all(f"{code} {row.summary}" in text for code, row in EXIT_CODES.items())


def test_help_in_a_pipe_lists_commands_whole_and_leaves_later_help_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    boxed = CliRunner().invoke(app, ["topics", "--help"]).stdout
    for path, group in commands(typer.main.get_command(app)):
        if isinstance(group, TyperGroup):
            monkeypatch.setattr(sys, "argv", ["undertone", *path, "--help"])
            with pytest.raises(SystemExit):
                application.run()
            shown = " ".join(capsys.readouterr().out.split())
            assert all(each.get_short_help_str(sys.maxsize) in shown for each in group.commands.values())
    assert CliRunner().invoke(app, ["topics", "--help"]).stdout == boxed


def test_a_wrong_invocation_is_one_sentence_that_says_where_help_is() -> None:
    done = run("alerts", "mute", "user-1", "--for", "3y")
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("undertone: ")
    assert "'--for'" in line
    assert line.endswith("see `undertone alerts mute --help`")


def test_a_group_without_a_command_shows_its_commands_and_fails() -> None:
    done = run("topics")
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert "describe" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("undertone: ")
