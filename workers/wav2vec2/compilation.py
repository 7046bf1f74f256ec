"""Functions of tensors as compiled programs, on whichever backend Keras runs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from schemas.errors import ConfigurationError
from workers.service.health import HEALTH
from workers.wav2vec2 import compile_cache, malloc

Tensor: TypeAlias = Any
"""A tensor of whichever backend Keras runs on."""
Forward: TypeAlias = Callable[..., tuple[Tensor, ...]]
"""Tensors to tensors, with `keras.ops` only."""
Program: TypeAlias = Callable[..., list[NDArray[np.float32]]]
"""Arrays to arrays."""
COMPILE_WITHIN_S = 300.0
"""For a program's first run; beyond it the stage counts as stuck."""


def compiled(forward: Forward, variables: Sequence[keras.Variable]) -> Program:
    """`forward` as a program, compiled by XLA once for every set of shapes; uncompiled on the PyTorch backend.

    variables: all that `forward` reads; they must not change afterwards.
    """
    match keras.backend.backend():
        case "tensorflow":
            return _told(_tensorflow(forward))
        case "jax":
            return _told(_jax(forward, variables))
        case "torch":
            return _told(_torch(forward))
        case other:
            raise ConfigurationError(f"Keras runs on {other!r}; the encoder needs tensorflow, jax or torch")


def by_xla_on_cpu() -> bool:
    """Whether programs are compiled by XLA for the machine's own cores."""
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            return not tf.config.list_physical_devices("GPU")
        case "jax":
            import jax

            return bool(jax.default_backend() == "cpu")
    return False


def configure(intra_op_threads: int, *, memory_growth: bool, cache: Path | None = None) -> None:
    """Set what can be set only before a backend's first computation; later calls change nothing.

    intra_op_threads: for one operation, 0 lets the backend choose; memory_growth: take an accelerator's memory as it
    is needed, not all at once; cache: a folder that keeps compiled programs between starts, written by nobody else.
    ConfigurationError when it cannot be had.
    """
    if cache is not None:
        compile_cache.keep_in(cache)
    if by_xla_on_cpu():
        malloc.keep()
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        try:
            tf.config.threading.set_intra_op_parallelism_threads(intra_op_threads)
            for device in tf.config.list_physical_devices("GPU"):
                tf.config.experimental.set_memory_growth(device, memory_growth)
        except RuntimeError:
            return  # TensorFlow has begun already, in a process that chose for itself.
    elif keras.backend.backend() == "torch" and intra_op_threads:
        import torch

        torch.set_num_threads(intra_op_threads)


def out_of_memory(error: Exception) -> bool:
    """Whether the error says that the accelerator or the machine has no memory left for a batch."""
    named = type(error).__name__ in {"MemoryError", "ResourceExhaustedError", "OutOfMemoryError"}
    return named or "RESOURCE_EXHAUSTED" in str(error)


def _told(program: Program) -> Program:
    """The program, whose every run is progress; a first run with new shapes compiles and may take long.

    May be run from several threads; first runs go one after the other.
    """
    part, known, compiling = HEALTH.part("embedding"), set[tuple[tuple[int, ...], ...]](), Lock()

    def run(*arrays: NDArray[Any]) -> list[NDArray[np.float32]]:
        shapes = tuple(array.shape for array in arrays)
        if shapes not in known:
            with compiling, part.instead("compiling a program", within_s=COMPILE_WITHIN_S):
                malloc.give_back()  # Decoding a long memo leaves hundreds of megabytes,
                outputs = program(*arrays)
                malloc.give_back()  # and compiling a base encoder 100 MB of small blocks.
            known.add(shapes)
            return outputs
        outputs = program(*arrays)
        part.progress()
        return outputs

    return run


def _tensorflow(forward: Forward) -> Program:
    import tensorflow as tf

    program = tf.function(forward, jit_compile=True, autograph=False)
    return lambda *arrays: [output.numpy() for output in program(*map(tf.constant, arrays))]


def _jax(forward: Forward, variables: Sequence[keras.Variable]) -> Program:
    import jax

    @jax.jit
    def program(values: Sequence[Tensor], *arrays: Tensor) -> tuple[Tensor, ...]:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return forward(*arrays)

    # The weights travel as arguments: as constants they would be copied into every program.
    values = [variable.value for variable in variables]
    return lambda *arrays: [np.asarray(output) for output in program(values, *arrays)]


def _torch(forward: Forward) -> Program:
    import torch

    def program(*arrays: NDArray[Any]) -> list[NDArray[np.float32]]:
        with torch.inference_mode():
            return [keras.ops.convert_to_numpy(output) for output in forward(*map(keras.ops.convert_to_tensor, arrays))]

    return program
