"""Every engine that is installed by turns, in every precision that pays on this processor.

The peer is ONNX Runtime in float32 on the graph that an exporter would make, one clip at a time without padding;
PyTorch stands beside where it is installed. The share of the machine's product is that of the rate at which the quicker
of ONNX Runtime and OpenVINO multiplies matrices of the encoder's size in the engine's own precision (int8: float32).
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from schemas.events import FloatArray
from schemas.settings import Settings
from tests.benchmarks.encoder_work import BASE, GEMM, ROOT, flops, normalised, onnx_session, random_weights, timed
from workers.audio.memo import SAMPLING_RATE
from workers.wav2vec2.checkpoint import Checkpoint
from workers.wav2vec2.embedder import Embedder
from workers.wav2vec2.engines import processor
from workers.wav2vec2.engines.choice import INT8, RUNTIMES, chosen, this_machine
from workers.wav2vec2.engines.engine import EngineName
from workers.wav2vec2.engines.guard import least_cosine

PRODUCTS = 20
"""Matrix products of one measurement: about a third of a second."""


class Contender(NamedTuple):
    """An engine of ours in one precision."""

    engine: EngineName
    precision: str


class Seconds(NamedTuple):
    """Wall and CPU seconds."""

    wall: float
    cpu: float


Piece: TypeAlias = Callable[[], tuple[float, float]]
"""A clip to be embedded: gives wall and CPU seconds."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One engine beside ONNX Runtime, by CPU seconds. worst_cosine: of any frame, between it and the peer's."""

    engine: EngineName
    precision: str
    ratio_to_onnxruntime_f32: float
    share_of_gemm: float
    worst_cosine: float


@dataclass(frozen=True, slots=True)
class Measured:
    """All engines by turns. seconds: of all clips, by name; products: operations a CPU second by precision."""

    rows: Sequence[Compared]
    seconds: Mapping[Contender | str, Seconds]
    products: Mapping[str, float]


PEER = "ONNX Runtime"


def here() -> list[Contender]:
    """Engines whose runtime is installed here, in every precision that pays on this processor."""
    machine = this_machine()
    found = [Contender(name, "float32") for name in RUNTIMES if name in machine.installed]
    if "openvino" in machine.installed:
        found += [Contender("openvino", "bfloat16")] if machine.gains_by_bfloat16 else []
        found += [Contender("openvino", "int8")] if machine.features & INT8.keys() else []
    return found


def as_json(settings: Settings, signals: Sequence[FloatArray], threads: int, rounds: int) -> dict[str, object]:
    """The engine that the settings lead to, and under `engines` that and all others in float32.

    signals: (samples,) of at most one window each.
    """
    choice = chosen(settings)
    wanted = Contender(choice.engine, settings.precision)
    contenders = list(dict.fromkeys([wanted, *(each for each in here() if each.precision == "float32")]))
    found = measured(contenders, signals, threads, rounds)
    audio_s = sum(map(len, signals)) / SAMPLING_RATE
    return asdict(found.rows[0]) | {
        "reason": choice.reason,
        "threads": threads,
        "processor": processor.model(),
        "features": sorted(processor.features()),
        "audio_s": audio_s,
        "audio_s_per_cpu_s": audio_s / found.seconds[wanted].cpu,
        "gemm_gflop_per_cpu_s": found.products["float32"] / 1e9,
        "gemm_bfloat16_gflop_per_cpu_s": found.products.get("bfloat16", 0.0) / 1e9 or None,
        "engines": [asdict(row) for row in found.rows],
    }


