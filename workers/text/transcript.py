"""Greedy CTC: words with times from the logits of an encoder's head. Pure; no repr shows a word.

Source: best path decoding, Graves et al. 2006, doi:10.1145/1143844.1143891.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.events import FloatArray
from workers.text.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Word:
    """One word. log_probability: natural logarithm, mean over the frames of its characters."""

    text: str = field(repr=False)
    begin_s: float
    end_s: float
    log_probability: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """The words of one recording, in order. log_probability: mean over the frames of all characters, NaN without."""

    words: tuple[Word, ...]
    log_probability: float

    @property
    def texts(self) -> list[str]:
        """The words alone."""
        return [word.text for word in self.words]


@dataclass(frozen=True, slots=True)
class _Run:
    """Equal best outputs in a row, from frame `first` to before frame `end`."""

    output: int
    first: int
    end: int


def decode(
    logits: FloatArray, vocabulary: Vocabulary, begins_s: NDArray[np.floating[Any]], step_s: float
) -> Transcript:
    """The most probable output of each frame, repeats joined, blanks removed, cut into words at delimiters.

    logits: (frames, outputs), finite; begins_s: (frames,) second at which each frame begins; step_s: seconds from one
    frame to the next. A word begins with its first character's first frame, and ends with its last one's last frame.
    """
    best = logits.argmax(axis=1)
    top = logits.max(axis=1, initial=-np.inf).astype(np.float64)
    chosen = -np.log(np.exp(logits - top[:, None]).sum(axis=1))
    words: list[Word] = []
    letters: list[_Run] = []
    of_characters: list[float] = []
    for run in (*_runs(best), _Run(vocabulary.delimiter, len(best), len(best))):
        if run.output == vocabulary.delimiter:
            if letters:
                frames = np.concatenate([chosen[each.first : each.end] for each in letters])
                of_characters += frames.tolist()
                begin_s, end_s = float(begins_s[letters[0].first]), float(begins_s[letters[-1].end - 1]) + step_s
                words.append(Word(_text(letters, vocabulary), begin_s, end_s, float(frames.mean())))
            letters = []
        elif run.output != vocabulary.blank and run.output not in vocabulary.special:
            letters.append(run)
    return Transcript(tuple(words), float(np.mean(of_characters)) if of_characters else float("nan"))


def frame_begins_s(spans: Sequence[tuple[int, int]], firsts: NDArray[np.int64], sampling_rate: int) -> FloatArray:
    """Second of a recording at which frames begin that were computed from parts of it, put together.

    spans: start and end of each part, in samples of the recording; firsts: (frames,) first sample of each frame, in the
    parts put together.

    >>> frame_begins_s([(0, 8), (16, 24)], np.array([0, 4, 8, 12]), 8).tolist()
    [0.0, 0.5, 2.0, 2.5]
    """
    starts = np.array([start for start, _ in spans])
    placed = np.cumsum([0, *(end - start for start, end in spans)])[:-1]
    part = np.searchsorted(placed, firsts, side="right") - 1
    begins: FloatArray = (firsts - placed[part] + starts[part]) / sampling_rate
    return begins


def _runs(best: NDArray[np.int64]) -> list[_Run]:
    cuts = [0, *(np.flatnonzero(np.diff(best)) + 1).tolist(), len(best)] if len(best) else [0]
    return [_Run(int(best[first]), first, end) for first, end in pairwise(cuts)]


def _text(letters: Sequence[_Run], vocabulary: Vocabulary) -> str:
    return "".join(vocabulary.tokens[run.output] for run in letters)
