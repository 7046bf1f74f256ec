"""The Python page and its notebook run as their readers run them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from schemas.markers import MARKERS
from tests.pages import block

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "python.md"
NOTEBOOK = ROOT / "docs" / "notebooks" / "first_hour.ipynb"


@pytest.mark.timeout(480)  # TensorFlow compiles three programs, and a busy machine takes its time
def test_the_blocks_of_the_page_run_one_after_another(tmp_path: Path) -> None:
    page = (
        block("docs/python.md", "score"),
        block("docs/python.md", "measure"),
        block("docs/python.md", "embed"),
    )
    script = tmp_path / "page.py"
    script.write_text("\n".join(page))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "audio:missing" in done.stdout


@pytest.mark.timeout(480)
def test_the_notebook_runs_in_a_kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    written = [
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream" and output.name == "stderr"
    ]
    assert written == [], "neither TensorFlow nor a child process writes into the notebook"


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_the_page_lists_every_marker_with_its_unit() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| ([^|`]+) \|$", PAGE.read_text(), re.MULTILINE)
    assert rows == [(marker.name, marker.unit) for marker in MARKERS]
