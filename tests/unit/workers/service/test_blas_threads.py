"""Processes of Undertone have one thread for NumPy's products, and their idle threads take no time."""

import os
import subprocess
import sys

import pytest

from workers.service.blas_threads import ONE_THREAD, one_blas_thread

COUNTED = """
from workers.service.blas_threads import one_blas_thread
one_blas_thread()
import numpy, threadpoolctl
print({each["num_threads"] for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"})
"""


def test_numpy_has_one_thread_unless_the_environment_says_otherwise() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ONE_THREAD}
    for given, expected in (({}, "{1}\n"), ({"OPENBLAS_NUM_THREADS": "2"}, "{2}\n")):
        done = subprocess.run(
            [sys.executable, "-c", COUNTED], env=environment | given, capture_output=True, text=True, check=True
        )
        assert done.stdout == expected


def test_a_value_that_is_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    one_blas_thread()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "3"
