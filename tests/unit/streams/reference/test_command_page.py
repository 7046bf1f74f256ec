"""`docs/cli.md` is made from the commands."""

from pathlib import Path

import pytest

from schemas.errors import EXIT_CODES
from streams.reference.command_page import command_page, main
from streams.reference.output import OUTPUTS


def test_a_page_that_is_out_of_date_is_found_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "cli.md"
    assert main(["--check"], page) == 1
    assert "cli.md is out of date: run `make schemas`" in capsys.readouterr().err
    assert main([], page) == 0
    assert main(["--check"], page) == 0


def test_it_holds_every_command_option_exit_code_and_output() -> None:
    page = command_page()
    assert all(f"\n## {name}\n" in page for name in ("demo", "alerts mute", "topics describe", *OUTPUTS))
    assert all(f"| {code} | " in page for code in EXIT_CODES)
    assert "| `--for <timedelta>` | Duration: 12h, 3d, 2w. |" in page
    assert page.count("```json\n") == len(OUTPUTS)
