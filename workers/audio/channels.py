"""Mix the channels of a file down to one signal at SAMPLING_RATE, in bounded memory."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from schemas.events import FloatArray
from workers.audio.memo import SAMPLING_RATE

KEPT_SAMPLES = 2 * 10 * 60 * SAMPLING_RATE
"""Samples kept over all channels before the choice (77 MB): two channels of ten minutes, eight of 2.5 minutes."""
FULL_SCALE = 0.999
"""Samples with at least this |x| count as clipped; 16-bit full scale is 0.99997."""
HEADROOM = 2.0
"""Lossy decoders slightly overshoot full scale; values beyond this are not sound and would disturb the resampler."""
FINEST = 2.0**23
"""Steps to full scale of 24 bits; finer ones are none."""

Block = NDArray[np.floating[Any]]
"""(samples, channels), full scale at 1, finite."""


class Why(StrEnum):
    """Why these channels were chosen."""

    ONE_SIGNAL = "one_signal"
    """They hold the same speech, up to sign and level."""
    ONLY_SPEECH = "only_speech"
    """No other channel holds speech."""
    BEST_SPEECH = "best_speech"
    """The others hold speech with more noise or clipping, or music."""
    MOST_SPEECH = "most_speech"
    """Every channel has a speaker of its own; this one speaks longest."""
    NO_SPEECH = "no_speech"
    """No channel holds speech."""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """weights: (channels,) of the sum that is the signal, 0 for channels left out; why: see Why."""

    weights: FloatArray
    why: Why

    @property
    def name(self) -> str:
        """Numbers of the channels from 1, with the sign of all but the first, and why.

        >>> Choice(np.float32([0, 0.5, -0.5]), Why.ONE_SIGNAL).name
        '2-3:one_signal'
        """
        used = np.flatnonzero(self.weights)
        numbers = "".join(f"{'-' if self.weights[at] < 0 else '+'}{at + 1}" for at in used)
        return f"{numbers.lstrip('+')}:{self.why}"


@dataclass(frozen=True, slots=True, eq=False)
class Mono:
    """One signal of a file, and what describes it.

    signal: (samples,) float32 at SAMPLING_RATE; clipped: share of the original samples of the channels used at full
    scale; step: of their quantisation, re full scale, 0 for none; channel: `Choice.name`, `1` of a mono file.
    """

    signal: FloatArray
    clipped: float
    step: float
    channel: str


class Channels:
    """Takes the blocks of a file, in order, and gives one signal.

    Where all channels of a block are equal one is kept. When KEPT_SAMPLES are kept the choice is made from what came so
    far, and holds for the rest.
    """

    def __init__(self, sampling_rate: int, channels: int) -> None:
        self._stream = soxr.ResampleStream(sampling_rate, SAMPLING_RATE, channels, dtype="float32", quality="HQ")
        self._same_rate = sampling_rate == SAMPLING_RATE
        self._count = channels
        self._parts: list[FloatArray] = []
        self._kept = 0
        self._choice: Choice | None = None
        self._total = 0
        self._clipped = np.zeros(channels, np.int64)
        self._steps = np.zeros(channels, np.int64)
        self._stepless = np.zeros(channels, bool)

    def add(self, block: Block) -> None:
        """Take the next block; if it has fewer channels or more, their mean stands for each."""
        if block.shape[1] != self._count:
            block = np.repeat(block.mean(axis=1, keepdims=True), self._count, axis=1)
        self._total += len(block)
        self._clipped += np.count_nonzero(np.abs(block) >= FULL_SCALE, axis=0)
        self._note_steps(block)
        ready = np.ascontiguousarray(np.clip(block, -HEADROOM, HEADROOM), np.float32)
        self._keep(ready if self._same_rate else self._resampled(ready, last=False))

    def mono(self) -> Mono:
        """The one signal; called once, after the last block."""
        if not self._same_rate:
            self._keep(self._resampled(np.zeros((0, self._count), np.float32), last=True))
        choice = self._choice or self._chosen()
        used = choice.weights != 0.0
        clipped = float(self._clipped[used].sum()) / max(self._total * int(used.sum()), 1)
        signal = self._mixed(choice)
        return Mono(signal, clipped, self._step(used), "1" if self._count == 1 else choice.name)

    def _resampled(self, block: FloatArray, *, last: bool) -> FloatArray:
        ready = block if self._count > 1 else block[:, 0]
        resampled: FloatArray = self._stream.resample_chunk(ready, last=last)
        return resampled.reshape(-1, self._count)

    def _keep(self, block: FloatArray) -> None:
        if self._choice is not None:
            block = _sum(block, self._choice)[:, None]
        elif self._count > 1 and (block == block[:, :1]).all():
            block = block[:, :1].copy()
        self._parts.append(block)
        self._kept += block.size
        if self._choice is None and self._count > 1 and self._kept > KEPT_SAMPLES:
            self._choice = self._chosen()
            self._parts = [self._mixed(self._choice)[:, None]]

    def _chosen(self) -> Choice:
        if all(part.shape[1] == 1 for part in self._parts):
            return Choice(np.full(self._count, 1 / self._count, np.float32), Why.ONE_SIGNAL)
        # SciPy takes as long to load as a child process to start, and most files need no choice.
        from workers.audio.channel_choice import choose

        return choose(self._channel, (self._clipped / max(self._total, 1)).tolist())

    def _channel(self, number: int) -> FloatArray:
        """The samples kept of one channel."""
        return np.concatenate([part[:, min(number, part.shape[1] - 1)] for part in self._parts])

    def _mixed(self, choice: Choice) -> FloatArray:
        """What is kept as one signal; the parts are released one by one."""
        signal = np.empty(sum(map(len, self._parts)), np.float32)
        end = len(signal)
        while self._parts:
            mixed = _sum(self._parts.pop(), choice)
            signal[end - len(mixed) : end] = mixed
            end -= len(mixed)
        return signal

    def _note_steps(self, block: Block) -> None:
        """Add the bits that the samples of each channel use; a channel is stepless once a sample lies in between."""
        if self._stepless.all():
            return
        scaled = np.clip(block, -HEADROOM, HEADROOM) * FINEST
        whole = scaled.astype(np.int64)
        self._stepless |= (whole != scaled).any(axis=0)
        self._steps |= np.bitwise_or.reduce(np.abs(whole), axis=0)

    def _step(self, used: NDArray[np.bool_]) -> float:
        """The largest step of these channels, re full scale; 0 if none has one."""
        lowest = np.where(self._stepless, 0, self._steps & -self._steps)[used]
        return float(lowest.max(initial=0)) / FINEST


def _sum(part: FloatArray, choice: Choice) -> FloatArray:
    """(samples,): the weighted sum of the channels. A part of one column holds what all channels are equal to."""
    if part.shape[1] > 1:
        return np.asarray(part @ choice.weights, np.float32)
    weight = np.float32(choice.weights.sum(dtype=np.float64))
    return part[:, 0] if weight == 1.0 else part[:, 0] * weight
