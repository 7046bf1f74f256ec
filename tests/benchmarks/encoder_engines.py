"""Every engine that is installed by turns, as one JSON object: `python -m tests.benchmarks.encoder --json`.

The peer is ONNX Runtime in float32 on the graph that an exporter would make, one clip at a time without padding. Ratios
are of CPU seconds, each clip's best round counted; `share_of_gemm` is of the rate of this machine's own float32 matrix
product by NumPy.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import get_args

import numpy as np
import threadpoolctl

from schemas.events import FloatArray
from schemas.settings import Settings
from tests.benchmarks.encoder import BASE, GEMM, flops, normalised, onnx_session, random_weights, timed
from workers.audio.memo import SAMPLING_RATE
from workers.wav2vec2.checkpoint import Checkpoint
from workers.wav2vec2.embedder import Embedder
from workers.wav2vec2.engines import processor
from workers.wav2vec2.engines.choice import chosen, this_machine
from workers.wav2vec2.engines.engine import EngineName

PRODUCTS = 20
"""Matrix products of one measurement: about a second."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One engine beside ONNX Runtime. worst_cosine: of any frame, between it and the peer's in float32."""

    engine: str
    precision: str
    ratio_to_onnxruntime_f32: float
    share_of_gemm: float
    worst_cosine: float


def compared(settings: Settings, signals: Sequence[FloatArray], rounds: int) -> dict[str, object]:
    """The engine that the settings lead to, and all others in float32 under `engines`.

    signals: (samples,) of at most one window each.
    """
    threads = settings.intra_op_threads or len(os.sched_getaffinity(0))
    weights = random_weights(BASE)
    checkpoint = Checkpoint(BASE, weights, normalise=True, weights_hash="")
    choice = chosen(settings)
    wanted = dict.fromkeys([(choice.engine, settings.precision), *((name, "float32") for name in installed())])
    embedders = {key: _embedder(checkpoint, *key, threads) for key in wanted}
    session = onnx_session(weights, threads)
    clips = [normalised(signal)[None].astype(np.float32) for signal in signals]
    frames = [session.run(None, {"signals": clip})[0][0] for clip in clips]
    cosines = {key: worst_cosine(embedder, signals, frames) for key, embedder in embedders.items()}
    work: dict[tuple[str, str], list[Callable[[], object]]] = {
        key: [partial(embedder.embed, [signal]) for signal in signals] for key, embedder in embedders.items()
    }
    peer = ("ONNX Runtime", "float32")
    work[peer] = [partial(session.run, None, {"signals": clip}) for clip in clips]
    best, product = by_turns(work, rounds), gemm(rounds)
    counted = sum(flops(BASE, len(signal)) for signal in signals)
    rows = [Compared(*key, best[peer] / best[key], counted / best[key] / product, cosines[key]) for key in embedders]
    return asdict(rows[0]) | {
        "reason": choice.reason,
        "threads": threads,
        "processor": processor.model(),
        "features": sorted(processor.features()),
        "audio_s": sum(map(len, signals)) / SAMPLING_RATE,
        "audio_s_per_cpu_s": sum(map(len, signals)) / SAMPLING_RATE / best[choice.engine, settings.precision],
        "gemm_gflop_per_cpu_s": product / 1e9,
        "engines": [asdict(row) for row in rows],
    }


def installed() -> list[EngineName]:
    """Engines whose runtime is installed here."""
    return [name for name in get_args(EngineName) if name in this_machine().installed]


def by_turns(work: dict[tuple[str, str], list[Callable[[], object]]], rounds: int) -> dict[tuple[str, str], float]:
    """CPU seconds of each: the sum over its pieces of the best of some rounds, in which all take turns."""
    best = {key: [float("inf")] * len(pieces) for key, pieces in work.items()}
    for pieces in work.values():
        for piece in pieces:
            piece()  # every length compiled, memory taken
    for _ in range(rounds):
        for key, pieces in work.items():
            best[key] = [min(known, timed(piece)[1]) for known, piece in zip(best[key], pieces, strict=True)]
    return {key: sum(each) for key, each in best.items()}


def worst_cosine(embedder: Embedder, signals: Sequence[FloatArray], frames: Sequence[FloatArray]) -> float:
    """Lowest cosine between a frame of the embedder and that of the reference."""
    worst = 1.0
    for embedding, expected in zip(embedder.embed_frames(signals), frames, strict=True):
        assert embedding.frames is not None
        found, wanted = embedding.frames.astype(np.float64), expected.astype(np.float64)
        lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
        worst = min(worst, float(((found * wanted).sum(axis=1) / lengths).min()))
    return worst


def gemm(rounds: int) -> float:
    """Floating-point operations a CPU second of a float32 matrix product of the encoder's size, the best of rounds.

    On one thread: waiting threads of the library spin, which would count as time of the product.
    """
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal(shape, np.float32) for shape in (GEMM[:2], GEMM[1:]))
    with threadpoolctl.threadpool_limits(1):
        left @ right
        taken = min(timed(lambda: [left @ right for _ in range(PRODUCTS)])[1] for _ in range(rounds))
    return PRODUCTS * 2 * float(np.prod(GEMM)) / taken


def _embedder(checkpoint: Checkpoint, engine: EngineName, precision: str, threads: int) -> Embedder:
    return Embedder(checkpoint, engine=engine, precision=precision, threads=threads)
