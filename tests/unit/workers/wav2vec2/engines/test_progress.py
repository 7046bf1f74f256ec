"""The health check learns of every run, and a known shape never waits for a new one."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from workers.wav2vec2.engines.progress import reporting_progress


def test_first_runs_come_one_after_the_other_and_a_known_shape_does_not_wait_for_them() -> None:
    entered: list[int] = []
    compiling, go_on = threading.Event(), threading.Event()

    def run(x: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        entered.append(len(x))
        if len(x) == 2:
            compiling.set()
            assert go_on.wait(30)
        return [x + 1]

    program = reporting_progress(run)
    program(np.zeros(1, np.float32))
    with ThreadPoolExecutor(3) as threads:
        slow = threads.submit(program, np.zeros(2, np.float32))
        assert compiling.wait(30)
        try:
            other = threads.submit(program, np.zeros(3, np.float32))
            assert threads.submit(program, np.zeros(1, np.float32)).result(30)[0].tolist() == [1]
            with pytest.raises(TimeoutError):
                other.result(0.2)
            assert entered == [1, 2, 1]
        finally:
            go_on.set()
        assert slow.result(30)[0].tolist() == [1, 1]
        assert other.result(30)[0].tolist() == [1, 1, 1]
