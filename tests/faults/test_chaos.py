"""Memos under fire: every accepted one ends as exactly one score or one dead letter, whatever dies on the way.

These are the short scenarios, each in a process of its own; `make chaos` tells the long ones.
"""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from deploy.kafka.server import KafkaServer

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(900)]

PATIENCE_S = 840.0
"""Of a scenario: less than the test has, so that one that hangs is told with where it hangs."""


@pytest.fixture
def seed() -> int:
    """Another one for every run, told, and taken from UNDERTONE_CHAOS_SEED to tell a scenario again."""
    return int(os.environ.get("UNDERTONE_CHAOS_SEED", time.time_ns() % 100_000))


def verdict_of(scenario: str, seed: int) -> dict[str, Any]:
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.faults", scenario, "--seed", str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            said, _ = process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            said, _ = process.communicate()
    assert process.returncode == 0, said[-20_000:]
    verdict = json.loads(said.splitlines()[-1])
    assert isinstance(verdict, dict)
    return verdict


def test_every_memo_has_one_end_whatever_dies(kafka: KafkaServer, seed: int) -> None:
    verdict = verdict_of("short", seed)
    assert (verdict["accepted"], verdict["scored"], verdict["dead"]) == (360, 354, 6)
    assert verdict["alerts"] > 0


def test_redis_that_forgets_everything_loses_no_memo(kafka: KafkaServer, seed: int) -> None:
    verdict = verdict_of("empty", seed)
    assert verdict["accepted"] == verdict["scored"] == 270
