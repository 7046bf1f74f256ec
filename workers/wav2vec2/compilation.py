"""Compile functions of tensors to programs, on any Keras backend."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from schemas.errors import ConfigurationError
from workers.wav2vec2 import compile_cache, malloc
from workers.wav2vec2.engines.engine import Program
from workers.wav2vec2.engines.progress import reporting_progress

Tensor: TypeAlias = Any
"""A tensor of the current Keras backend."""
Forward: TypeAlias = Callable[..., tuple[Tensor, ...]]
"""Tensors to tensors, with `keras.ops` only."""


def device() -> str:
    """What programs run on: the name of the first accelerator, or the CPU with its cores."""
    cpu = f"CPU, {os.cpu_count()} cores"
    if keras.backend.backend() != "tensorflow":
        return f"{keras.backend.backend()}'s default"
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    return str(tf.config.experimental.get_device_details(found[0]).get("device_name", "GPU")) if found else cpu


def compiled(forward: Forward, variables: Sequence[keras.Variable]) -> Program:
    """`forward` as a program, compiled by XLA once per set of shapes; uncompiled on the PyTorch backend.

    variables: all that `forward` reads; they must not change afterwards.
    """
    match keras.backend.backend():
        case "tensorflow":
            return reporting_progress(_tensorflow(forward))
        case "jax":
            return reporting_progress(_jax(forward, variables))
        case "torch":
            return reporting_progress(_torch(forward))
        case other:
            raise ConfigurationError(f"Keras runs on {other!r}; the encoder needs tensorflow, jax or torch")


def by_xla_on_cpu() -> bool:
    """Whether XLA compiles programs for the CPU."""
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            return not tf.config.list_physical_devices("GPU")
        case "jax":
            import jax

            return bool(jax.default_backend() == "cpu")
    return False


def configure(intra_op_threads: int, *, memory_growth: bool, cache: Path | None = None) -> None:
    """Apply the settings that a backend accepts only before its first computation; later calls change nothing.

    intra_op_threads: for one operation, 0 lets the backend choose; memory_growth: allocate accelerator memory on
    demand, not all at once; cache: a folder for compiled programs across restarts, with no other writer. Raises
    ConfigurationError when it cannot be created.
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
            return  # TensorFlow is already initialised, by a process with its own configuration.
    elif keras.backend.backend() == "torch" and intra_op_threads:
        import torch

        torch.set_num_threads(intra_op_threads)


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

    # The weights are arguments: as constants they would be copied into every program.
    values = [variable.value for variable in variables]
    return lambda *arrays: [np.asarray(output) for output in program(values, *arrays)]


def _torch(forward: Forward) -> Program:
    import torch

    def program(*arrays: NDArray[Any]) -> list[NDArray[np.float32]]:
        with torch.inference_mode():
            return [keras.ops.convert_to_numpy(output) for output in forward(*map(keras.ops.convert_to_tensor, arrays))]

    return program
