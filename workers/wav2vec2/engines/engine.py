"""The contract of an engine: from a checkpoint to programs that embed rows of signals.

Every engine passes `tests/unit/workers/wav2vec2/engines/test_engine.py`. Imports no runtime.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ConfigurationError
from workers.wav2vec2.checkpoint import Checkpoint

EngineName = Literal["xla", "openvino", "onnx"]
Precision = Literal["float32", "bfloat16", "int8"]

Program: TypeAlias = Callable[..., list[NDArray[np.float32]]]
"""Takes rows (n, samples) float32 with lengths (n,) int32, returns the outputs of a Readout."""


class Readout(Enum):
    """What a program returns besides the mean over the valid frames of each row, (n, width) float32."""

    MEANS = "means"
    """Nothing."""
    FRAMES = "frames"
    """The hidden state of every frame: (n, frames, width)."""
    LOGITS = "logits"
    """The CTC head's logits of every frame: (n, frames, vocabulary)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How an engine wants its rows.

    ratio: of one row length to the next shorter one; batched: whether several rows at once are quicker than one by one;
    at_once: batches that are computed side by side.
    """

    ratio: float
    batched: bool
    at_once: int


class Engine(Protocol):
    """A checkpoint, loaded by one runtime."""

    @property
    def name(self) -> EngineName:
        """Its name in the setting UNDERTONE_ENGINE."""

    @property
    def plan(self) -> Plan:
        """How it wants its rows."""

    @property
    def device(self) -> str:
        """What it computes on: the name of an accelerator, or the CPU."""

    def program(self, readout: Readout) -> Program:
        """A thread-safe program; every row's valid outputs are the same at any padding and in any batch."""


def load_engine(name: EngineName, checkpoint: Checkpoint, precision: str, threads: int) -> Engine:
    """The engine of that name with a checkpoint. threads: for one operation, 0 for all cores.

    Raises ConfigurationError when its runtime is not installed or lacks the precision.
    """
    try:
        match name:
            case "xla":
                from workers.wav2vec2.engines.keras_engine import KerasEngine

                return KerasEngine(checkpoint, precision)
            case "openvino":
                from workers.wav2vec2.engines.openvino.engine import OpenvinoEngine

                return OpenvinoEngine(checkpoint, precision, threads)
            case "onnx":
                from workers.wav2vec2.engines.onnx_engine import OnnxEngine

                return OnnxEngine(checkpoint, precision, threads)
    except ModuleNotFoundError as error:
        raise not_installed(name, error.name) from error


def not_installed(name: EngineName, module: str | None) -> ConfigurationError:
    """What to say where an engine was named whose runtime lacks a module."""
    return ConfigurationError(
        f"UNDERTONE_ENGINE={name} needs {module}, which is not installed: "
        f"{'install TensorFlow' if name == 'xla' else f'install the extra {name}'}, or choose another engine"
    )


def out_of_memory(error: Exception) -> bool:
    """Whether the error means that the accelerator or the machine is out of memory for a batch."""
    named = type(error).__name__ in {"MemoryError", "ResourceExhaustedError", "OutOfMemoryError"}
    told = ("RESOURCE_EXHAUSTED", "bad_alloc", "Could not allocate memory")
    return named or any(text in str(error) for text in told)
