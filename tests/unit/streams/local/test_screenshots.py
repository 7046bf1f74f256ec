"""Screenshots by a browser that may be missing, may hang, and may fail."""

import sys
import time
from pathlib import Path

import pytest

from streams.local import screenshots
from streams.local.screenshots import browser, save_screenshot

WRITES = """#!{python}
import pathlib, sys, time
flags = dict(each.split("=", 1) for each in sys.argv[1:] if "=" in each)
if "--virtual-time-budget" in flags:
    time.sleep(600)
pathlib.Path(flags["--screenshot"]).write_bytes(sys.argv[-1].encode())
"""


def program(folder: Path, text: str) -> str:
    """A program in a folder that stands for a browser."""
    path = folder / "chromium"
    path.write_text(text.format(python=sys.executable))
    path.chmod(0o755)
    return str(path)


def test_a_machine_without_a_browser_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert browser() is None
    found = program(tmp_path, WRITES)
    assert browser() == found


async def test_a_page_that_keeps_the_clock_from_ending_is_shown_as_it_has_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(screenshots, "WITHIN_S", 2.0)
    began = time.monotonic()
    assert await save_screenshot(program(tmp_path, WRITES), "http://127.0.0.1:1/", tmp_path / "page.png")
    assert (tmp_path / "page.png").read_text() == "http://127.0.0.1:1/"
    assert time.monotonic() - began < 60


async def test_a_browser_that_fails_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "page.png"
    path.write_text("of an earlier run")
    assert not await save_screenshot(program(tmp_path, "#!/bin/sh\nexit 1\n"), "http://127.0.0.1:1/", path)
    assert not path.exists()
