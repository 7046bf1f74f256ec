"""OpenVINO reports nothing to anybody."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("openvino")

WATCHED = """
import json, sys
calls = []
sys.addaudithook(lambda event, _: calls.append(event) if event.startswith(("socket.", "subprocess.")) else None)
import workers.wav2vec2.engines.openvino.engine
print(json.dumps({"calls": calls, "loaded": [name for name in sys.modules if name.startswith("openvino_telemetry.")]}))
"""


def test_loading_it_reports_nothing_and_leaves_no_file_in_the_home_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", WATCHED], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"calls": [], "loaded": []}
    assert not list(tmp_path.iterdir())
