"""The encoder on a backend of Keras: XLA by TensorFlow, the engine of accelerators, or JAX or PyTorch."""

from collections.abc import Callable
from typing import TypeAlias

from keras import ops

from schemas.errors import ConfigurationError
from workers.wav2vec2 import compilation
from workers.wav2vec2.batching import RATIO
from workers.wav2vec2.checkpoint import Checkpoint
from workers.wav2vec2.encoder import Encoder
from workers.wav2vec2.engines.engine import EngineName, Plan, Program, Readout
from workers.wav2vec2.layers import Tensor

PRECISIONS = frozenset({"float32", "bfloat16"})
BATCHES_AT_ONCE = 2
"""On a CPU: while one batch is in a single-threaded part, the other uses the remaining cores."""

Forward: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""From signals and lengths: the windows' means first, then any other output per frame."""


class KerasEngine:
    """A checkpoint as Keras layers. Raises ConfigurationError for a precision that is none of PRECISIONS."""

    name: EngineName = "xla"

    def __init__(self, checkpoint: Checkpoint, precision: str) -> None:
        if precision not in PRECISIONS:
            raise ConfigurationError(f"UNDERTONE_PRECISION={precision} is none of UNDERTONE_ENGINE=xla")
        on_cpu = compilation.by_xla_on_cpu()
        self.plan = Plan(ratio=RATIO, batched=True, at_once=BATCHES_AT_ONCE if on_cpu else 1)
        self.device = compilation.device()
        self._encoder = Encoder(checkpoint.config, head=checkpoint.has_head, dtype=precision, in_parts=on_cpu)
        self._encoder.assign(checkpoint.weights)

    def program(self, readout: Readout) -> Program:
        """As in Engine; compiled once per shape."""
        forward: dict[Readout, Forward] = {
            Readout.MEANS: self._means,
            Readout.FRAMES: self._hidden_states,
            Readout.LOGITS: self._logits,
        }
        return compilation.compiled(forward[readout], self._encoder.variables)

    def _means(self, signals: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        hidden, valid = self._encoder(signals, lengths)
        return (_mean_over(hidden, valid),)

    def _hidden_states(self, signals: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        hidden, valid = self._encoder(signals, lengths)
        return _mean_over(hidden, valid), ops.cast(hidden, "float32")

    def _logits(self, signals: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        hidden, valid = self._encoder(signals, lengths)
        return _mean_over(hidden, valid), ops.cast(self._encoder.logits(hidden), "float32")


def _mean_over(hidden: Tensor, valid: Tensor) -> Tensor:
    """(n, d) float32: mean over the valid frames of each row."""
    total = ops.sum(ops.cast(hidden, "float32") * valid, axis=1)
    return total / ops.maximum(ops.sum(valid, axis=1), 1.0)
