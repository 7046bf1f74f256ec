"""The heap keeps what was given back, so that a large block comes without page faults the second time."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from workers.wav2vec2 import malloc

if sys.argv[1] == "kept" and not malloc.keep():
    raise SystemExit("not glibc")

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for _ in range(3):
    before = faults()
    block = np.ones(16 << 20, np.float32)
    after = faults()
    del block
print(after - before)
"""
GIVEN_BACK = """
from pathlib import Path
import numpy as np
from workers.wav2vec2 import malloc

if not malloc.keep():
    raise SystemExit("not glibc")

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

freed, stays = np.ones(16 << 20, np.float32), np.ones(1 << 20, np.float32)
del freed
before = resident()
malloc.give_back()
print(before, resident())
"""
FEWEST = 32
"""Faults that 64 MB cost at the least, where they come as pages of 2 MB."""


def faults_of_the_third(how: str) -> int:
    """Page faults that a block of 64 MB costs, of which two were given back before."""
    done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=False)
    if "not glibc" in done.stderr:
        pytest.skip("the C library is not glibc: it has no such heap")
    return int(done.stdout)


def test_a_block_that_was_given_back_is_not_faulted_in_again() -> None:
    assert faults_of_the_third("kept") < FEWEST / 4


def test_what_lies_free_can_be_given_back() -> None:
    """64 MB freed below a block that stays are resident until then."""
    done = subprocess.run([sys.executable, "-c", GIVEN_BACK], capture_output=True, text=True, check=False)
    if "not glibc" in done.stderr:
        pytest.skip("the C library is not glibc: it has no such heap")
    before, after = map(int, done.stdout.split())
    assert before - after > 48 << 20


def test_without_it_every_block_is_fresh() -> None:
    assert faults_of_the_third("as it comes") >= FEWEST
