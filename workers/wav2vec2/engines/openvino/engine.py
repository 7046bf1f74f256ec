"""The encoder on OpenVINO: one program for every length, and no TensorFlow."""

import os

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ConfigurationError
from schemas.events import FloatArray
from workers.wav2vec2.checkpoint import Checkpoint
from workers.wav2vec2.engines.engine import EngineName, Plan, Program, Readout
from workers.wav2vec2.engines.graph import Graph, Inputs
from workers.wav2vec2.engines.graph_inputs import FirstNorm, graph_inputs, with_means
from workers.wav2vec2.engines.guard import calibration_clip
from workers.wav2vec2.engines.openvino.int8 import Int8, Observing, Range
from workers.wav2vec2.engines.openvino.operations import OpenvinoOperations
from workers.wav2vec2.engines.openvino.runtime import openvino, opset
from workers.wav2vec2.engines.operations import Node
from workers.wav2vec2.engines.progress import reporting_progress

RATIO = 1.07
"""As in Plan. At base size a length that was never met before costs 20 to 50 ms of CPU once, and 10 MB."""
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
        self.plan = Plan(ratio=RATIO, batched=False, at_once=min(threads, 2))
        self.device = f"CPU, {threads} threads"
        self._checkpoint = checkpoint
        self._first = FirstNorm.of(checkpoint)
        self._precision = precision
        self._options = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": self.plan.at_once,
        }

    def program(self, readout: Readout) -> Program:
        """As in Engine; one that takes rows of every length."""
        int8 = self._precision == "int8"
        infer = self._compiled(Int8(self._ranges(readout)) if int8 else OpenvinoOperations(), readout)

        def run(rows: FloatArray, lengths: NDArray[np.int32]) -> list[NDArray[np.float32]]:
            outputs = infer(rows, lengths)
            if int8:  # no integer is NaN
                for row in np.flatnonzero(~np.isfinite(rows).all(axis=1)):
                    for output in outputs:
                        output[row] = np.nan
            return outputs

        return reporting_progress(run)

    def _compiled(self, operations: OpenvinoOperations, readout: Readout) -> Program:
        model = openvino.Core().compile_model(self._model(operations, readout), "CPU", self._options)

        def infer(rows: FloatArray, lengths: NDArray[np.int32]) -> list[NDArray[np.float32]]:
            inputs = graph_inputs(self._checkpoint.config, self._first, rows, lengths)
            found = model.create_infer_request().infer(dict(inputs))
            return with_means([np.array(found[index], np.float32) for index in range(len(found))], inputs["valid"])

        return infer

    def _ranges(self, readout: Readout) -> list[Range]:
        """What the products with weights take, on the clip of calibration."""
        clip, operations = calibration_clip()[None], Observing()
        # The first output is a sum over frames, the readout's own come next.
        found = self._compiled(operations, readout)(clip, np.array(clip.shape[1:], np.int32))
        values = [float(value) for value in found[-2 * operations.observed :]]
        return [Range(*pair) for pair in zip(values[::2], values[1::2], strict=True)]

    def _model(self, operations: OpenvinoOperations, readout: Readout) -> openvino.Model:
        def parameter(name: str, size: int = -1) -> Node:
            made = opset.parameter([-1, size], openvino.Type.f32, name)
            made.output(0).set_names({name})
            return made

        names = ["signals", "valid"] + (["scale", "shift"] if self._first else [])
        channels = self._checkpoint.config.conv_dim[0]
        nodes = {name: parameter(name, channels if name in {"scale", "shift"} else -1) for name in names}
        outputs = Graph(operations, self._checkpoint).build(Inputs(**nodes), readout)
        outputs += operations.ranges() if isinstance(operations, Observing) else []
        return openvino.Model([opset.result(output) for output in outputs], [*nodes.values()], "wav2vec2")
