"""Embed signals of any length: split into windows, compute in batches, join per signal."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from schemas.events import FloatArray
from workers.audio.memo import SAMPLING_RATE
from workers.audio.windows import window_bounds
from workers.wav2vec2 import batching
from workers.wav2vec2.batching import Batch
from workers.wav2vec2.checkpoint import Checkpoint
from workers.wav2vec2.engines.engine import EngineName, Program, Readout, load_engine, out_of_memory

SHORTEST_TAIL_S = 0.4
"""Seconds. A shorter last window is merged into its neighbour."""

SHORTEST_ROW_S = 1.4
"""Seconds. Shorter windows are padded to about this: they cost little, another program as much as any."""

NORMALISATION_EPSILON = 1e-7
"""Added to a signal's variance, as Hugging Face's Wav2Vec2FeatureExtractor does."""


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """The encoder's output for one signal of f frames in n windows.

    windows: (n, d) float32, mean over the frames of each window; frame_counts: (n,) frames of each window; frames:
    (f, d) hidden states, or (f, vocabulary) logits of the CTC head, if requested.
    """

    windows: FloatArray
    frame_counts: NDArray[np.int64]
    frames: FloatArray | None = None

    @property
    def summary(self) -> FloatArray:
        """(d,): mean over all frames of the signal."""
        mean: FloatArray = np.average(self.windows, axis=0, weights=self.frame_counts).astype(np.float32)
        return mean

    @property
    def finite(self) -> bool:
        """Whether every value is a finite number."""
        return bool(np.isfinite(self.windows).all() and (self.frames is None or np.isfinite(self.frames).all()))


@dataclass(slots=True)
class Work:
    """Totals since the embedder was created: seconds of audio without and with padding, batches, batch halvings."""

    carried_s: float = 0.0
    computed_s: float = 0.0
    batches: int = 0
    halvings: int = 0


@dataclass(frozen=True, slots=True)
class _Piece:
    """One window of a signal, and its normalisation: (sample - mean) × scale."""

    signal: FloatArray
    start: int
    end: int
    mean: float
    scale: float

    @property
    def length(self) -> int:
        return self.end - self.start

    def normalised(self) -> FloatArray:
        return ((self.signal[self.start : self.end] - self.mean) * self.scale).astype(np.float32)


class Embedder:
    """Embeds signals with one checkpoint, a few compiled programs and bounded memory for signals of any length.

    window_s: length of a window; batch_s: seconds of audio per batch, including padding (at least one window);
    precision: as in `engines/engine.py`; engine: what computes; threads: for one operation, 0 lets the engine choose;
    row_lengths: samples that windows are padded to, ascending, the last of them no shorter than a window with its tail;
    by default `batching.buckets`. Not thread-safe. Raises ConfigurationError when the engine cannot be used.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        window_s: float = 15.0,
        batch_s: float = 16.0,
        precision: str = "float32",
        engine: EngineName = "xla",
        threads: int = 0,
        row_lengths: Sequence[int] = (),
    ) -> None:
        self.work = Work()
        self.precision = precision
        self.engine = load_engine(engine, checkpoint, precision, threads)
        plan = self.engine.plan
        self._has_head = checkpoint.has_head
        # The engine has its own copy: a second one would waste 360 MB at base size.
        self.checkpoint = replace(checkpoint, weights={})
        self._window = round(window_s * SAMPLING_RATE)
        self._tail = min(round(SHORTEST_TAIL_S * SAMPLING_RATE), self._window)
        longest = self._window + self._tail
        self._row_lengths = row_lengths or batching.buckets(longest, round(SHORTEST_ROW_S * SAMPLING_RATE), plan.ratio)
        self._bound = round(batch_s * SAMPLING_RATE) if plan.batched else 0
        self._concurrency = plan.at_once
        self._threads = _threads(self._concurrency)
        self._programs: dict[Readout, Program] = {}

    @property
    def shortest(self) -> int:
        """Samples that one frame needs."""
        return self.checkpoint.config.receptive_field

    def warm(self) -> Iterator[None]:
        """Compile every program that `embed` may need, one per step, longest rows first: full windows need those."""
        program = self._program(Readout.MEANS)
        for rows, samples in reversed(batching.shapes(self._row_lengths, self._bound)):
            program(np.zeros((rows, samples), np.float32), np.full(rows, samples, np.int32))
            yield

    def embed(self, signals: Sequence[FloatArray]) -> list[Embedding]:
        """Embed each signal, windows only.

        signals: (samples,) float32 at 16 kHz, raw; no embedding depends on the others. ValueError below `shortest`.
        """
        return self._embed(signals, Readout.MEANS)

    def embed_frames(self, signals: Sequence[FloatArray]) -> list[Embedding]:
        """As `embed`, with the hidden state of every frame: 3 KB each at base size, 50 per second."""
        return self._embed(signals, Readout.FRAMES)

    def embed_logits(self, signals: Sequence[FloatArray]) -> list[Embedding]:
        """As `embed`, with the CTC head's logits as frames. Raises ValueError if the checkpoint has no head."""
        if not self._has_head:
            raise ValueError("this checkpoint has no CTC head")
        return self._embed(signals, Readout.LOGITS)

    def _program(self, readout: Readout) -> Program:
        if readout not in self._programs:
            self._programs[readout] = self.engine.program(readout)
        return self._programs[readout]

    def _embed(self, signals: Sequence[FloatArray], readout: Readout) -> list[Embedding]:
        if any(len(signal) < self.shortest for signal in signals):
            raise ValueError(f"a signal is shorter than {self.shortest} samples")
        cuts = [self._pieces(signal) for signal in signals]
        pieces = [piece for pieces in cuts for piece in pieces]
        outputs = dict(self._compute(pieces, self._program(readout)))
        starts = np.cumsum([0, *map(len, cuts)]).tolist()
        return [
            _joined([self._frames(piece) for piece in pieces[a:b]], [outputs.pop(i) for i in range(a, b)])
            for a, b in pairwise(starts)
        ]

    def _pieces(self, signal: FloatArray) -> list[_Piece]:
        bounds = window_bounds(len(signal), self._window, self._tail)
        mean, scale = _normaliser(signal, bounds) if self.checkpoint.normalise else (0.0, 1.0)
        return [_Piece(signal, start, end, mean, scale) for start, end in bounds]

    def _frames(self, piece: _Piece) -> int:
        return self.checkpoint.config.frames(piece.length)

    def _compute(self, pieces: Sequence[_Piece], program: Program) -> Iterator[tuple[int, list[FloatArray]]]:
        """Position of each piece, in any order, and its outputs. Reduces memory use when memory runs out."""
        waiting = list(range(len(pieces)))
        while waiting:
            done: set[int] = set()
            plan = batching.plan([pieces[i].length for i in waiting], self._row_lengths, self._bound)
            batches = [Batch(batch.samples, tuple(waiting[position] for position in batch.members)) for batch in plan]
            for batch, outputs in self._run(batches, pieces, program):
                self._count(batch, sum(pieces[i].length for i in batch.members))
                done.update(batch.members)
                for row, i in enumerate(batch.members):
                    yield (
                        i,
                        [outputs[0][row], *(frames[row, : self._frames(pieces[i])].copy() for frames in outputs[1:])],
                    )
            waiting = [i for i in waiting if i not in done]

    def _run(
        self, batches: Sequence[Batch], pieces: Sequence[_Piece], program: Program
    ) -> Iterator[tuple[Batch, list[FloatArray]]]:
        """Each batch and its outputs, until memory runs out; the caller then plans the rest again."""

        def outputs_of(batch: Batch) -> list[FloatArray]:
            return program(*_rows([pieces[i] for i in batch.members], batch.samples))

        running = [self._threads.submit(outputs_of, batch) for batch in batches]
        try:
            for batch, each in zip(batches, running, strict=True):
                try:
                    outputs = each.result()
                except Exception as error:
                    if not out_of_memory(error) or not self._reduce_memory(batch):
                        raise
                    return
                yield batch, outputs
        finally:
            for each in running:
                each.cancel()
            wait(running)

    def _reduce_memory(self, batch: Batch) -> bool:
        """Use less memory from now on than this batch did; False when that is impossible."""
        if self._concurrency > 1:
            self._concurrency = 1
            self._threads = _threads(1)
        elif len(batch.members) > 1:
            self._bound = batch.samples * len(batch.members) // 2
            self.work.halvings += 1
        else:
            return False
        return True

    def _count(self, batch: Batch, carried: int) -> None:
        self.work.carried_s += carried / SAMPLING_RATE
        self.work.computed_s += batch.samples * len(batch.members) / SAMPLING_RATE
        self.work.batches += 1


