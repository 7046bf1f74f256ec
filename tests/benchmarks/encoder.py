"""The encoder at base size against ONNX Runtime, PyTorch where it is installed, and the machine's matrix products.

    python -m tests.benchmarks.encoder [--clips 24] [--rounds 3] [--json]

Writes `results/encoder.md`. With `--json` it prints one object instead: every engine that is installed by turns, first
the one that UNDERTONE_ENGINE and UNDERTONE_PRECISION lead to. Takes the lengths of real speech (UNDERTONE_SHARED, or
`shared` beside the project), or noise where that folder is absent; the weights are random, which changes no speed.
Rounds of the engines alternate, so that whatever else the machine does meets all of them; CPU seconds are of this
process, and the best round counts.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import keras
import numpy as np
import onnxruntime
import soundfile
from keras import ops

from schemas.events import FloatArray
from schemas.settings import Settings
from tests.benchmarks import wav2vec2_onnx
from tests.benchmarks.machine import provenance
from workers.audio.memo import SAMPLING_RATE
from workers.wav2vec2 import compilation
from workers.wav2vec2.checkpoint import Checkpoint, save
from workers.wav2vec2.config import EncoderConfig
from workers.wav2vec2.embedder import Embedder

ROOT = Path(__file__).parents[2]
OUT = Path(__file__).parent / "results" / "encoder.md"
BASE = EncoderConfig()
GEMM = (748, 768, 3072)
"""Rows, inner and columns of the measured product: a feed-forward layer over 15 s."""


Engine: TypeAlias = Callable[[str], tuple[float, float]]
"""Takes all batches of a name in turn, and tells wall and CPU seconds."""


@dataclass(slots=True)
class Timing:
    """Best wall and CPU seconds of the rounds so far."""

    wall: float = float("inf")
    cpu: float = float("inf")

    def add(self, taken: tuple[float, float]) -> None:
        """One more round: wall and CPU seconds."""
        self.wall, self.cpu = min(self.wall, taken[0]), min(self.cpu, taken[1])

    def row(self, name: str, audio_s: float) -> str:
        """As a line of the table."""
        speeds = f"{audio_s / self.wall:.1f} | {audio_s / self.cpu:.1f}"
        return f"| {name} | {self.wall:.2f} | {self.cpu:.2f} | {speeds} |"


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds that it took, the latter of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Measure, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--speed-only", action="store_true", help="leave out start-up and the 30-minute memo")
    parser.add_argument("--json", action="store_true", help="print one object about every engine")
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.start:
        return start_to_first(options.start)
    settings = Settings.load()
    threads = settings.intra_op_threads or len(os.sched_getaffinity(0))
    compilation.configure(threads, memory_growth=True)
    signals = clips(options.clips)
    if options.json:
        from tests.benchmarks.encoder_engines import compared  # which reads this module

        short = [signal for signal in signals if len(signal) <= 15 * SAMPLING_RATE]
        sys.stdout.write(json.dumps(compared(settings, short, options.rounds)) + "\n")
        return None
    weights = random_weights(BASE)
    lines = [
        "# The encoder's speed",
        "",
        provenance(" ".join(["python -m tests.benchmarks.encoder", *sys.argv[1:]])),
        "",
        *throughput(signals, weights, threads, options.rounds),
    ]
    lines += [] if options.speed_only else starts(weights, signals)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text("\n".join(lines) + "\n")
    sys.stdout.write(OUT.read_text())
    return None


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


def throughput(signals: Sequence[FloatArray], weights: dict[str, FloatArray], threads: int, rounds: int) -> list[str]:
    """Ours in batches, ONNX Runtime one clip at a time and padded, and the matrix product, in turn."""
    embedder = Embedder(Checkpoint(BASE, weights, normalise=True, weights_hash=""))
    session = onnx_session(weights, threads)
    alone = [normalised(signal) for signal in signals]
    worst = max(float(np.abs(one - other).max()) for one, other in checked(embedder, session, signals, alone))
    product = matrix_product()
    ours, gemm = Timing(), Timing()
    batches = {"alone": [one[None] for one in alone], "padded": in_padded_batches(alone)}
    embedder.embed(signals)  # every shape compiled, memory taken
    with engines_beside(session, batches, threads) as engines:
        timings = {name: {batch: Timing() for batch in batches} for name in engines}
        for _ in range(rounds):
            gemm.add(timed(lambda: [product() for _ in range(50)]))
            ours.add(timed(lambda: embedder.embed(signals)))
            gemm.add(timed(lambda: [product() for _ in range(50)]))
            for name, run in engines.items():
                for batch, timing in timings[name].items():
                    timing.add(run(batch))
    audio_s = sum(map(len, signals)) / SAMPLING_RATE
    counted = sum(flops(BASE, len(signal)) for signal in signals)
    rates = [50 * 2 * float(np.prod(GEMM)) / seconds for seconds in (gemm.wall, gemm.cpu)]
    spread = f"{min(map(len, signals)) / SAMPLING_RATE:.1f} to {max(map(len, signals)) / SAMPLING_RATE:.1f} s long"
    work = embedder.work
    return [
        f"{len(signals)} clips, {audio_s:.0f} s of audio, {spread}, base size, float32, {threads} threads; best of "
        f"{rounds} alternating rounds. Largest difference between the two engines' frames: {worst:.1e}. "
        f"Padding {1 - work.carried_s / work.computed_s:.1%} of what was computed.",
        "",
        "| engine | wall s | CPU s | audio s a wall s | audio s a CPU s |",
        "|---|---|---|---|---|",
        ours.row("this encoder, bucketed batches, exact", audio_s),
        *(each["alone"].row(f"{name}, one clip at a time, exact", audio_s) for name, each in timings.items()),
        *(
            each["padded"].row(f"{name}, padded batches of 4, wrong for group norm", audio_s)
            for name, each in timings.items()
        ),
        "",
        *(
            f"* Against {name} unbatched: {each['alone'].wall / ours.wall:.2f} × by wall, "
            f"{each['alone'].cpu / ours.cpu:.2f} × by CPU seconds."
            for name, each in timings.items()
        ),
        f"* Matrix products of {GEMM} in the same run: {rates[0] / 1e9:.0f} GFLOP/s by wall, {rates[1] / 1e9:.0f} "
        f"GFLOP a CPU second. The clips count {counted / 1e9:.0f} GFLOP unpadded, so this encoder reaches "
        f"{counted / ours.wall / rates[0]:.0%} of what that rate allows by wall, {counted / ours.cpu / rates[1]:.0%} "
        "by CPU seconds.",
    ]


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


def matrix_product() -> Callable[[], object]:
    """One product of GEMM's shape by the encoder's own backend; the matrices stay there, as weights do."""
    rng = np.random.default_rng(0)
    left, right = (keras.Variable(rng.standard_normal(shape, np.float32)) for shape in (GEMM[:2], GEMM[1:]))
    product = compilation.compiled(lambda one: (ops.matmul(left, right)[:1, :1] + one,), [left, right])
    one = np.ones((1, 1), np.float32)
    product(one)
    return lambda: product(one)


@contextmanager
def engines_beside(
    session: onnxruntime.InferenceSession, batches: Mapping[str, Sequence[FloatArray]], threads: int
) -> Iterator[dict[str, Engine]]:
    """The engines that ours stands beside, by name.

    PyTorch is one of them where it is installed, in a process of its own (wav2vec2_torch.py).
    """

    def by_onnx(name: str) -> tuple[float, float]:
        return timed(lambda: [session.run(None, {"signals": batch}) for batch in batches[name]])

    with tempfile.TemporaryDirectory() as folder:
        for name, several in batches.items():
            for number, batch in enumerate(several):
                np.save(Path(folder) / f"{name}-{number:03d}.npy", batch.astype(np.float32))
        command = [sys.executable, "-m", "tests.benchmarks.wav2vec2_torch", folder, str(threads)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
        ) as process:
            asked, told = process.stdin, process.stdout
            assert asked is not None
            assert told is not None
            version = told.readline().strip()

            def by_pytorch(name: str) -> tuple[float, float]:
                print(name, file=asked, flush=True)
                wall, cpu = json.loads(told.readline())
                return float(wall), float(cpu)

            engines: dict[str, Engine] = {"ONNX Runtime": by_onnx}
            yield engines | ({version: by_pytorch} if version else {})


def checked(
    embedder: Embedder,
    session: onnxruntime.InferenceSession,
    signals: Sequence[FloatArray],
    alone: Sequence[FloatArray],
) -> list[tuple[FloatArray, FloatArray]]:
    """Frames of three clips of one window by both engines: they must be the same network."""
    short = [index for index, signal in enumerate(signals) if len(signal) <= 15 * SAMPLING_RATE][:3]
    frames = [embedding.frames for embedding in embedder.embed_frames([signals[index] for index in short])]
    theirs = [session.run(None, {"signals": alone[index][None]})[0][0] for index in short]
    return [(one, other) for one, other in zip(frames, theirs, strict=True) if one is not None]


def in_padded_batches(signals: Sequence[FloatArray], rows: int = 4) -> list[FloatArray]:
    """Neighbours in length together, padded to the longest of them."""
    ordered = sorted(signals, key=len)
    batches = []
    for first in range(0, len(ordered), rows):
        group = ordered[first : first + rows]
        batches.append(np.stack([np.pad(one, (0, len(group[-1]) - len(one))) for one in group]))
    return batches


def starts(weights: dict[str, FloatArray], signals: Sequence[FloatArray]) -> list[str]:
    """From the start of Python to the first embedding, and the memory of a 30-minute memo, each in a process."""
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder), BASE, weights)
        first = [started(Path(folder)) for _ in range(2)]
        long = np.resize(np.concatenate(signals), 30 * 60 * SAMPLING_RATE)
        both, alone = (long_memo(Path(folder), long, more) for more in ([], ["--modality", "embedding"]))
    return [
        f"* From start to first embedding (3 s of audio, base size): {first[0]} s, then {first[1]} s.",
        f"* A 30-minute memo through `undertone features` at base size: {both}; the embedding alone: {alone}.",
    ]


def started(folder: Path) -> str:
    """Seconds from a process's start to its first embedding, as it tells."""
    command = [sys.executable, "-m", "tests.benchmarks.encoder", "--start", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.strip()


def long_memo(folder: Path, signal: FloatArray, more: Sequence[str]) -> str:
    """The most memory that the command's own process has resident, and how long it takes."""
    soundfile.write(folder / "memo.wav", signal, SAMPLING_RATE)
    command = [sys.executable, "-m", "streams.cli", "features", str(folder / "memo.wav"), *more]
    command += ["--encoder", str(folder), "--out", str(folder / "memo.npz")]
    peak, began = 0, time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
        while process.poll() is None:
            # The rusage of a child would count what its parent had when it was forked.
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = max(peak, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
            time.sleep(0.1)
    assert process.returncode == 0
    return f"{peak * 1024 / 1e9:.2f} GB at its peak, {time.perf_counter() - began:.0f} s"


def start_to_first(folder: Path) -> None:
    """Load, embed 3 s, and say how long this process has lived."""
    from workers.wav2vec2.checkpoint import load

    Embedder(load(str(folder))).embed([np.random.default_rng(0).standard_normal(48_000, np.float32)])
    began = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19]
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    sys.stdout.write(f"{uptime - int(began) / os.sysconf('SC_CLK_TCK'):.1f}")


if __name__ == "__main__":
    main()
