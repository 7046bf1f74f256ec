"""The encoder on OpenVINO: one program for every length, and no TensorFlow."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ConfigurationError
from schemas.events import FloatArray
from workers.wav2vec2.checkpoint import Checkpoint
from workers.wav2vec2.engines.engine import EngineName, Plan, Program, Readout
from workers.wav2vec2.engines.graph import Frames, Graph, Signals
from workers.wav2vec2.engines.graph_program import GraphParts, GraphProgram, Part
from workers.wav2vec2.engines.guard import calibration_clip
from workers.wav2vec2.engines.moments import FirstNorm
from workers.wav2vec2.engines.openvino.int8 import Int8, Observing, Range
from workers.wav2vec2.engines.openvino.mapped_weights import MappedWeights
from workers.wav2vec2.engines.openvino.operations import OpenvinoOperations
from workers.wav2vec2.engines.openvino.runtime import openvino, opset
from workers.wav2vec2.engines.operations import Node
from workers.wav2vec2.engines.progress import reporting_progress

RATIO = 1.07
"""As in Plan. At base size a length that was never met before costs 10 to 30 ms of CPU once, and 4 MB."""
FOR_TWO_ROWS = 4
"""Threads from which on two rows are computed side by side. On two threads one row after the other takes five sixths of
the time of two rows at once, at the same CPU, and a tenth of a gigabyte less at base size. More threads were never
measured."""
PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}
"""OpenVINO's names; in int8, of all that is no product with weights."""


class OpenvinoEngine:
    """A checkpoint on OpenVINO's CPU device.

    threads: for all that it computes at once, 0 for every core. Raises ConfigurationError for a precision that OpenVINO
    has no products for.
    """

    name: EngineName = "openvino"

    def __init__(self, checkpoint: Checkpoint, precision: str, threads: int) -> None:
        if precision not in PRECISIONS:
            raise ConfigurationError(f"UNDERTONE_PRECISION={precision} is none of UNDERTONE_ENGINE=openvino")
        threads = threads or len(os.sched_getaffinity(0))
        self.plan = Plan(ratio=RATIO, batched=False, at_once=1 if threads < FOR_TWO_ROWS else 2)
        self.device = f"CPU, {threads} threads"
        self._weights = MappedWeights(checkpoint.weights)
        self._checkpoint = replace(checkpoint, weights=self._weights)
        self._first = FirstNorm.of(checkpoint)
        self._precision = precision
        self._options = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": self.plan.at_once,
            # Each part of the graph would pin its threads by itself, two of them to the same core.
            "ENABLE_CPU_PINNING": False,
        }

    def program(self, readout: Readout) -> Program:
        """As in Engine; one that takes rows of every length."""
        if self._precision != "int8":
            return self._settling(self._program([OpenvinoOperations() for _ in range(3)], readout))
        rounded = self._program([Int8(ranges) for ranges in self._ranges(readout)], readout)

        def run(rows: FloatArray, lengths: NDArray[np.int32]) -> list[NDArray[np.float32]]:
            outputs = rounded(rows, lengths)
            for row in np.flatnonzero(~np.isfinite(rows).all(axis=1)):
                for output in outputs:
                    output[row] = np.nan  # no integer is
            return outputs

        return self._settling(run)

    def _settling(self, program: Program) -> Program:
        """The program, after whose compilation no weights as they were given stay in memory."""
        self._weights.release()
        return reporting_progress(program, then=self._weights.release)

    def _program(self, operations: Sequence[OpenvinoOperations], readout: Readout) -> GraphProgram:
        """A program whose three parts are made of these operations."""
        config, features = self._checkpoint.config, (-1, -1, self._checkpoint.config.hidden_size)
        signals = {"signals": (-1, -1)}
        if self._first is not None:
            signals |= {"scale": (-1, config.conv_dim[0]), "shift": (-1, config.conv_dim[0])}
        frames = {"features": features, "positions": features, "valid": (-1, -1)}
        parts = GraphParts(
            self._part(operations[0], signals, lambda graph, given: [graph.features(Signals(**given))]),
            self._part(operations[1], {"features": features}, lambda graph, given: [graph.positions(**given)]),
            self._part(operations[2], frames, lambda graph, given: graph.attended(Frames(**given), readout)),
        )
        return GraphProgram(config, self._first, parts)

    def _part(
        self,
        operations: OpenvinoOperations,
        shapes: Mapping[str, tuple[int, ...]],
        build: Callable[[Graph, Mapping[str, Node]], list[Node]],
    ) -> Part:
        """A part of the graph, compiled. shapes: of its inputs by name, -1 where any size may come."""
        parameters = {name: _parameter(name, shape) for name, shape in shapes.items()}
        results = [opset.result(output) for output in build(Graph(operations, self._checkpoint), parameters)]
        results += [opset.result(output) for output in operations.observed()]
        model = openvino.Model(results, [*parameters.values()], "wav2vec2")
        compiled = openvino.Core().compile_model(model, "CPU", self._options)

        def run(inputs: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
            found = compiled.create_infer_request().infer(dict(inputs))
            return operations.noted([np.array(found[index], np.float32) for index in range(len(found))])

        return run

    def _ranges(self, readout: Readout) -> list[Sequence[Range]]:
        """What the products with weights take, of each part, on the clip of calibration."""
        clip, observing = calibration_clip()[None], [Observing() for _ in range(3)]
        self._program(observing, readout)(clip, np.array(clip.shape[1:], np.int32))
        return [each.ranges for each in observing]


def _parameter(name: str, shape: tuple[int, ...]) -> Node:
    made = opset.parameter([*shape], openvino.Type.f32, name)
    made.output(0).set_names({name})
    return made
