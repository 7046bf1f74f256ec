"""What the encoder's benchmarks compute: clips, weights, and how many operations that takes.

Clips have the lengths of real speech (UNDERTONE_SHARED, or `shared` beside the project), or are noise where that folder
is absent; the weights are random, which changes no speed.
"""

import csv
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile

from schemas.events import FloatArray
from tests.benchmarks import wav2vec2_onnx
from workers.wav2vec2.config import EncoderConfig

ROOT = Path(__file__).parents[2]
BASE = EncoderConfig()
GEMM = (748, 768, 3072)
"""Rows, inner and columns of the measured product: a feed-forward layer over 15 s."""


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds that it took, the latter of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def clips(count: int) -> list[FloatArray]:
    """Every so-many-th clip of the manifest, so that both corpora and all lengths are there; without one, noise."""
    audio = Path(os.environ.get("UNDERTONE_SHARED", ROOT.parent / "shared")) / "audio"
    if not (audio / "manifest.csv").is_file():
        rng = np.random.default_rng(0)
        return [rng.standard_normal(length, np.float32) for length in np.linspace(32_000, 239_000, count, dtype=int)]
    with (audio / "manifest.csv").open(encoding="utf-8") as stream:
        paths = [audio / row["path"] for row in csv.DictReader(stream)]
    return [soundfile.read(path, dtype="float32")[0] for path in paths[:: max(len(paths) // count, 1)][:count]]


def random_weights(config: EncoderConfig) -> dict[str, FloatArray]:
    """Weights that keep activations near 1, whatever the layer."""
    rng = np.random.default_rng(0)
    made = {}
    for name, shape in config.shapes().items():
        values = rng.standard_normal(shape, np.float32) * (1.0 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.1)
        made[name] = (values + (1.0 if name.endswith("norm.weight") else 0.0)).astype(np.float32)
    return made


def flops(config: EncoderConfig, samples: int) -> float:
    """Floating-point operations of the matrix products and convolutions for one signal; a multiply-add counts two."""
    steps, inward, total = samples, 1, 0.0
    for width, kernel, stride in zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True):
        steps = (steps - kernel) // stride + 1
        total += 2 * steps * inward * width * kernel
        inward = width
    width = config.hidden_size
    total += 2 * steps * inward * width
    total += 2 * steps * width * (width // config.num_conv_pos_embedding_groups) * config.num_conv_pos_embeddings
    layer = 4 * width * width + 2 * width * config.intermediate_size + 2 * steps * width
    return total + 2 * steps * layer * config.num_hidden_layers


def normalised(signal: FloatArray) -> FloatArray:
    """The signal as the checkpoint's feature extractor scales it."""
    scaled: FloatArray = (signal - signal.mean()) / np.sqrt(signal.var() + 1e-7)
    return scaled


def onnx_session(weights: dict[str, FloatArray], threads: int) -> onnxruntime.InferenceSession:
    """A session with every graph optimisation, whose idle threads sleep: spinning would count as CPU time."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(wav2vec2_onnx.build(BASE, weights), options, ["CPUExecutionProvider"])
