"""Compiled programs outlive their process: each start here is a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from schemas.errors import ConfigurationError
from workers.wav2vec2 import compile_cache

START = """
import sys
from pathlib import Path
import numpy as np
from keras import ops
from workers.wav2vec2 import compilation
compilation.configure(1, memory_growth=True, cache=Path(sys.argv[1]))
program = compilation.compiled(lambda x: (ops.sin(x) + ops.sum(x),), [])
np.testing.assert_allclose(program(np.ones(3, np.float32))[0], np.sin(1.0) + 3, rtol=1e-6)
"""


def start(cache: Path) -> dict[Path, int]:
    """Run a program in a new process; which files its cache holds, and when each was written."""
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, "-c", START, str(cache)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {file: file.stat().st_mtime_ns for file in cache.rglob("*") if file.is_file()}


def test_a_second_start_finds_what_the_first_compiled_and_makes_anew_what_a_kill_cut_short(tmp_path: Path) -> None:
    first = start(tmp_path)
    second = start(tmp_path)

    assert len(first) == 1
    assert second == first

    (entry,) = first
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-100])
    start(tmp_path)
    assert len(entry.read_bytes()) == len(whole)


def test_of_the_entries_only_the_damaged_are_dropped(tmp_path: Path) -> None:
    message = StringValue(value="a program").SerializeToString()
    for name, content in {"whole": message, "short": message[:-1], "empty": b""}.items():
        (tmp_path / f"{name}.pb").write_bytes(content)

    compile_cache._drop_damaged(tmp_path)

    assert [file.name for file in tmp_path.iterdir()] == ["whole.pb"]


def test_a_folder_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match="UNDERTONE_PROGRAM_CACHE"):
        compile_cache.keep_in(tmp_path / "file")
    with pytest.raises(ConfigurationError, match="spaces"):
        compile_cache.keep_in(tmp_path / "a folder")
