"""A training recipe: everything that determines a bundle besides the examples."""

from dataclasses import dataclass

from schemas.markers import MARKER_NAMES
from workers.acoustic.feature_names import FEATURE_NAMES
from workers.corpora.examples import EVERY
from workers.training.fit_calibration import Method

COLD_STARTS = (0, 1, 3, 8, EVERY)
"""Memos in a speaker's baseline in training, one round each."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Training parameters.

    kind: of the head; acoustic: names of the features to use; axes: principal axes of the embedding; penalty: the
    inverse of logistic regression's C; folds: speaker-disjoint, for calibration, bands and choices; calibration: None
    for the better one on held-out folds; undecided: share of memos in the undecided band; controls: whether the
    population is that of memos with a label under 0.5; cold_starts: number of memos in a speaker's baseline, one
    training round each, an established baseline last; patience: of the population, None for the best on held-out
    folds; apart: whether people without a baseline have a separate head, None for the better one on their held-out
    memos; markers: features that evidence may name; silent: features that the heads do not read.
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
        """The cold starts that train the head for people with a baseline: all, if it is the only head."""
        return tuple(memos for memos in self.cold_starts if memos != 0) if self.apart else self.cold_starts
