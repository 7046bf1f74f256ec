"""`undertone --version`."""

from importlib import metadata

from typer.testing import CliRunner

from streams.cli import app


def test_the_version_is_the_installed_one() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"undertone {metadata.version('undertone')}\n")
