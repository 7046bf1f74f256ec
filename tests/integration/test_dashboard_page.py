"""The commands of docs/dashboard.md, against a dashboard with some people."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.dashboards import in_thread, people
from tests.pages import block

SAYS = {
    "people": (block("docs/dashboard.md", "people"), '"dedup_key":"episode north-1"'),
    "person": (block("docs/dashboard.md", "person"), '"usual_gap_days"'),
    "action": (block("docs/dashboard.md", "action"), '"repeated":false'),
    "upload": (block("docs/dashboard.md", "upload"), "location: /api/v1/memos/"),
    "events": (block("docs/dashboard.md", "events"), "event: risk.alerts"),
}
"""Commands, and what their output has."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with in_thread(tmp_path_factory.mktemp("dashboard"), *people("north-1", "south-1")) as found:
        yield found


@pytest.mark.parametrize("name", SAYS)
def test_a_command_does_what_the_page_says(address: str, name: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "memo.wav", np.zeros(8000), 16000)
    text, says = SAYS[name]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=tmp_path,
        env={**os.environ, "DASHBOARD": address},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert says in done.stdout, done.stdout
