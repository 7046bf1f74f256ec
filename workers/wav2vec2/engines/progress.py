"""Tell the health check of a program's runs: a first run with new shapes may take long."""

from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.service.health import HEALTH
from workers.wav2vec2 import malloc
from workers.wav2vec2.engines.engine import Program

COMPILE_WITHIN_S = 300.0
"""Timeout of a program's first run; after it the stage counts as stuck."""


def reporting_progress(program: Program, then: Callable[[], None] = lambda: None) -> Program:
    """The program, reporting each run as progress; a first run with new shapes compiles and may take long.

    then: called after a first run. Thread-safe; first runs are serialised.
    """
    part, known, compiling = HEALTH.part("embedding"), set[tuple[tuple[int, ...], ...]](), Lock()

    def run(*arrays: NDArray[Any]) -> list[NDArray[np.float32]]:
        shapes = tuple(array.shape for array in arrays)
        if shapes not in known:
            with compiling, part.instead("compiling a program", within_s=COMPILE_WITHIN_S):
                malloc.give_back()  # Decoding a long memo leaves hundreds of megabytes free,
                outputs = program(*arrays)
                malloc.give_back()  # and compiling a base encoder 100 MB of small blocks.
                then()
            known.add(shapes)
            return outputs
        outputs = program(*arrays)
        part.progress()
        return outputs

    return run
