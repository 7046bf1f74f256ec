"""How to train: everything that decides a bundle beside the examples."""

from dataclasses import dataclass

from schemas.markers import MARKER_NAMES
from workers.acoustic.feature_names import FEATURE_NAMES
from workers.corpora.examples import EVERY
from workers.training.fit_calibration import Method

COLD_STARTS = (0, 1, 3, 8, EVERY)
"""Memos of their own that speakers have had in training, one round each."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    kind: of the head; acoustic: names of the features to use; axes: principal axes of the embedding; penalty: the
    inverse of logistic regression's C; folds: speaker-disjoint, for calibration, bands and choices; calibration: None
    for whichever predicts held-out folds better; undecided: share of memos in the undecided band; controls: whether the
    population is that of memos with a label under 0.5; cold_starts: how many memos of their own speakers have, one
    training round each, an established baseline last; patience: of the population, None for whichever predicts held-out
    folds better; apart: whether people without a baseline have a head of their own, None for whichever predicts their
    held-out memos better; markers: features that may be named as evidence; silent: features that the heads do not hear.
    """

    kind: str = "logistic"
    seed: int = 0
    acoustic: tuple[str, ...] = FEATURE_NAMES
    axes: int = 16
    penalty: float = 30.0
    folds: int = 10
    calibration: Method | None = None
    undecided: float = 0.2
    controls: bool = False
    cold_starts: tuple[int, ...] = COLD_STARTS
    patience: float | None = None
    apart: bool | None = None
    markers: tuple[str, ...] = MARKER_NAMES
    silent: tuple[str, ...] = ()

    @property
    def established(self) -> tuple[int, ...]:
        """The cold starts that train the head of people with a baseline: all, where nobody has another."""
        return tuple(memos for memos in self.cold_starts if memos != 0) if self.apart else self.cold_starts
