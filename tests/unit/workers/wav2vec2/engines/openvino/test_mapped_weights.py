"""Mapped weights are the same weights, in no file that anybody can name, and cost no memory once they are released."""

import mmap
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.events import FloatArray
from workers.wav2vec2.engines.openvino.mapped_weights import LARGE_BYTES, MappedWeights

linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
RNG = np.random.default_rng(0)
WEIGHTS: dict[str, FloatArray] = {
    "large": RNG.standard_normal((4000, 1000), np.float32),
    "odd": RNG.standard_normal((LARGE_BYTES // 4 + 1,), np.float32),
    "half": RNG.standard_normal((300, 200)).astype(np.float16),
    "small": RNG.standard_normal((10,), np.float32),
}


def resident(values: FloatArray) -> int:
    """Kilobytes of the mapping of an array that are in memory."""
    begin = values.__array_interface__["data"][0]
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if found := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(found[1], 16) <= begin < int(found[2], 16)
        elif inside and line.startswith("Rss:"):
            return int(line.split()[1])
    raise AssertionError("the array is nowhere")


def test_they_are_the_same_before_and_after_their_release() -> None:
    mapped = MappedWeights(WEIGHTS)
    assert list(mapped) == list(WEIGHTS)
    assert len(mapped) == len(WEIGHTS)
    for _ in range(2):
        for name, values in WEIGHTS.items():
            np.testing.assert_array_equal(mapped[name], values.astype(np.float32))
            assert mapped[name].dtype == np.float32
        mapped.release()
    with pytest.raises(KeyError):
        mapped["no such name"]


@linux
def test_large_ones_can_be_shared_with_a_runtime_and_leave_memory() -> None:
    mapped = MappedWeights(WEIGHTS)
    large = mapped["large"]
    assert mapped["large"] is large
    assert large.flags.writeable
    assert large.__array_interface__["data"][0] % mmap.PAGESIZE == 0
    large.sum()
    assert resident(large) >= large.nbytes // 1024
    mapped.release()
    assert resident(large) < large.nbytes // 1024 // 10


@linux
def test_nobody_can_name_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mapped = MappedWeights(WEIGHTS)
    mapped["large"].sum()
    assert not list(tmp_path.iterdir())
    assert f"{tmp_path}{os.sep}" in Path("/proc/self/maps").read_text(), "it is there"


def test_where_no_file_can_be_written_they_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    mapped = MappedWeights(WEIGHTS)
    np.testing.assert_array_equal(mapped["large"], WEIGHTS["large"])
    mapped.release()