def as_table(signals: Sequence[FloatArray], threads: int, rounds: int) -> Iterator[str]:
    """Lines of Markdown: every engine in every precision that pays, on one thread and on several."""
    audio_s, lengths = sum(map(len, signals)) / SAMPLING_RATE, sorted(len(each) / SAMPLING_RATE for each in signals)
    yield (
        f"{len(signals)} clips, {audio_s:.0f} s of audio, {lengths[0]:.1f} to {lengths[-1]:.1f} s long, base size; "
        f"best of {rounds} alternating rounds. The processor has {', '.join(sorted(processor.features()))}."
    )
    yield ""
    yield (
        f"| engine | precision | threads | × {PEER}, by CPU | by wall | audio s a CPU s | share of product "
        "| worst cosine |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    products: Mapping[str, float] = {}
    for count in sorted({1, threads}):
        # TensorFlow takes its number of threads once in a process.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            found = process.submit(measured, here(), signals, count, rounds, together=count > 1).result()
        peer, products = found.seconds[PEER], products or found.products
        rows = {Contender(row.engine, row.precision): row for row in found.rows}
        for name, taken in found.seconds.items():
            speeds = f"{peer.cpu / taken.cpu:.2f} | {peer.wall / taken.wall:.2f} | {audio_s / taken.cpu:.1f}"
            if isinstance(name, Contender):
                rest = f"{rows[name].share_of_gemm:.0%} | {rows[name].worst_cosine:.6f}"
                yield f"| {name.engine} | {name.precision} | {count} | {speeds} | {rest} |"
            else:
                yield f"| {name}, one clip at a time | float32 | {count} | {speeds} | | |"
    rates = (f"{rate / 1e9:.0f} GFLOP a CPU second in {precision}" for precision, rate in products.items())
    yield from ("", f"Matrix products of {GEMM} on one thread: {', '.join(rates)}.")


def measured(
    contenders: Sequence[Contender], signals: Sequence[FloatArray], threads: int, rounds: int, *, together: bool = False
) -> Measured:
    """Contenders and peers by turns. signals: (samples,) of at most one window each.

    together: whether an engine gets all signals at once, which it may compute side by side, and not one by one.
    """
    weights = random_weights(BASE)
    if any(each.engine == "xla" for each in contenders):
        from workers.wav2vec2 import compilation  # and with it TensorFlow

        compilation.configure(threads, memory_growth=True)
    checkpoint = Checkpoint(BASE, weights, normalise=True, weights_hash="")
    embedders = {
        each: Embedder(checkpoint, engine=each.engine, precision=each.precision, threads=threads) for each in contenders
    }
    session = onnx_session(weights, threads)
    clips = [normalised(signal)[None].astype(np.float32) for signal in signals]
    frames = [session.run(None, {"signals": clip})[0][0] for clip in clips]
    cosines = {each: worst_cosine(embedder, signals, frames) for each, embedder in embedders.items()}
    parts = [[signal] for signal in signals]
    work: dict[Contender | str, list[Piece]] = {
        each: [partial(timed, partial(embedder.embed, given)) for given in ([signals] if together else parts)]
        for each, embedder in embedders.items()
    }
    work[PEER] = [partial(timed, partial(session.run, None, {"signals": clip})) for clip in clips]
    with pytorch(clips, threads) as beside:
        seconds = by_turns(work | beside, rounds)
    products = gemm(rounds)
    counted = sum(flops(BASE, len(signal)) for signal in signals)
    rows = [
        Compared(
            *each,
            ratio_to_onnxruntime_f32=seconds[PEER].cpu / seconds[each].cpu,
            share_of_gemm=counted / seconds[each].cpu / products.get(each.precision, products["float32"]),
            worst_cosine=cosines[each],
        )
        for each in contenders
    ]
    return Measured(rows, seconds, products)


def by_turns(work: Mapping[Contender | str, Sequence[Piece]], rounds: int) -> dict[Contender | str, Seconds]:
    """Seconds of each: sums over its pieces of the best of some rounds, in which all take turns."""
    best = {name: [Seconds(float("inf"), float("inf"))] * len(pieces) for name, pieces in work.items()}
    for pieces in work.values():
        for piece in pieces:
            piece()  # every length compiled, memory taken
    for _ in range(rounds):
        for name, pieces in work.items():
            best[name] = [Seconds(*map(min, known, piece())) for known, piece in zip(best[name], pieces, strict=True)]
    return {name: Seconds(*map(sum, zip(*each, strict=True))) for name, each in best.items()}


def worst_cosine(embedder: Embedder, signals: Sequence[FloatArray], frames: Sequence[FloatArray]) -> float:
    """Lowest cosine between a frame of the embedder and that of the reference."""
    found = [embedding.frames for embedding in embedder.embed_frames(signals)]
    return min(least_cosine(one, other) for one, other in zip(found, frames, strict=True) if one is not None)


def gemm(rounds: int) -> dict[str, float]:
    """Floating-point operations a CPU second of a matrix product of the encoder's size, on one thread, by precision.

    float32, and bfloat16 where the processor has such products: the best of rounds and of the runtimes.
    """
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal(shape, np.float32) for shape in (GEMM[:2], GEMM[1:]))
    products = {"float32": [_by_onnxruntime(left, right)]}
    if "openvino" in this_machine().installed:
        products["float32"].append(_by_openvino(left, right, "f32"))
        if processor.features() & {"avx512_bf16", "amx_bf16"}:
            products["bfloat16"] = [_by_openvino(left, right, "bf16")]
    return {precision: max(_rate(product, rounds) for product in several) for precision, several in products.items()}


def _rate(product: Callable[[], object], rounds: int) -> float:
    product()
    taken = min(timed(lambda: [product() for _ in range(PRODUCTS)])[1] for _ in range(rounds))
    return PRODUCTS * 2 * float(np.prod(GEMM)) / taken


def _by_onnxruntime(left: FloatArray, right: FloatArray) -> Callable[[], object]:
    """The product of matrices of which the right one is constant, as weights are."""
    weights = helper.make_tensor("right", TensorProto.FLOAT, right.shape, right.tobytes(), raw=True)
    given = helper.make_tensor_value_info("left", TensorProto.FLOAT, left.shape)
    made = helper.make_tensor_value_info("product", TensorProto.FLOAT, None)
    nodes = [helper.make_node("MatMul", ["left", "right"], ["product"])]
    graph = helper.make_graph(nodes, "product", [given], [made], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return lambda: session.run(None, {"left": left})


def _by_openvino(left: FloatArray, right: FloatArray, precision: str) -> Callable[[], object]:
    from workers.wav2vec2.engines.openvino.runtime import openvino, opset

    given = opset.parameter([*left.shape], openvino.Type.f32)
    made = opset.matmul(given, opset.constant(right), False, False)
    options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
    model = openvino.Core().compile_model(openvino.Model([opset.result(made)], [given], "product"), "CPU", options)
    request = model.create_infer_request()
    return lambda: request.infer({0: left})


@contextmanager
def pytorch(clips: Sequence[FloatArray], threads: int) -> Iterator[dict[Contender | str, list[Piece]]]:
    """PyTorch's pieces by its name and version, in a process of its own (wav2vec2_torch.py); none without it."""
    with tempfile.TemporaryDirectory() as folder:
        for number, clip in enumerate(clips):
            np.save(Path(folder) / f"{number}-0.npy", clip)
        command = [sys.executable, "-m", "tests.benchmarks.wav2vec2_torch", folder, str(threads)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
        ) as process:
            asked, told = process.stdin, process.stdout
            assert asked is not None
            assert told is not None
            version = told.readline().strip()

            def piece(number: int) -> tuple[float, float]:
                print(number, file=asked, flush=True)
                wall, cpu = json.loads(told.readline())
                return float(wall), float(cpu)

            yield {version: [partial(piece, number) for number in range(len(clips))]} if version else {}
