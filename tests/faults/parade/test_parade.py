"""Poisons among good memos: no process ends, no neighbour notices, each poison has the outcome that is documented.

This is the short parade, in a process of its own; `make parade` marches the long one.
"""

import json
import os
import subprocess
import sys
import time

import pytest

from deploy.kafka.server import KafkaServer
from tests.faults.parade.march import LISTENERS

LONG = pytest.mark.skipif(
    not os.environ.get("UNDERTONE_LONG_TESTS"), reason="two minutes: UNDERTONE_LONG_TESTS=1 runs it"
)
pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def seed() -> int:
    """Another one for every run, told, and taken from UNDERTONE_CHAOS_SEED to march in the same order again."""
    return int(os.environ.get("UNDERTONE_CHAOS_SEED", time.time_ns() % 100_000))


@pytest.mark.parametrize("options", [(), pytest.param(("--sealed",), marks=LONG)])
def test_nothing_that_comes_in_stops_anybody(kafka: KafkaServer, seed: int, options: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "tests.faults.parade", "short", "--seed", str(seed), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["poisons"] > 200
    assert found["posted"] == LISTENERS
    assert not any(found[fault] for fault in ("exits", "wrong", "undocumented", "uninvited", "swollen", "stuck"))
