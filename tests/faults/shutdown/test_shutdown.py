"""A process that is told to end, or cannot go on, is gone within its deadline: never a zombie that looks alive.

These are a few ends, in a process of its own; `make shutdown` ends two hundred in every way.
"""

import os
import subprocess
import sys
import time

import pytest

from deploy.kafka.server import KafkaServer

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("strike", ["killed, then ordered", "refused by"])
def test_a_process_is_gone_within_its_deadline(kafka: KafkaServer, strike: str) -> None:
    seed = os.environ.get("UNDERTONE_CHAOS_SEED", str(time.time_ns() % 100_000))
    command = [sys.executable, "-m", "tests.faults.shutdown", "--times", "1", "--seed", seed, "--only", strike]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:]
    assert done.stdout.endswith("4 of 4 processes were gone in time, 4 with an exit code of their reason\n")