def _threads(count: int) -> ThreadPoolExecutor:
    """Long-lived: a new thread's heap is empty, and gets every page of a batch from the system."""
    return ThreadPoolExecutor(count, thread_name_prefix="embedding")


def _normaliser(signal: FloatArray, bounds: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Mean and reciprocal standard deviation of the whole signal; in pieces, to avoid a copy of a long one."""
    mean = float(np.mean(signal, dtype=np.float64))
    power = sum(float(np.square(signal[start:end] - mean, dtype=np.float64).sum()) for start, end in bounds)
    return mean, float((power / len(signal) + NORMALISATION_EPSILON) ** -0.5)


def _rows(pieces: Sequence[_Piece], samples: int) -> tuple[FloatArray, NDArray[np.int32]]:
    """A batch: (n, samples), zero where padded, and the lengths (n,)."""
    rows = np.zeros((len(pieces), samples), np.float32)
    for row, piece in zip(rows, pieces, strict=True):
        row[: piece.length] = piece.normalised()
    return rows, np.array([piece.length for piece in pieces], np.int32)


def _joined(frame_counts: Sequence[int], outputs: Sequence[Sequence[FloatArray]]) -> Embedding:
    return Embedding(
        windows=np.stack([output[0] for output in outputs]),
        frame_counts=np.array(frame_counts),
        frames=np.concatenate([output[1] for output in outputs]) if len(outputs[0]) > 1 else None,
    )
