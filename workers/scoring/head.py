"""The interface of a scoring head: a batch of deviations and windows in, a logit per memo out."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.events import FloatArray

CLIP_SD = 4.0
"""Deviations are clipped here: beyond it, all are just `very unusual`."""


@dataclass(frozen=True, slots=True, eq=False)
class HeadInput:
    """A head's input for a batch.

    deviations: (memos, features), within ±CLIP_SD, 0 where undefined; windows: (memos, n, d), standardised by the
    population; mask: (memos, n), True where there is a window. Both have n = 0 for heads without windows.
    """

    deviations: FloatArray
    windows: FloatArray
    mask: np.ndarray


def clipped(deviations: FloatArray) -> FloatArray:
    """Deviations as input of a head: within ±CLIP_SD, 0 where undefined."""
    return np.nan_to_num(np.clip(deviations, -CLIP_SD, CLIP_SD), nan=0.0).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Contributions:
    """What each part of a head's input adds to the logit, compared with a memo without any deviation.

    deviations: (memos, features); windows: (memos,), of all windows together; reference: (memos,), logit of the memo
    without any deviation. The logit is `total`: exactly for a linear head, within the error of an integral for others.
    """

    deviations: NDArray[np.floating[Any]]
    windows: NDArray[np.floating[Any]]
    reference: NDArray[np.floating[Any]]

    @property
    def total(self) -> NDArray[np.floating[Any]]:
        """(memos,): what the parts add up to."""
        total: NDArray[np.floating[Any]] = self.deviations.sum(axis=1) + self.windows + self.reference
        return total


class Head(Protocol):
    """A scoring head. A memo's logit and its contributions do not depend on the rest of the batch."""

    @property
    def kind(self) -> str:
        """One of KINDS."""

    def logits(self, inputs: HeadInput) -> FloatArray:
        """Uncalibrated logits, (memos,) float32."""

    def contributions(self, inputs: HeadInput) -> Contributions:
        """What makes up these logits."""

    def config(self) -> dict[str, Any]:
        """What `restore` needs besides the weights; plain JSON."""

    def weights(self) -> dict[str, np.ndarray]:
        """Named arrays."""
